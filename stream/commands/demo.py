"""The main job without a detector, from end to end, with truth held against measurement.

Simulator process -> ZeroMQ -> pipeline (this process) -> monitor process; a CT scan at the end
triggers a reconstruction in a process of its own. The simulator draws fresh photons for every
frame; only its electronic noise comes from a pool of frames.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from hexlive.stream.commands.console import ProgressSink, say
from hexlive.stream.commands.demo_summary import NOTHING, compare, shortcomings, summarise
from hexlive.stream.config import Config, StreamSettings
from hexlive.stream.files import FileError
from hexlive.stream.inputs import live_source
from hexlive.stream.model import End, Frames, Message, ScanStart, Segment
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.stopping import Stop, stop_on_signals

STATES: Final = (1, 2, 4)
CT_AFTER: Final = (4,)
OCCUPANCY: Final = 0.03
RATE_HZ: Final = 9_200.0  # the detector's 9,000, and a margin to show
SEED: Final = 1
PATIENCE_S: Final = 60.0  # with a simulator or a picture that takes its time
GRACE_S: Final = 15.0  # from SIGTERM to SIGKILL
POLL_S: Final = 0.05
Child = subprocess.Popen[bytes]


class RateWatch:
    """Frames per second of each exposure as they arrive, the pause before it included.

    Without the pause, what piled up in it would come in a burst, and count as speed.
    """

    def __init__(self) -> None:
        self.rates_hz: list[float] = []
        self._count, self._began_s, self._last_s = 0, 0.0, 0.0
        self._running = False

    def put(self, message: Message) -> None:
        """Note the arrival of frames; a segment ends an exposure, a scan or the end the clock."""
        match message:
            case Frames() if not self._running:
                self._began_s = self._last_s = time.monotonic()
                self._running = True  # the first batch only starts the clock
            case Frames(frames=frames):
                self._last_s = time.monotonic()
                self._count += len(frames)
            case Segment():
                self._book()
            case ScanStart() | End():
                self.close()

    def close(self) -> None:
        """Book the present exposure and stop the clock."""
        self._book()
        self._running = False

    def _book(self) -> None:
        seconds = self._last_s - self._began_s
        if self._count and seconds > 0:
            self.rates_hz.append(self._count / seconds)
        self._count, self._began_s = 0, self._last_s


def run_demo(out: Path, seconds: float, *, headless: bool) -> int:
    """Run the demo and print its summary; returns the exit code.

    Raises
    ------
    FileError
        The folder holds a recording already, or cannot be made.
    """
    outputs = _outputs(out)
    stream = StreamSettings(input="tcp://127.0.0.1:*", idle_timeout_s=PATIENCE_S)
    config = replace(Config(), stream=stream)
    simulator = Simulator(demo_settings(config, seconds))
    n_frames = simulator.settings.n_frames
    calibration = simulator.camera.calibration()
    calibration.save(out / "calibration.h5")
    watch = RateWatch()
    with (
        closing(live_source(config)) as source,
        closing(ProgressSink(n_frames)) as progress,
        stop_on_signals() as stop,
        _children() as start,
    ):
        say(f"{n_frames} frames at {RATE_HZ:.0f}/s, occupancy {OCCUPANCY:.0%}")
        sender = start("hexlive.stream.cli", *_simulate(source.address, simulator))
        pictures: list[Child] = []

        def attach(address: str) -> None:
            """A picture of the end of the run, and a window unless headless."""
            picture = ("--snapshot", str(out / "monitor.png"), "--when-stopped")
            wait_s = ("--timeout", str(seconds + PATIENCE_S))
            pictures.append(start("hexlive.monitor.app", address, *picture, *wait_s))
            if not headless:
                start("hexlive.monitor.app", address)

        outcome = run_session(
            source, config, calibration, outputs, stop=_DemoStop(stop, sender),
            progress=progress, watchers=[watch], on_publish=attach,
        )  # fmt: skip
        measured = outcome.report.totals.expected > 0
        awaited = pictures if measured else []
        exit_code, *_ = [_wait(child, stop) for child in (sender, *awaited)]
        if stop.asked():
            so_far = f"what was measured so far is in {outputs.result}"
            say(f"Interrupted; {so_far if measured else 'nothing was measured'}.")
            return 1
    found = compare(out, simulator, config) if measured else NOTHING
    print("\n".join(summarise(out, config, outcome, found, watch.rates_hz)))
    return _complain(shortcomings(out, simulator, outcome, found, exit_code))


def _complain(sentences: Iterable[str]) -> int:
    """Exit code: 1 where there was something to say."""
    exit_code = 0
    for sentence in sentences:
        say(sentence)
        exit_code = 1
    return exit_code


def _outputs(out: Path) -> Outputs:
    """What the demo leaves in its folder, which is made."""
    recording = out / "recording.h5"
    if recording.exists():
        raise FileError(f"{out} holds a recording already; remove it or choose another --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"Cannot make the folder {out}: {error.strerror}.") from error
    return Outputs(result=out / "result.nxs", recording=recording, publish="tcp://127.0.0.1:*")


def demo_settings(config: Config, seconds: float) -> SimulatorSettings:
    """What the demo simulates: ``seconds`` of exposures in all, at the nominal frame rate."""
    settings = SimulatorSettings(
        seed=SEED, states=STATES, ct_after_states=CT_AFTER, occupancy=OCCUPANCY,
        detector=config.detector, compton=config.compton, components=config.components,
    )  # fmt: skip
    n_frames = round(seconds * config.detector.frame_rate_hz / len(settings.exposures))
    return replace(settings, frames_per_segment=max(1, n_frames))


def _simulate(address: str, simulator: Simulator) -> Iterator[str]:
    """Arguments of the simulator's process."""
    settings = simulator.settings
    seconds = settings.frames_per_segment / settings.detector.frame_rate_hz
    options = {
        "to": address,
        "rate": RATE_HZ,
        "seconds": seconds,
        "states": ",".join(map(str, settings.states)),
        "ct-after": ",".join(map(str, settings.ct_after_states)),
        "occupancy": settings.occupancy,
        "seed": settings.seed,
    }
    yield "simulate"
    for name, value in options.items():
        yield from (f"--{name}", str(value))


class _DemoStop(Stop):
    """The user's requests to stop, and the death of the simulator, which would end no series."""

    def __init__(self, user: Stop, simulator: Child) -> None:
        super().__init__()
        self._user, self._simulator = user, simulator

    def asked(self) -> bool:
        """Whether to end the run."""
        return self._user.asked() or self._simulator.poll() not in (None, 0)

    def insisted(self) -> bool:
        """Whether to give up even what is nearly done."""
        return self._user.insisted()


def _wait(child: Child, stop: Stop) -> int | None:
    """Exit code of a process; None where it outlasts the patience, or the user's."""
    deadline_s = time.monotonic() + PATIENCE_S
    while child.poll() is None and time.monotonic() < deadline_s and not stop.asked():
        time.sleep(POLL_S)
    return child.returncode


@contextmanager
def _children() -> Iterator[Callable[..., Child]]:
    """Starts modules as processes that end with the block, whatever happens.

    Each has a session of its own, so that Ctrl-C is for the demo alone to act on.
    """
    children: list[Child] = []

    def start(module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", module, *arguments]
        children.append(subprocess.Popen(command, start_new_session=True))
        return children[-1]

    try:
        yield start
    finally:
        for child in children:
            child.terminate()
        for child in children:
            _end(child)


def _end(child: Child) -> None:
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
