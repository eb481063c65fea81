"""A GPU by way of CuPy: memory, copies, launches. The only file that imports CuPy."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hexlive.kernels.backend import BackendUnavailableError, Hardware

WARPS_PER_BLOCK: Final = 4  # small blocks: one with a crowded frame holds up three others only
WARP: Final = 32
LOAD_BYTES: Final = 16
PAGE_LOCKED: Final = 1  # cudaMemoryTypeHost
OUT_OF_MEMORY: Final = 2  # cudaErrorMemoryAllocation
DRIVER: Final = Path("/proc/driver/nvidia/gpus")
USE_CPU: Final = "or use --backend cpu (the same counts)"


class Slab(Protocol):
    """Room for frames on the device, and on the host where their copy begins."""

    def fill(self, frames: Any) -> Any:
        """Begin to copy ``(frames, pixels)``; return them on the device, padded, for launches.

        Frames on the host may be changed as soon as this returns.
        """
        ...

    def release(self) -> None:
        """Let the next `fill` overwrite the frames once all launches so far are through."""
        ...


class Device(Protocol):
    """What the CUDA backend asks of a GPU. All but copies happens in the order of the calls.

    Whatever reserves memory raises MemoryError where there is not enough.
    """

    @property
    def hardware(self) -> Hardware:
        """Its model, and its memory at this moment."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Reserve device memory, all zero."""
        ...

    def upload(self, array: NDArray[Any]) -> Any:
        """Copy to the device."""
        ...

    def download(self, array: Any) -> NDArray[Any]:
        """Copy from the device, as it is after all launches so far."""
        ...

    def slab(self, n_frames: int, n_pixels: int) -> Slab:
        """Reserve room for frames; ``n_pixels`` with padding."""
        ...

    def launch(self, kernel: str, n_warps: int, arguments: tuple[Any, ...]) -> None:
        """Start a kernel; scalars among its arguments have their exact NumPy type."""
        ...

    def in_order(self) -> AbstractContextManager[Any]:
        """Within it, operations on device arrays take their place among the launches."""
        ...

    def owns(self, frames: Any) -> bool:
        """Whether an array is on the device."""
        ...

    def borrowed(self, frames: Any) -> AbstractContextManager[Any]:
        """Within it, an array of the caller on the device, contiguous, for launches.

        Launches wait for what the caller has begun, and what the caller begins next waits for them.
        """
        ...

    def is_aligned(self, frames: Any) -> bool:
        """Whether an array on the device begins where the widest loads can."""
        ...


def open_device(sources: dict[str, Path], options: tuple[str, ...]) -> "CupyDevice":
    """The current GPU, with kernels compiled for it.

    Parameters
    ----------
    sources
        The file of each kernel.
    options
        For the compiler, NVRTC.

    Raises
    ------
    BackendUnavailableError
        CuPy, a GPU or its driver is missing.
    """
    try:
        cupy = import_module("cupy")
    except ImportError as error:
        raise BackendUnavailableError(
            f"CUDA needs CuPy: pip install 'hexlive[cuda]', {USE_CPU}."
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
        return CupyDevice(cupy, sources, options)
    # The library, the driver, the compiler: the last has an error of its own kind.
    except (ImportError, OSError, RuntimeError, cupy.cuda.compiler.CompileException) as error:
        raise BackendUnavailableError(
            f"CUDA does not work here ({error}): check the GPU with nvidia-smi and the libraries "
            f"with pip install 'hexlive[cuda]', {USE_CPU}."
        ) from error


def find_gpu() -> tuple[bool, str]:
    """Whether CuPy reaches a GPU, and which one, or what is missing."""
    if find_spec("cupy") is None:
        if gpu_seen():
            return False, "a GPU seems to be here, but CuPy is missing: pip install 'hexlive[cuda]'"
        return False, "no GPU is to be seen; with one, pip install 'hexlive[cuda]'"
    try:
        cupy = import_module("cupy")
        count = cupy.cuda.runtime.getDeviceCount()
        name = model_of(cupy, 0)
    except (ImportError, RuntimeError) as error:  # CuPy's own errors are RuntimeErrors
        return False, f"CuPy is here, but reaches no GPU: {error}"
    return True, f"{name} ({count} in all), CuPy {cupy.__version__}"


def model_of(cupy: Any, number: int) -> str:
    """What the driver calls a GPU."""
    name: bytes = cupy.cuda.runtime.getDeviceProperties(number)["name"]
    return name.decode()


def gpu_seen() -> bool:
    """Whether an NVIDIA driver shows a GPU, whatever Python can do with it."""
    return (DRIVER.is_dir() and any(DRIVER.iterdir())) or shutil.which("nvidia-smi") is not None


class CupyDevice:
    """A GPU with two streams: one copies frames to it while the other counts."""

    def __init__(self, cupy: Any, sources: dict[str, Path], options: tuple[str, ...]) -> None:
        self.cupy = cupy
        self.copying = cupy.cuda.Stream(non_blocking=True)
        self.counting = cupy.cuda.Stream(non_blocking=True)
        self._kernels = {
            name: cupy.RawModule(code=path.read_text(), options=options).get_function(name)
            for name, path in sources.items()
        }

    @cached_property
    def model(self) -> str:
        """As the driver calls it."""
        return model_of(self.cupy, self.cupy.cuda.runtime.getDevice())

    @property
    def hardware(self) -> Hardware:
        free_bytes, total_bytes = self.cupy.cuda.runtime.memGetInfo()
        return Hardware(
            name=self.model, used_bytes=total_bytes - free_bytes, total_bytes=total_bytes
        )

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        with self.counting:
            return self.cupy.zeros(shape, dtype)

    def upload(self, array: NDArray[Any]) -> Any:
        with self.counting:
            on_device = self.cupy.asarray(array)
        self.counting.synchronize()
        return on_device

    def download(self, array: Any) -> NDArray[Any]:
        if array.size == 0:
            return np.zeros(array.shape, array.dtype)
        host = self.page_locked(array.shape, array.dtype)  # pageable memory is several times slower
        array.get(stream=self.counting, out=host)
        self.counting.synchronize()
        return host

    def slab(self, n_frames: int, n_pixels: int) -> "CupySlab":
        return CupySlab(self, n_frames, n_pixels)

    def launch(self, kernel: str, n_warps: int, arguments: tuple[Any, ...]) -> None:
        n_blocks = -(-n_warps // WARPS_PER_BLOCK)
        with self.counting:
            self._kernels[kernel]((n_blocks,), (WARPS_PER_BLOCK * WARP,), arguments)

    def in_order(self) -> AbstractContextManager[Any]:
        stream: AbstractContextManager[Any] = self.counting
        return stream

    def owns(self, frames: Any) -> bool:
        return isinstance(frames, self.cupy.ndarray)

    def is_aligned(self, frames: Any) -> bool:
        return bool(frames.data.ptr % LOAD_BYTES == 0)

    @contextmanager
    def borrowed(self, frames: Any) -> Iterator[Any]:
        frames = self.cupy.ascontiguousarray(frames)
        caller = self.cupy.cuda.get_current_stream()
        self.counting.wait_event(caller.record())
        yield frames
        caller.wait_event(self.counting.record())

    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Host memory that the device reads and writes by itself."""
        try:
            array: NDArray[Any] = import_module("cupyx").empty_pinned(shape, dtype)
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status != OUT_OF_MEMORY:
                raise
            raise MemoryError(str(error)) from error
        return array

    def is_page_locked(self, array: NDArray[Any]) -> bool:
        """Whether the device reads an array by itself, whoever reserved it."""
        pointer = self.cupy.cuda.runtime.pointerGetAttributes(array.ctypes.data)
        return bool(pointer.type == PAGE_LOCKED and array.flags.c_contiguous)


class CupySlab:
    """Frames in page-locked memory and on the device."""

    def __init__(self, device: CupyDevice, n_frames: int, n_pixels: int) -> None:
        self._device = device
        self._host = device.page_locked((n_frames, n_pixels), np.uint16)
        self._adu = device.zeros((n_frames, n_pixels), np.uint16)
        self._copied = device.cupy.cuda.Event(disable_timing=True)
        self._counted = device.cupy.cuda.Event(disable_timing=True)
        self.release()

    def fill(self, frames: Any) -> Any:
        adu = self._adu[: len(frames)]
        if self._device.owns(frames):
            with self._device.in_order():
                adu[:, : frames.shape[1]] = frames
        elif frames.shape == adu.shape and self._device.is_page_locked(frames):
            self._copy(frames, adu)
            self._copied.synchronize()  # the memory is the caller's
        else:
            self._copied.synchronize()
            self._host[: len(frames), : frames.shape[1]] = frames
            self._copy(self._host[: len(frames)], adu)
        return adu

    def release(self) -> None:
        self._counted.record(self._device.counting)

    def _copy(self, source: NDArray[np.uint16], adu: Any) -> None:
        device = self._device
        device.copying.wait_event(self._counted)
        adu.set(source, stream=device.copying)
        self._copied.record(device.copying)
        device.counting.wait_event(self._copied)
