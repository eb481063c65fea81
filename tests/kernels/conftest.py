"""For the kernel tests: every device that counts, the CUDA kernels on the CPU among them."""

import ctypes
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from hexlive.kernels.backend import Backend, BackendUnavailableError, Counts
from hexlive.kernels.cpu import CpuBackend
from hexlive.kernels.cuda import COMPILE_OPTIONS, CudaBackend
from hexlive.kernels.cupy_device import WARP, WARPS_PER_BLOCK, Device, open_device
from hexlive.kernels.launches import SOURCES

HOST_CUDA = Path(__file__).with_name("host_cuda.h")
# The third lets threads change places on branches, too; host_fibres.h says how.
FLAGS = (
    "-std=c++17",
    "-O2",
    "-fsanitize-coverage=trace-pc",
    "-ffp-contract=off",
    "-fPIC",
    "-shared",
)
MORE_FLAGS = tuple(os.environ.get("HEXLIVE_HOST_CUDA_FLAGS", "").split())
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-unknown-pragmas")
LAUNCH_FRAMES = 5  # so that small batches take several launches, of more than one block
DEVICES = ("cuda on the host", "cuda")

Kernel = Callable[..., None]
Compile = Callable[..., Kernel]


class DeviceArray(np.ndarray):
    """An array as if on a device: kernels take no other, and the backend must ask for it."""


class HostSlab:
    def __init__(self, n_frames: int, n_pixels: int) -> None:
        self._adu = np.zeros((n_frames, n_pixels), np.uint16).view(DeviceArray)

    def fill(self, frames: NDArray[np.uint16]) -> Any:
        adu = self._adu[: len(frames)]
        adu[:, : frames.shape[1]] = frames
        return adu

    def release(self) -> None:
        self._adu[:] = 0xFFFF  # a launch that came too late would count this


class HostDevice:
    """The CUDA kernels on the CPU, one launch after the other."""

    def __init__(self, kernels: dict[str, Kernel]) -> None:
        self.kernels = kernels

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        return np.zeros(shape, dtype).view(DeviceArray)

    def upload(self, array: NDArray[Any]) -> Any:
        return array.copy().view(DeviceArray)

    def download(self, array: Any) -> NDArray[Any]:
        return np.array(array, subok=False)

    def slab(self, n_frames: int, n_pixels: int) -> HostSlab:
        return HostSlab(n_frames, n_pixels)

    def launch(self, kernel: str, n_warps: int, arguments: tuple[Any, ...]) -> None:
        self.kernels[kernel](-(-n_warps // WARPS_PER_BLOCK), WARPS_PER_BLOCK * WARP, arguments)

    def in_order(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def owns(self, frames: Any) -> bool:
        return isinstance(frames, DeviceArray)

    def is_aligned(self, frames: Any) -> bool:
        return bool(frames.ctypes.data % 16 == 0)

    @contextmanager
    def borrowed(self, frames: Any) -> Iterator[Any]:
        yield np.asanyarray(frames, order="C")


def call(launch: Any, n_blocks: int, n_threads: int, arguments: tuple[Any, ...]) -> None:
    """Run a kernel; its threads are interleaved by chance, the same for the same scalars."""
    assert all(isinstance(argument, DeviceArray | np.generic) for argument in arguments)
    values = [
        np.array(argument.ctypes.data, np.uintp)
        if isinstance(argument, DeviceArray)
        else np.array(argument)
        for argument in arguments
    ]
    scalars = b"".join(a.tobytes() for a in arguments if isinstance(a, np.generic))
    n_values = len(values)
    places = (ctypes.c_void_p * n_values)(*(value.ctypes.data for value in values))
    sizes = (ctypes.c_size_t * n_values)(*(value.itemsize for value in values))
    wrong = launch(
        n_blocks, n_threads, places, sizes, ctypes.c_size_t(n_values), zlib.crc32(scalars)
    )
    assert not wrong, wrong.decode()


@pytest.fixture(scope="session")
def compile_kernel(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compile a kernel of a .cu file for the CPU: ``(source, name)``."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: the CUDA kernels cannot be run on the CPU")
    folder = tmp_path_factory.mktemp("kernels")

    def compile_one(source: Path, name: str) -> Kernel:
        unit, library = folder / f"{name}.cpp", folder / f"{name}.so"
        unit.write_text(f'#include "{HOST_CUDA}"\n#include "{source}"\nHOST_KERNEL({name})\n')
        flags = (*FLAGS, *WARNINGS, *MORE_FLAGS)
        command = [compiler, *flags, str(unit), "-o", str(library)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        launch = getattr(ctypes.CDLL(str(library)), f"launch_{name}")
        launch.restype = ctypes.c_char_p
        return partial(call, launch)

    return compile_one


@pytest.fixture(scope="session")
def host_device(compile_kernel: Compile) -> Device:
    """The CUDA kernels on the CPU."""
    with ThreadPoolExecutor() as pool:  # a compiler each
        kernels = pool.map(compile_kernel, SOURCES.values(), SOURCES)
        return HostDevice(dict(zip(SOURCES, kernels, strict=True)))


@pytest.fixture
def bare_device() -> Device:
    """The memory of a device, without kernels."""
    return HostDevice({})


@pytest.fixture(scope="session")
def gpu() -> Device:
    """A real GPU."""
    try:
        return open_device(SOURCES, COMPILE_OPTIONS)
    except BackendUnavailableError as error:
        if os.environ.get("HEXLIVE_GPU") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=DEVICES)
def cuda_device(request: pytest.FixtureRequest) -> Device:
    """Whatever runs the CUDA kernels."""
    device: Device = request.getfixturevalue("gpu" if request.param == "cuda" else "host_device")
    return device


@pytest.fixture(scope="session", params=["cpu", *DEVICES])
def open_here(request: pytest.FixtureRequest) -> Callable[..., Backend]:
    """Open a backend on every device there is: ``(events=, spectrum=, pixels=)``."""
    if request.param == "cpu":
        return CpuBackend
    fixture = "gpu" if request.param == "cuda" else "host_device"
    device = request.getfixturevalue(fixture)
    return partial(CudaBackend, device=device, launch_frames=LAUNCH_FRAMES)


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Counts, Counts], None]:
    """Fail unless all counts are the same, to the type of the integers."""

    def same(counts: Counts, expected: Counts) -> None:
        for field in fields(Counts):
            value, wanted = getattr(counts, field.name), getattr(expected, field.name)
            np.testing.assert_array_equal(value, wanted, err_msg=field.name)
            if isinstance(wanted, np.ndarray):
                assert value.dtype == wanted.dtype, field.name

    return same
