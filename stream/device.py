"""Where events are counted: opened by name, and said in one line."""

from typing import Final, Literal, Protocol

from hexlive.kernels.backend import (
    Backend,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.cupy_device import find_gpu, gpu_seen
from hexlive.kernels.odin import OdinBackend
from hexlive.kernels.opening import open_backend

DeviceName = Literal["auto", "cuda", "cpu", "odin", "odin-5x5"]
CLUSTER: Final = "cluster"


class Counter(Protocol):
    """Opens what counts, by the rules of a run."""

    def __call__(
        self,
        name: DeviceName,
        *,
        events: EventSettings,
        spectrum: SpectrumSettings,
        pixels: PixelMaps,
    ) -> Backend:
        """Open it."""
        ...


def open_counter(
    name: DeviceName,
    *,
    events: EventSettings,
    spectrum: SpectrumSettings,
    pixels: PixelMaps,
    threads: int | None = None,
) -> Backend:
    """Open a device, or the facility's chain as one ("odin", "odin-5x5").

    Raises
    ------
    BackendUnavailableError
        The device is not there.
    ValueError
        The settings do not fit it.
    """
    if name == "odin":
        return OdinBackend(events=events, spectrum=spectrum, pixels=pixels, window=3)
    if name == "odin-5x5":
        return OdinBackend(events=events, spectrum=spectrum, pixels=pixels, window=5)
    return open_backend(name, events=events, spectrum=spectrum, pixels=pixels, threads=threads)


def describe_device(asked: DeviceName, used: str) -> str:
    """What to say of the device that was opened.

    Parameters
    ----------
    asked, used
        The name that was asked for, and that of the device that answered.
    """
    if used == CLUSTER:
        return "events are counted by the workers of a cluster"
    if used == "cuda":
        return f"events are counted on the GPU: {find_gpu()[1]}"
    if used == "cpu" and asked == "auto" and gpu_seen():
        return (
            f"events are counted on the CPU, although there seems to be a GPU: {find_gpu()[1]} "
            "(--backend cuda says why it is not used)"
        )
    return "events are counted on the CPU"
