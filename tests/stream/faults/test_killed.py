"""``hexlive run`` killed, or asked to stop, while a detector sends: what survives counts once."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zmq

from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.recordings import open_file
from hexlive.stream.recovery import recover
from hexlive.stream.simulator.injected import packed

SHAPE = (12, 10)
BATCH = 64
PER_EXPOSURE = 60
N_EXPOSURES = 3
N_BATCHES = N_EXPOSURES * PER_EXPOSURE
N_FRAMES = N_BATCHES * BATCH
PACE_S = 0.02
END_AGAIN_S = 1.5  # more than a run waits for frames after the end
PATIENCE_S = 40.0
SERIES = "a series"
END = End(series=SERIES, last_frame=N_FRAMES - 1)
MOMENTS = (45, PER_EXPOSURE, 110, N_BATCHES)  # batches sent: in exposures, between two, at the end


def batch(number: int) -> Frames:
    """One batch of frames; the same number gives the same frames."""
    rng = np.random.default_rng(number)
    frames = rng.normal(1000, 8, (BATCH, *SHAPE))
    hit = rng.random(frames.shape) < 0.03
    frames[hit] += rng.normal(93.9, 3, hit.sum()) / 0.029
    return Frames(
        series=SERIES, first_frame=number * BATCH, timestamp_s=0.0, frames=frames.astype("<u2")
    )


def head(exposure: int) -> list[AnyMessage]:
    """What begins an exposure, and the series."""
    return [
        Start(series=SERIES, rows=SHAPE[0], columns=SHAPE[1], frame_rate_hz=9000.0, started_s=0.0),
        Segment(
            series=SERIES, number=exposure + 1, first_frame=exposure * PER_EXPOSURE * BATCH,
            state=1, region=3 - exposure,
        ),
    ]  # fmt: skip


def survivors(missing: list[list[int]]) -> Iterator[AnyMessage]:
    """What the detector sent, without the frames that are missing."""
    received = np.ones(N_FRAMES, bool)
    for begin, end in missing:
        received[begin:end] = False
    for number in range(N_BATCHES):
        if number % PER_EXPOSURE == 0:
            yield from head(number // PER_EXPOSURE)[number > 0 :]
        whole, part = batch(number), received[number * BATCH : (number + 1) * BATCH]
        edges = np.flatnonzero(np.diff(np.r_[False, part, False])) + number * BATCH
        yield from (whole.cut(a, b) for a, b in edges.reshape(-1, 2).tolist())
    yield END


class Detector:
    """Sends exposure after exposure, each once its beginning is in the checkpoint.

    A beginning that was lost would leave its first frames to the exposure before.
    """

    def __init__(self, address: str, checkpoint: Path) -> None:
        self.n_sent = 0
        self._checkpoint = checkpoint
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(address,))
        self._thread.start()

    def wait_for(self, n_batches: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.n_sent < n_batches:
            assert time.monotonic() < deadline, f"{self.n_sent} of {n_batches} batches were taken"
            time.sleep(0.005)

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _send(self, address: str) -> None:
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            socket.linger, socket.hwm, socket.immediate = 0, 2, True
            socket.connect(address)
            for number in range(N_BATCHES):
                if number % PER_EXPOSURE == 0:
                    self._begin(socket, number // PER_EXPOSURE)
                if not self._put(socket, batch(number)):
                    return
                self.n_sent = number + 1
                time.sleep(PACE_S)
            while self._put(socket, END):
                self._over.wait(END_AGAIN_S)

    def _begin(self, socket: zmq.Socket[bytes], exposure: int) -> None:
        kept = self._checkpoint / f"exposure_{exposure + 1:04d}.h5"
        while not kept.exists() and not self._over.is_set():
            for message in head(exposure):
                self._put(socket, message)
            self._over.wait(5 * PACE_S)

    def _put(self, socket: zmq.Socket[bytes], message: AnyMessage) -> bool:
        while not self._over.is_set():
            if socket.poll(50, zmq.POLLOUT):
                socket.send_multipart(packed(message))
                return True
        return False


@pytest.fixture
def detector(free_addresses: list[str], tmp_path: Path) -> Iterator[Detector]:
    detector = Detector(free_addresses[1], tmp_path / "live.nxs.checkpoint")
    yield detector
    detector.close()


@pytest.fixture
def run(start: Callable[..., Any], free_addresses: list[str]) -> Callable[[], Any]:
    """Start the run again, at the same address."""
    return lambda: start(input_=free_addresses[1])


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()


def recorded_numbers(folder: Path) -> list[int]:
    """The frames in all recordings, made whole."""
    numbers: list[int] = []
    for path in sorted(folder.glob("live*.h5")):
        recover(path)
        with h5py.File(path) as file:
            numbers += file["entry/instrument/detector/frame_number"][()].tolist()
    return numbers


def test_a_run_that_is_killed_again_and_again_counts_what_survives_once(
    run: Callable[[], Any],
    detector: Detector,
    processed: Callable[..., Any],
    fault_table: Any,
    tmp_path: Path,
) -> None:
    for n_batches in MOMENTS:
        running = run()
        detector.wait_for(n_batches)
        kill(running.process)
        assert not running.result.exists()
    running = run()
    code, said = running.wait(PATIENCE_S)
    assert code == 0, said
    detector.close()
    assert any("interrupted" in text for text in running.watch.log)

    with h5py.File(running.result) as file:
        entry = file["entry"]
        names = [name for name in entry if name.startswith("segment_")]
        missing = [row for name in names for row in entry[name]["missing_frames"][()].tolist()]
        lost = {number for begin, end in missing for number in range(begin, end)}
        assert entry.attrs["frames_expected"] == N_FRAMES
        assert entry.attrs["frames_lost"] == len(lost)
        assert entry.attrs["frames_received"] == N_FRAMES - len(lost)
        expected = processed(survivors(missing)).segments
        assert names == list(expected)
        for name in names:
            for key in ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames"):
                np.testing.assert_array_equal(
                    entry[name][key], expected[name][key], f"{name}/{key}"
                )
        assert set(entry["components"]) == {"anode", "electrolyte", "cathode"}
        assert len(entry["trend/emf"]) == N_EXPOSURES
        assert "interrupted" in entry["process/notes"].asstr()[()]
    assert not list(tmp_path.glob("*checkpoint*"))
    recorded = recorded_numbers(tmp_path)
    assert len(recorded) == len(set(recorded)) > 0
    assert not lost & set(recorded)
    fault_table.add(
        f"kill -9 of the run {len(MOMENTS)} times: in exposures, between two, at the end",
        "what was under way",
        f"{len(lost)} missing",
        "OLD, NO NEW DATA; then the log says that it was interrupted",
        "the start of the run with the same configuration",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_run_that_is_asked_to_stop_while_frames_come_writes_all_that_it_took(
    run: Callable[[], Any], detector: Detector, tmp_path: Path, number: signal.Signals
) -> None:
    running = run()
    detector.wait_for(PER_EXPOSURE + 3)
    running.process.send_signal(number)
    code, said = running.wait(PATIENCE_S)
    assert code == 0, said
    with h5py.File(running.result) as file:
        totals = {name: file["entry"].attrs[f"frames_{name}"] for name in ("expected", "received")}
    assert totals["expected"] == totals["received"] >= PER_EXPOSURE * BATCH
    assert open_file(tmp_path / "live.h5").n_frames == totals["received"]
    assert not list(tmp_path.glob("*checkpoint*"))
