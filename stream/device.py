"""Where events are counted: opened by name, and said in one line."""

import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from hexlive.kernels.backend import (
    Backend,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
    open_backend,
)
from hexlive.kernels.odin import OdinBackend

DeviceName = Literal["auto", "cuda", "cpu", "odin", "odin-5x5"]
DRIVER: Final = Path("/proc/driver/nvidia/gpus")


def open_device(
    name: DeviceName, *, events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
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
    return open_backend(name, events=events, spectrum=spectrum, pixels=pixels)


def describe_device(asked: DeviceName, used: str) -> str:
    """What to say of the device that was opened.

    Parameters
    ----------
    asked, used
        The name that was asked for, and that of the device that answered.
    """
    if used == "cuda":
        return f"events are counted on the GPU: {find_gpu()[1]}"
    if used == "cpu" and asked == "auto" and gpu_seen():
        return (
            f"events are counted on the CPU, although there seems to be a GPU: {find_gpu()[1]} "
            "(--backend cuda says why it is not used)"
        )
    return "events are counted on the CPU"


def find_gpu() -> tuple[bool, str]:
    """Whether CuPy reaches a GPU, and which one, or what is missing."""
    if find_spec("cupy") is None:
        if gpu_seen():
            return False, "a GPU seems to be here, but CuPy is missing: pip install 'hexlive[cuda]'"
        return False, "no GPU is to be seen; with one, pip install 'hexlive[cuda]'"
    try:
        cupy = import_module("cupy")
        count = cupy.cuda.runtime.getDeviceCount()
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except (ImportError, RuntimeError) as error:  # CuPy's own errors are RuntimeErrors
        return False, f"CuPy is here, but reaches no GPU: {error}"
    return True, f"{name} ({count} in all), CuPy {cupy.__version__}"


def gpu_seen() -> bool:
    """Whether an NVIDIA driver shows a GPU, whatever Python can do with it."""
    return (DRIVER.is_dir() and any(DRIVER.iterdir())) or shutil.which("nvidia-smi") is not None
