"""One series through real processes: a camera, the pipeline up to a stage, a monitor."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.camera import BATCH
from hexlive.benchmarks.machine import resident_mb
from hexlive.benchmarks.receiver import STAGES
from hexlive.stream.model import End, Frames, Segment, Start
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator

REAL_TIME_HZ: Final = 9_000.0
SAMPLE_S: Final = 1.0
SETTLE_S: Final = 3.0  # for a monitor to open its window
Child = subprocess.Popen[str]
FloatArray = NDArray[np.float64]


class StageError(RuntimeError):
    """A process of the measurement failed; the sentence has its last words."""


@dataclass(frozen=True, kw_only=True)
class Passed:
    """How one series went through.

    Attributes
    ----------
    rate_hz
        Frames per second taken in, from the first message to the last.
    dropped
        Frames that the camera could not hand over in time.
    missing
        Frames that the ledger found missing.
    peak_mb
        Largest resident memory of the pipeline's process.
    memory_mb
        ``(n, 2)``: seconds since the start, and its resident memory then; once per second.
    """

    rate_hz: float
    dropped: int
    missing: int
    peak_mb: float
    memory_mb: FloatArray = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def whole(self) -> bool:
        """Not one frame was lost."""
        return self.dropped == self.missing == 0


class Bench:
    """Frames and a calibration on disk, and a folder for what the stages write.

    Parameters
    ----------
    made
        The simulated exposure that is sent over and over.
    n_frames
        How many different frames there are.

    Attributes
    ----------
    calibration
        File of it.
    """

    def __init__(self, made: Simulator, n_frames: int, folder: Path) -> None:
        self.simulator, self.n_frames, self.folder = made, n_frames, folder
        self._frames, self.calibration = folder / "frames.npy", folder / "calibration.h5"
        np.save(self._frames, made.frames(1, 1, 0, n_frames))
        made.camera.calibration().save(self.calibration)

    def record(self, path: Path, times: int = 1) -> None:
        """Write a recording of all frames, over and over."""
        frames, series = np.load(self._frames, mmap_mode="r"), "bench"
        writer = RecordingWriter(path)
        rows, columns = frames.shape[1:]
        rate_hz = REAL_TIME_HZ
        writer.append(
            Start(series=series, rows=rows, columns=columns, frame_rate_hz=rate_hz, started_s=0.0)
        )
        writer.append(Segment(series=series, number=1, first_frame=0, state=1, region=1))
        for first in range(0, times * self.n_frames, BATCH):
            at = first % self.n_frames
            batch = np.asarray(frames[at : at + BATCH])
            writer.append(
                Frames(series=series, first_frame=first, timestamp_s=first / rate_hz, frames=batch)
            )
        writer.append(End(series=series, last_frame=times * self.n_frames - 1))
        writer.close()

    def run(self, stage: str, n_frames: int, rate_hz: float | None = None) -> Passed:
        """Send ``n_frames`` through the pipeline up to ``stage``; None: as fast as they are taken.

        Raises
        ------
        StageError
            A process failed.
        """
        with ExitStack() as stack:
            output = stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder))
            receiver = stack.enter_context(
                _child("benchmarks.receiver", stage, str(self.calibration), output)
            )
            listening = _line(receiver)
            if "publish" in listening:
                stack.enter_context(_child("monitor.app", listening["publish"], offscreen=True))
                time.sleep(SETTLE_S)
            pace = [] if rate_hz is None else ["--rate", str(rate_hz)]
            words = [listening["input"], str(self._frames), "--frames", str(n_frames), *pace]
            samples = stack.enter_context(_sampled(receiver.pid))
            camera = stack.enter_context(_child("benchmarks.camera", *words))
            sent, received = _line(camera), _line(receiver)
        return Passed(
            rate_hz=received["rate_hz"],
            dropped=sent["dropped"],
            missing=received["missing"],
            peak_mb=received["peak_mb"],
            memory_mb=np.array(samples).reshape(-1, 2),
        )

    def watch(
        self, page: str, seconds: float, n_frames: int, reports_hz: float
    ) -> dict[str, float]:
        """Send frames at 9 kHz past a monitor that shows this page.

        Returns
        -------
        dict
            redraws_per_s, gui_percent, age_ms, oldest_ms.

        Raises
        ------
        StageError
            A process failed.
        """
        with ExitStack() as stack:
            output = stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder))
            words = [STAGES[-1], str(self.calibration), output, "--reports", str(reports_hz)]
            listening = _line(stack.enter_context(_child("benchmarks.receiver", *words)))
            watcher = stack.enter_context(
                _child("benchmarks.watcher", listening["publish"], page, str(seconds))
            )
            time.sleep(SETTLE_S)
            sent = [listening["input"], str(self._frames), "--frames", str(n_frames)]
            stack.enter_context(_child("benchmarks.camera", *sent, "--rate", str(REAL_TIME_HZ)))
            return _line(watcher)

    def follow(self, n_frames: int, reports_hz: float) -> tuple[FloatArray, FloatArray]:
        """Send frames at 9 kHz, and listen to the snapshots.

        Returns
        -------
        tuple
            When each batch left the camera, ``(batches,)``, Unix s; and when each snapshot was
            there, and how many frames it held, ``(snapshots, 2)``.

        Raises
        ------
        StageError
            A process failed, or frames were lost.
        """
        with ExitStack() as stack:
            output = stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder))
            words = [STAGES[-1], str(self.calibration), output, "--reports", str(reports_hz)]
            receiver = stack.enter_context(_child("benchmarks.receiver", *words))
            listening = _line(receiver)
            listener = stack.enter_context(_child("benchmarks.listener", listening["publish"]))
            _line(listener)
            words = [listening["input"], str(self._frames), "--frames", str(n_frames), "--times"]
            camera = stack.enter_context(
                _child("benchmarks.camera", *words, "--rate", str(REAL_TIME_HZ))
            )
            sent, heard, received = _line(camera), _line(listener), _line(receiver)
        if sent["dropped"] or received["missing"]:
            raise StageError("Frames were lost at 9 kHz, so no snapshot can be told from another.")
        return np.array(sent["left_s"]), np.array(heard["heard"], np.float64).reshape(-1, 2)


@contextmanager
def bench(occupancy: float, n_frames: int) -> Iterator[Bench]:
    """A bench in a temporary folder, with whole batches of simulated frames."""
    settings = SimulatorSettings(
        states=(1,), regions=(1,), frames_per_segment=n_frames, occupancy=occupancy
    )
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(Simulator(settings), n_frames, Path(folder))


def whole_batches(seconds: float, rate_hz: float) -> int:
    """Number of frames in so many seconds, at least one batch."""
    return BATCH * max(1, round(seconds * rate_hz / BATCH))


def highest_rate_hz(
    made: Bench, seconds: float, limit_hz: float, resolution: float
) -> tuple[float, Sequence[tuple[float, Passed]]]:
    """Bisect for the highest rate of which no frame is lost, with everything attached.

    Parameters
    ----------
    limit_hz
        To begin from: what the whole pipeline took without a pace.
    resolution
        Stop when the bounds are so close, relative.

    Returns
    -------
    tuple
        The highest rate without a loss, 0 if there is none; and all that was tried.
    """
    tried: list[tuple[float, Passed]] = []

    def holds(rate_hz: float) -> bool:
        tried.append((rate_hz, made.run(STAGES[-1], whole_batches(seconds, rate_hz), rate_hz)))
        return tried[-1][1].whole

    if not holds(REAL_TIME_HZ):
        return 0.0, tried
    low_hz, high_hz = REAL_TIME_HZ, max(limit_hz, REAL_TIME_HZ)
    while high_hz - low_hz > resolution * high_hz:
        middle_hz = (low_hz + high_hz) / 2
        if holds(middle_hz):
            low_hz = middle_hz
        else:
            high_hz = middle_hz
    return low_hz, tried


@contextmanager
def _sampled(pid: int) -> Iterator[list[tuple[float, float]]]:
    """Seconds and resident memory (MB) of a process, once per second, by a thread."""
    samples: list[tuple[float, float]] = []
    done, began_s = threading.Event(), time.monotonic()

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            if (memory_mb := resident_mb(pid)) is not None:
                samples.append((time.monotonic() - began_s, memory_mb))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


@contextmanager
def _child(module: str, *words: str, offscreen: bool = False) -> Iterator[Child]:
    environment = os.environ | ({"QT_QPA_PLATFORM": "offscreen"} if offscreen else {})
    command = [sys.executable, "-m", f"hexlive.{module}", *words]
    child = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield child
    finally:
        child.terminate()
        child.communicate()


def _line(child: Child) -> dict[str, Any]:
    """The next line that it prints, JSON."""
    assert child.stdout is not None
    assert child.stderr is not None
    if not (line := child.stdout.readline()):
        said = child.stderr.read().strip().splitlines() or ["nothing"]
        raise StageError(f"A process of the measurement ended; its last words: {said[-1]}")
    found: dict[str, Any] = json.loads(line)
    return found
