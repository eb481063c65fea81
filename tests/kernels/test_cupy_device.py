"""Copies and launches keep their order on a GPU whose streams run as late and as mixed as they may.

The GPU is one of the imagination: CuPy's calls put work into streams, and only waiting for a stream
makes any of it happen, drawn at random from all that may go first.
"""

import random
import sys
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts, EventSettings, Hardware, PixelMaps, SpectrumSettings
from hexlive.kernels.cuda import CudaBackend, open_cuda

SCRIBBLE = 0xFFFF


class Streams:
    """All work that was asked for and not done, by stream."""

    def __init__(self, seed: int) -> None:
        self.queues: list[deque[Callable[[], bool]]] = []
        self.random = random.Random(seed)

    def run_until(self, done: Callable[[], bool]) -> None:
        while not done():
            queue = self.random.choice([queue for queue in self.queues if queue])
            if queue[0]():
                queue.popleft()


class Stream:
    current: list["Stream"]

    def __init__(self, streams: Streams) -> None:
        self.streams, self.queue = streams, deque[Callable[[], bool]]()
        streams.queues.append(self.queue)

    def __enter__(self) -> "Stream":
        Stream.current.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        Stream.current.pop()

    def ask(self, action: Callable[[], object]) -> None:
        self.queue.append(lambda: action() is not False)

    def synchronize(self) -> None:
        self.streams.run_until(lambda: not self.queue)

    def record(self) -> "Event":
        event = Event(self.streams)
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        awaited = event.mark
        self.ask(lambda: awaited.done)


class Event:
    def __init__(self, streams: Streams) -> None:
        self.streams, self.mark = streams, SimpleNamespace(done=True)

    def record(self, stream: Stream) -> None:
        mark = self.mark = SimpleNamespace(done=False)
        stream.ask(lambda: setattr(mark, "done", True))

    def synchronize(self) -> None:
        mark = self.mark
        self.streams.run_until(lambda: mark.done)


def array_class(plain: type[Any]) -> type[Any]:
    """Arrays of the imagined GPU: what is done to them is done by a stream."""

    class Array(plain):
        data = property(lambda self: SimpleNamespace(ptr=self.ctypes.data))

        def __setitem__(self, place: Any, value: Any) -> None:
            Stream.current[-1].ask(lambda: np.copyto(self.view(np.ndarray)[place], value))

        def fill(self, value: Any) -> None:
            self[...] = value

        def set(self, source: NDArray[Any], stream: Stream) -> None:
            assert self.shape == source.shape
            stream.ask(lambda: np.copyto(self.view(np.ndarray), source))

        def get(self, stream: Stream, out: NDArray[Any]) -> None:
            stream.ask(lambda: np.copyto(out, self))

    return Array


def imagined_cupy(kernels: dict[str, Any], plain: type[Any], seed: int) -> tuple[Any, Any]:
    """CuPy and cupyx of the imagined GPU, as far as the project uses them."""
    streams, array, page_locked = Streams(seed), array_class(plain), []
    Stream.current = [Stream(streams)]

    def empty_pinned(shape: Any, dtype: Any) -> NDArray[Any]:
        page_locked.append(np.zeros(shape, dtype))
        return page_locked[-1]

    def attributes(address: int) -> Any:
        begins = [(locked.ctypes.data, locked.nbytes) for locked in page_locked]
        return SimpleNamespace(type=int(any(0 <= address - at < size for at, size in begins)))

    def get_function(name: str) -> Callable[..., None]:
        def launch(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
            Stream.current[-1].ask(lambda: kernels[name](*grid, *block, arguments))

        return launch

    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        getDeviceProperties=lambda number: {"name": b"Imagined GPU"},
        memGetInfo=lambda: (1_000_000, 9_000_000),
        pointerGetAttributes=attributes,
    )
    cuda = SimpleNamespace(
        runtime=runtime,
        Stream=lambda non_blocking: Stream(streams),
        Event=lambda disable_timing: Event(streams),
        get_current_stream=lambda: Stream.current[-1],
    )
    cupy = SimpleNamespace(
        cuda=cuda,
        ndarray=array,
        zeros=lambda shape, dtype: np.zeros(shape, dtype).view(array),
        asarray=lambda values: values.copy().view(array),
        ascontiguousarray=lambda values: np.asanyarray(values, order="C"),
        RawModule=lambda code, options: SimpleNamespace(get_function=get_function),
    )
    return cupy, SimpleNamespace(empty_pinned=empty_pinned)


@pytest.mark.parametrize("shape", [(6, 8), (5, 7)])  # without and with padding on the device
@pytest.mark.parametrize("seed", range(6))
def test_no_order_of_copies_and_launches_changes_a_count(
    assert_same: Callable[[Counts, Counts], None],
    host_device: Any,
    count_slowly: Callable[..., Counts],
    make_pixels: Callable[..., PixelMaps],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    shape: tuple[int, int],
) -> None:
    plain = type(host_device.zeros((1,), np.int32))
    cupy, cupyx = imagined_cupy(host_device.kernels, plain, seed)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.setattr("hexlive.kernels.cuda.LAUNCH_FRAMES", 2)
    options = {
        "events": EventSettings(threshold_kev=9.0, next_frame=True),
        "spectrum": SpectrumSettings(max_kev=40.0, bin_kev=1.0),
        "pixels": make_pixels(shape, threshold_kev=9.0),
    }
    backend = open_cuda(**options)
    assert backend.hardware == Hardware(
        name="Imagined GPU", used_bytes=8_000_000, total_bytes=9_000_000
    )
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 12, (45, *shape)).astype(np.uint16)
    for begin in range(0, 45, 5):
        batch = frames[begin : begin + 5]
        add_and_scribble(backend, batch, begin, rng.choice(["host", "page-locked", "device"]))
        if rng.random() < 0.2:
            batches = [(0, frames[: begin + 5])]
            assert_same(backend.snapshot(), count_slowly(batches, **options))
    assert_same(backend.snapshot(), count_slowly([(0, frames)], **options))


def add_and_scribble(
    backend: CudaBackend, batch: NDArray[np.uint16], first_frame: int, where: str
) -> None:
    """Add a copy of a batch that lies somewhere, and overwrite it at once."""
    if where == "device":
        copy = sys.modules["cupy"].zeros(batch.shape, batch.dtype)
        copy[...] = batch
    elif where == "page-locked":
        copy = sys.modules["cupyx"].empty_pinned(batch.shape, batch.dtype)
        copy[...] = batch
    else:
        copy = batch.copy()
    backend.add(copy, first_frame)
    copy[...] = SCRIBBLE
