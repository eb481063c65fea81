"""``hexlive run`` as a process, killed or asked to stop at any moment, over a real socket."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import zmq

from hexlive.stream.calibration import load_calibration
from hexlive.stream.config import load_config
from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.recordings import open_file
from hexlive.stream.recovery import recover
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.wire import encode

SHAPE = (12, 10)
BATCH = 64
PER_EXPOSURE = 60
N_EXPOSURES = 3
PACE_S = 0.02
END_AGAIN_S = 1.5  # more than a run waits for frames after the end
PATIENCE_S = 40.0
SERIES = "a series"


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


N_BATCHES = N_EXPOSURES * PER_EXPOSURE
END = End(series=SERIES, last_frame=N_BATCHES * BATCH - 1)


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
                socket.send_multipart(encode(message))
                return True
        return False


@pytest.fixture
def config_file(tmp_path: Path, calibration_file: Path, free_addresses: list[str]) -> Path:
    path = tmp_path / "live.toml"
    path.write_text(
        f'[detector]\nrows = {SHAPE[0]}\ncolumns = {SHAPE[1]}\ncalibration = "{calibration_file}"\n'
        f'[stream]\ninput = "{free_addresses[0]}"\npublish = "{free_addresses[1]}"\n'
        f'result = "{tmp_path / "result.nxs"}"\n'
    )
    return path


@pytest.fixture
def detector(free_addresses: list[str], tmp_path: Path) -> Iterator[Detector]:
    detector = Detector(free_addresses[0], tmp_path / "result.nxs.checkpoint")
    yield detector
    detector.close()


Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(config_file: Path) -> Iterator[Run]:
    """Start ``hexlive run``."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "hexlive.stream.cli", "run", "--config", str(config_file)]
        process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()


def finish(process: "subprocess.Popen[str]") -> str:
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said


def counts_of(path: Path) -> list[dict[str, np.ndarray]]:
    names = ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames")
    with h5py.File(path) as file:
        groups = [group for name, group in file["entry"].items() if name.startswith("segment_")]
        return [{name: group[name][()] for name in names} for group in groups]


def surviving(missing: list[list[int]], n_frames: int = END.last_frame + 1) -> Iterator[AnyMessage]:
    """What the detector sent, without the frames that are missing."""
    lost = np.zeros(N_BATCHES * BATCH + 1, bool)
    lost[n_frames:] = True
    for begin, end in missing:
        lost[begin:end] = True
    for number in range(N_BATCHES):
        if number % PER_EXPOSURE == 0:
            yield from head(number // PER_EXPOSURE)[number > 0 :]
        whole, part = batch(number), ~lost[number * BATCH : (number + 1) * BATCH]
        edges = np.flatnonzero(np.diff(np.r_[False, part, False])) + number * BATCH
        yield from (whole.cut(a, b) for a, b in edges.reshape(-1, 2).tolist())
    yield END


@pytest.mark.parametrize(
    ("kills", "record"),
    [
        pytest.param([45, 110], False, id="in an exposure, and in the next"),
        pytest.param([PER_EXPOSURE, N_BATCHES], True, id="recording, between two, at the end"),
    ],
)
def test_a_killed_run_goes_on_and_counts_what_survived_once(
    run: Run,
    detector: Detector,
    config_file: Path,
    tmp_path: Path,
    make_source,
    kills: list[int],
    record: bool,
) -> None:
    if record:
        with config_file.open("a") as file:
            file.write(f'record = "{tmp_path / "recording.h5"}"\n')
    for n_batches in kills:
        process = run()
        detector.wait_for(n_batches)
        kill(process)
        assert not (tmp_path / "result.nxs").exists()
    said = finish(run())
    assert "Going on" in said
    detector.close()

    result = tmp_path / "result.nxs"
    counted = counts_of(result)
    missing = [row for exposure in counted for row in exposure["missing_frames"].tolist()]
    with h5py.File(result) as file:
        entry = file["entry"]
        n_lost = sum(end - begin for begin, end in missing)
        assert entry.attrs["frames_lost"] == n_lost
        assert entry.attrs["frames_expected"] == N_BATCHES * BATCH
        assert entry.attrs["frames_received"] == N_BATCHES * BATCH - n_lost
        assert set(entry["components"]) == {"anode", "electrolyte", "cathode"}
        assert len(entry["trend/emf"]) == 3
    config = load_config(config_file)
    calibration = load_calibration(Path(config.detector.calibration))
    once = tmp_path / "once.nxs"
    run_session(make_source(surviving(missing)), config, calibration, Outputs(result=once))
    for number, (one, other) in enumerate(zip(counted, counts_of(once), strict=True)):
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], err_msg=f"{number}/{name}")
    assert not list(tmp_path.glob("*checkpoint*"))

    recorded = recorded_numbers(tmp_path)
    lost = [n for begin, end in missing for n in range(begin, end)]
    assert (len(recorded) > 0) == record
    assert len(set(recorded)) == len(recorded)
    assert not set(recorded) & set(lost)


def recorded_numbers(folder: Path) -> list[int]:
    """The frames in all recordings, made whole."""
    numbers: list[int] = []
    for path in sorted(folder.glob("recording*.h5")):
        recover(path)
        with h5py.File(path) as file:
            numbers += file["entry/instrument/detector/frame_number"][()].tolist()
    return numbers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_run_that_is_asked_to_stop_writes_all_that_it_took(
    run: Run, detector: Detector, config_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with config_file.open("a") as file:
        file.write(f'record = "{tmp_path / "recording.h5"}"\n')
    process = run()
    detector.wait_for(PER_EXPOSURE + 3)
    process.send_signal(number)
    finish(process)
    with h5py.File(tmp_path / "result.nxs") as file:
        totals = {name: file["entry"].attrs[f"frames_{name}"] for name in ("expected", "received")}
    assert totals["expected"] == totals["received"] >= PER_EXPOSURE * BATCH
    assert open_file(tmp_path / "recording.h5").n_frames == totals["received"]
    assert not list(tmp_path.glob("*checkpoint*"))
