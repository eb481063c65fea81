"""What the suites need of a GPU: its name, frames in its memory and in pinned memory, copies."""

import re
import sys
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.turns import Contender
from hexlive.kernels.backend import (
    Backend,
    BackendUnavailableError,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.cupy_device import CupyDevice, open_device
from hexlive.kernels.opening import open_backend

DEVICE: Final = "cuda, device"  # frames that are on the device already
PINNED: Final = "cuda, pinned"  # frames in pinned host memory, end to end
DEVICE_COPY: Final = "device copy"
HOST_COPY: Final = "host copy"
DEVICE_PASSES: Final = 64  # over the frames per timed run: tens of milliseconds at 30 M frames/s
PINNED_PASSES: Final = 4


def describe_gpu() -> dict[str, str]:
    """Name, compute capability, driver and runtime version of the device.

    Raises
    ------
    BackendUnavailableError
        CuPy, a GPU or its driver is missing.
    """
    cupy = _device().cupy
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "driver": str(runtime.driverGetVersion()),
        "runtime": str(runtime.runtimeGetVersion()),
    }


def file_stem(gpu_name: str) -> str:
    """A GPU's name as the name of a file: "NVIDIA H200" is "nvidia-h200"."""
    return re.sub(r"[^a-z0-9]+", "-", gpu_name.lower()).strip("-")


def contenders(
    frames: NDArray[np.uint16], events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
) -> dict[str, Contender]:
    """Counting from device and from pinned memory, and the copies that bound them.

    Parameters
    ----------
    frames
        ``(frames, rows, columns) uint16, ADU``.
    """
    device = _device()
    cupy = device.cupy
    on_device = cupy.asarray(frames)
    copy = cupy.empty_like(on_device)
    pinned = device.page_locked(frames.shape, frames.dtype)
    pinned[:] = frames

    def opened() -> Backend:
        return open_backend("cuda", events=events, spectrum=spectrum, pixels=pixels)

    def timed(action: Callable[[], object], n_passes: int, n_items: int) -> Contender:
        def repeat() -> None:
            for _ in range(n_passes):
                action()
            cupy.cuda.Device().synchronize()

        return Contender(repeat, n_passes * n_items)

    from_device, from_host, n_frames = opened(), opened(), len(frames)
    return {
        DEVICE: timed(lambda: from_device.add(on_device, 0), DEVICE_PASSES, n_frames),
        PINNED: timed(lambda: from_host.add(pinned, 0), PINNED_PASSES, n_frames),
        # Every byte of a device copy crosses its memory twice, once read and once written.
        DEVICE_COPY: timed(lambda: cupy.copyto(copy, on_device), DEVICE_PASSES, 2 * n_frames),
        HOST_COPY: timed(lambda: copy.set(pinned), PINNED_PASSES, n_frames),
    }


def device_bytes(
    frames: NDArray[np.uint16], events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
) -> int:
    """Device memory that one backend takes to count frames from the host."""
    cupy = _device().cupy

    def free_bytes() -> int:
        cupy.cuda.Device().synchronize()
        cupy.get_default_memory_pool().free_all_blocks()
        return int(cupy.cuda.runtime.memGetInfo()[0])

    before = free_bytes()
    backend = open_backend("cuda", events=events, spectrum=spectrum, pixels=pixels)
    backend.add(frames, 0)
    return before - free_bytes()


def _device() -> CupyDevice:
    """The GPU without kernels, for memory and copies."""
    return open_device({}, ())


def main() -> None:
    """Print the GPU's name as a file stem, or one sentence and exit code 1."""
    try:
        print(file_stem(describe_gpu()["name"]))
    except BackendUnavailableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
