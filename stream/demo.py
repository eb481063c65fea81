"""The main job without a detector, from end to end, with truth held against measurement.

Simulator process -> ZeroMQ -> pipeline (this process) -> monitor process; a CT scan at the end
triggers a reconstruction in a process of its own. The simulator draws fresh photons for every
frame; only its electronic noise comes from a pool of frames.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from hexlive.stream.config import Config, StreamSettings
from hexlive.stream.console import ProgressSink, say
from hexlive.stream.demo_summary import summarise
from hexlive.stream.files import FileError
from hexlive.stream.model import End, Frames, Message, ScanStart, Segment
from hexlive.stream.session import Outputs, live_source, run_session, stop_on_signals
from hexlive.stream.simulate import Simulator, SimulatorSettings

STATES: Final = (1, 2, 4)
CT_AFTER: Final = (4,)
OCCUPANCY: Final = 0.03
RATE_HZ: Final = 9_200.0  # the detector's 9,000, and a margin to show
SEED: Final = 1
PATIENCE_S: Final = 60.0


class RateWatch:
    """Frames and seconds of each exposure as they arrive, without the pauses in between."""

    def __init__(self) -> None:
        self.rates_hz: list[float] = []
        self._count, self._first_s, self._last_s = 0, 0.0, 0.0

    def put(self, message: Message) -> None:
        """Note the arrival of frames; anything that ends an exposure closes its account."""
        match message:
            case Frames() if self._count == 0:
                self._first_s = self._last_s = time.monotonic()
                self._count = 1  # the first batch only starts the clock
            case Frames(frames=frames):
                self._last_s = time.monotonic()
                self._count += len(frames)
            case Segment() | ScanStart() | End():
                self.close()

    def close(self) -> None:
        """Book the present exposure."""
        seconds, frames = self._last_s - self._first_s, self._count - 1
        if frames > 0 and seconds > 0:
            self.rates_hz.append(frames / seconds)
        self._count = 0


def run_demo(out: Path, seconds: float, *, headless: bool) -> int:
    """Run the demo and print its summary; returns the exit code.

    Raises
    ------
    FileError
        The folder holds a recording already.
    """
    out.mkdir(parents=True, exist_ok=True)
    outputs = Outputs(
        result=out / "result.nxs", recording=out / "recording.h5", publish="tcp://127.0.0.1:*"
    )
    if (out / "recording.h5").exists():
        raise FileError(f"{out} holds a recording already; remove it or choose another --out.")
    config = replace(Config(), stream=StreamSettings(input="tcp://127.0.0.1:*"))
    simulator = Simulator(demo_settings(config, seconds))
    calibration = simulator.camera.calibration()
    calibration.save(out / "calibration.h5")
    watch = RateWatch()
    with (
        closing(live_source(config)) as source,
        stop_on_signals() as should_stop,
        _children() as children,
    ):
        say(f"{simulator.settings.n_frames} frames at {RATE_HZ:.0f}/s, occupancy {OCCUPANCY:.0%}")
        children.append(_start("hexlive.stream.cli", *_simulate(source.address, simulator)))

        def attach(address: str) -> None:
            """A picture of the end of the run, and a window unless headless."""
            picture = ("--snapshot", str(out / "monitor.png"), "--when-stopped")
            wait_s = ("--timeout", str(seconds + PATIENCE_S))
            children.append(_start("hexlive.monitor.app", address, *picture, *wait_s))
            if not headless:
                children.append(_start("hexlive.monitor.app", address))

        outcome = run_session(
            source, config, calibration, outputs, should_stop=should_stop,
            progress=ProgressSink(simulator.settings.n_frames), watchers=[watch],
            on_publish=attach,
        )  # fmt: skip
        for child in children[:2]:
            child.wait(PATIENCE_S)
    lines = summarise(out, simulator, config, outcome, watch.rates_hz)
    print("\n".join(lines))
    expected, received = outcome.report.totals
    return 0 if outcome.complete and received == expected else 1


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


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments])


@contextmanager
def _children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the block, whatever happens."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(PATIENCE_S)
