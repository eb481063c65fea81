"""What is particular to the CUDA backend: launches, memory, crowded frames, absent devices."""

import logging
import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from hexlive.kernels.backend import (
    BackendUnavailableError,
    Counts,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.cuda import LAUNCH_BYTES, CudaBackend, frames_per_launch, open_cuda
from hexlive.kernels.cupy_device import Device

SlowCount = Callable[..., Counts]
AssertSame = Callable[[Counts, Counts], None]
MakePixels = Callable[..., PixelMaps]
AXIS = SpectrumSettings(min_kev=4.0, max_kev=40.0, bin_kev=0.5)
ALL_OPTIONS = EventSettings(
    threshold_kev=9.0, max_cluster=3, veto_masked=True, next_frame=True, dither=True
)


def random_frames(n_frames: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    rng = np.random.default_rng(n_frames)
    frames = rng.integers(0, 24, (n_frames, *shape)).astype(np.uint16)
    return frames * (rng.random(frames.shape) < 0.3)


def options_for(make_pixels: MakePixels, shape: tuple[int, int]) -> dict[str, Any]:
    masked = np.zeros(shape, bool)
    masked[1, 2] = True
    pixels = make_pixels(shape, masked=masked, threshold_kev=9.0)
    return {"events": ALL_OPTIONS, "spectrum": AXIS, "pixels": pixels}


@pytest.mark.parametrize("shape", [(6, 8), (7, 5)])  # without and with padding on the device
@pytest.mark.parametrize("launch_frames", [1, 2, 3, 10, 11, None])
def test_counts_do_not_depend_on_the_frames_per_launch(
    assert_same: AssertSame,
    cuda_device: Device,
    make_pixels: MakePixels,
    count_slowly: SlowCount,
    shape: tuple[int, int],
    launch_frames: int | None,
) -> None:
    options = options_for(make_pixels, shape)
    frames = random_frames(11, shape)
    backend = CudaBackend(**options, device=cuda_device, launch_frames=launch_frames)
    backend.add(frames[:7], 5)
    backend.add(frames[7:], 12)
    assert_same(backend.snapshot(), count_slowly([(5, frames)], **options))


@pytest.mark.parametrize("shape", [(6, 8), (7, 5)])
@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "not aligned"])
def test_frames_on_the_device_count_as_those_on_the_host(
    assert_same: AssertSame,
    cuda_device: Device,
    make_pixels: MakePixels,
    count_slowly: SlowCount,
    shape: tuple[int, int],
    offset: int,
) -> None:
    options = options_for(make_pixels, shape)
    frames = random_frames(5, shape)
    room = cuda_device.upload(np.concatenate([np.zeros(offset, np.uint16), frames.ravel()]))
    on_device = room[offset:].reshape(frames.shape)
    backend = CudaBackend(**options, device=cuda_device, launch_frames=2)
    backend.add(on_device, 0)
    backend.add(on_device[::-1], 5)
    backend.add(frames, 10)
    batches = [(0, frames), (5, frames[::-1]), (10, frames)]
    assert_same(backend.snapshot(), count_slowly(batches, **options))


def spiral(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A path one pixel wide from the corner to the middle, with gaps of one pixel."""
    path = np.zeros(shape, bool)
    top, left, bottom, right = 0, 0, shape[0] - 1, shape[1] - 1
    while top <= bottom and left <= right:
        path[top, max(left - 1, 0) : right + 1] = True
        path[top : bottom + 1, right] = True
        path[bottom, left : right + 1] = True
        path[top + 2 : bottom + 1, left] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return path


def crowded(shape: tuple[int, int]) -> dict[str, NDArray[np.bool_]]:
    row, column = np.indices(shape)
    return {
        "full": np.ones(shape, bool),
        "checkerboard": (row + column) % 2 == 0,
        "comb": (row == shape[0] - 1) | (column % 2 == 0),
        "spiral": spiral(shape),
        "half": np.random.default_rng(1).random(shape) < 0.5,
    }


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("pattern", crowded((1, 1)))
def test_crowded_frames_are_counted_to_the_last_hit(
    assert_same: AssertSame,
    cuda_device: Device,
    make_pixels: MakePixels,
    count_slowly: SlowCount,
    pattern: str,
    connectivity: Any,
) -> None:
    shape = (40, 120)
    adu = np.random.default_rng(2).integers(3, 9, shape)
    frames = (adu * crowded(shape)[pattern]).astype(np.uint16)[np.newaxis]
    options = {
        "events": EventSettings(max_cluster=10**6, connectivity=connectivity),
        "spectrum": SpectrumSettings(max_kev=20.0, bin_kev=1.0),
        "pixels": make_pixels(shape),
    }
    backend = CudaBackend(**options, device=cuda_device)
    backend.add(frames, 0)
    assert_same(backend.snapshot(), count_slowly([(0, frames)], **options))


def test_a_frame_of_twelve_modules_as_one_may_be_hit_everywhere(
    cuda_device: Device, make_pixels: MakePixels
) -> None:
    shape = (160, 480)
    frames = np.full((2, *shape), 9, np.uint16)
    for events in (EventSettings(), EventSettings(policy="none", next_frame=True)):
        backend = CudaBackend(
            events=events, spectrum=AXIS, pixels=make_pixels(shape), device=cuda_device
        )
        backend.add(frames, 0)
        counts = backend.snapshot()
        assert counts.hits.sum() == 2 * 76800
        assert counts.cluster_sizes.tolist() == [0, 0, 0, 0, 1 if events.next_frame else 2]
        assert counts.booked_hits == (76800 if events.next_frame else 0)


class SmallDevice:
    """A device without room for large arrays."""

    def __init__(self, device: Any, largest_bytes: int) -> None:
        self._device, self._largest_bytes = device, largest_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def _check(self, n_items: int, dtype: DTypeLike) -> None:
        if n_items * np.dtype(dtype).itemsize > self._largest_bytes:
            raise MemoryError

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        self._check(math.prod(shape), dtype)
        return self._device.zeros(shape, dtype)

    def slab(self, n_frames: int, n_pixels: int) -> Any:
        self._check(n_frames * n_pixels, np.uint16)
        return self._device.slab(n_frames, n_pixels)


def test_too_little_memory_halves_the_launch_and_says_so_once(
    assert_same: AssertSame,
    cuda_device: Device,
    make_pixels: MakePixels,
    count_slowly: SlowCount,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = options_for(make_pixels, (6, 8))
    frames = random_frames(20, (6, 8))
    device = SmallDevice(cuda_device, 48 * AXIS.n_bins * 4)  # the spectra just fit
    with caplog.at_level(logging.WARNING):
        backend = CudaBackend(**options, device=device, launch_frames=1000)
    (record,) = caplog.records
    assert record.getMessage() == (
        "The GPU has no room for 1000 frames at a time (0.9 MiB); it takes 62 (0.1 MiB)."
    )
    backend.add(frames, 0)
    assert_same(backend.snapshot(), count_slowly([(0, frames)], **options))


@pytest.mark.parametrize("largest_bytes", [100, 48 * AXIS.n_bins * 4 - 1])
def test_no_memory_for_a_single_frame_is_one_sentence_with_the_sizes(
    host_device: Device, make_pixels: MakePixels, largest_bytes: int
) -> None:
    options = options_for(make_pixels, (6, 8))
    sentence = "no room for 0.0 MiB of counters and 0.0 MiB to count one frame: free some of its"
    with pytest.raises(BackendUnavailableError, match=sentence):
        CudaBackend(**options, device=SmallDevice(host_device, largest_bytes))


@pytest.mark.parametrize("n_pixels", [1, 6400, 76800, 10**8])
def test_launches_take_bounded_memory(n_pixels: int) -> None:
    n_frames = frames_per_launch(n_pixels)
    assert n_frames == 1 or n_frames * n_pixels * 2 <= LAUNCH_BYTES
    assert n_frames * n_pixels < 2**31


class CompileError(Exception):
    """As CuPy's: of no kind that others have."""


def broken_cupy(error: Exception) -> Any:
    """A CuPy whose first use of the GPU, or of the compiler, fails."""

    def fail(**options: object) -> None:
        raise error

    runtime = SimpleNamespace(getDeviceCount=fail)
    if isinstance(error, CompileError):
        runtime.getDeviceCount = lambda: 1
    compiler = SimpleNamespace(CompileException=CompileError)
    cuda = SimpleNamespace(
        runtime=runtime, compiler=compiler, Stream=lambda non_blocking: nullcontext()
    )
    return SimpleNamespace(cuda=cuda, RawModule=fail)


@pytest.mark.parametrize(
    ("cupy", "sentence"),
    [
        (None, r"CUDA needs CuPy: pip install 'hexlive\[cuda\]', or use --backend cpu"),
        (
            broken_cupy(RuntimeError("cudaErrorNoDevice: no device is detected")),
            r"CUDA does not work here \(cudaErrorNoDevice: .*\): check the GPU with nvidia-smi",
        ),
        (broken_cupy(CompileError("bad arch")), r"CUDA does not work here \(bad arch\): check"),
    ],
)
def test_what_is_missing_is_one_sentence(
    make_pixels: MakePixels, monkeypatch: pytest.MonkeyPatch, cupy: Any, sentence: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendUnavailableError, match=sentence):
        open_cuda(events=EventSettings(), spectrum=AXIS, pixels=make_pixels((2, 2)))
