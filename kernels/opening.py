"""The device that counts, by name."""

import logging
from typing import Final, Literal

from hexlive.kernels.backend import (
    Backend,
    BackendUnavailableError,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.cpu import CpuBackend
from hexlive.kernels.cuda import open_cuda

LOG: Final = logging.getLogger(__name__)


def open_backend(
    name: Literal["auto", "cuda", "cpu"],
    *,
    events: EventSettings,
    spectrum: SpectrumSettings,
    pixels: PixelMaps,
    threads: int | None = None,
) -> Backend:
    """Open a device.

    Parameters
    ----------
    name
        "cpu" (numba), "cuda" (CuPy), or "auto": CUDA where there is one, else the CPU.
    threads
        Of the CPU, at most; None: as many as there are cores.

    Raises
    ------
    BackendUnavailableError
        The device is not there.
    """
    if name == "cpu":
        return CpuBackend(events=events, spectrum=spectrum, pixels=pixels, threads=threads)
    try:
        return open_cuda(events=events, spectrum=spectrum, pixels=pixels)
    except BackendUnavailableError as error:
        if name == "cuda":
            raise
        LOG.debug("CUDA is not used: %s", error)
        return CpuBackend(events=events, spectrum=spectrum, pixels=pixels, threads=threads)
