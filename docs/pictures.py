"""The pictures of the README and the documentation: ``make pictures``.

The simulated experiment goes through the real pipeline, in this process, and the monitor's own code
draws it. Exposures are short, so that it takes minutes; clocks are stretched to the 500 s of the
paper, so that the axes of time read as they would.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from PIL import Image  # comes with matplotlib
from PySide6.QtWidgets import QApplication

from hexlive.monitor.client import judge
from hexlive.monitor.easel import Easel
from hexlive.monitor.look import Look, PageName, ThemeName
from hexlive.stream.advice import Adviser
from hexlive.stream.config import Config
from hexlive.stream.model import (
    AdviceList,
    AnyMessage,
    Cycler,
    Frames,
    Mark,
    ScanEnd,
    Segment,
    Snapshot,
)
from hexlive.stream.pipeline import Report
from hexlive.stream.publisher import display
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.storage import Storage

FOLDER: Final = Path(__file__).with_name("pictures")
FRAMES: Final = 27_000
PATIENCE_S: Final = 120.0
POLL_S: Final = 0.05
PAPER_FRAMES: Final = 4_500_000
STARTED_S: Final = 1_700_000_000.0
MARKS: Final = {(3, 2): "beam refilled", (6, 2): "door opened"}  # by state and region
CYCLE: Final = SimulatorSettings(
    states=(1, 2, 3, 4, 5, 6, 7),
    frames_per_segment=FRAMES,
    occupancy=0.05,
    ct_after_states=(1, 2, 4, 5, 7),
)
LOSSY: Final = replace(CYCLE, states=(1, 2, 4), loss=0.012, ct_after_states=(1, 2))


class Shot(NamedTuple):
    """One picture: the first snapshot that is wanted, on a page."""

    name: str
    page: PageName
    wanted: Callable[[Snapshot], bool]
    theme: ThemeName = ThemeName.dark
    mode: str = "EMF"


def shrink(path: Path) -> None:
    """Keep 256 colours: a third of the bytes, and nothing that the eye would miss.

    Spread over all colours that there are, not over the pixels: so a green figure stays green.
    """
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
    few.save(path, optimize=True)


def exposing(state: int, region: int) -> Callable[[Snapshot], bool]:
    """More than half of an exposure is done."""

    def wanted(snapshot: Snapshot) -> bool:
        segment, rate_hz = snapshot.segment, Config().detector.frame_rate_hz
        here = segment is not None and (segment.state, segment.region) == (state, region)
        return here and snapshot.health.live_time_s > FRAMES / rate_hz / 2

    return wanted


def stopped(snapshot: Snapshot) -> bool:
    """The run is over, and its reconstructions are done."""
    return snapshot.status == "stopped"


SHOTS: Final = (
    Shot("collecting", PageName.overview, exposing(5, 3)),
    Shot("cycle", PageName.cell, stopped),
    Shot("ct", PageName.ct, stopped),
    Shot("maps", PageName.maps, stopped),
    Shot("spectra", PageName.spectra, stopped),
    Shot("compare", PageName.compare, exposing(4, 3), ThemeName.light, "superpixels"),
)
LOST: Final = (
    Shot("lost", PageName.overview, exposing(4, 3)),
    Shot("health", PageName.health, stopped),
)


class Painter:
    """A sink of reports that draws pictures in passing.

    Attributes
    ----------
    n_scans
        CT scans that are reconstructed and measured.
    """

    def __init__(self, config: Config, shots: tuple[Shot, ...]) -> None:
        self._config, self._sequence = config, 0
        self.n_scans = 0
        self._adviser = Adviser(config, lambda: "off")
        self._easels = {shot: Easel(Look(page=shot.page, theme=shot.theme)) for shot in shots}

    def put(self, report: Report) -> None:
        """Draw what is due; the other pictures remember what came before."""
        snapshot = display(report, self._config, self._sequence, Storage())
        self._sequence += 1
        if snapshot is None:
            return
        self.n_scans = len(snapshot.scans)
        advice = AdviceList(
            series=snapshot.series,
            sequence=snapshot.sequence,
            created_s=snapshot.created_s,
            status=snapshot.status,
            advice=self._adviser.review(report),
        )
        for shot, easel in list(self._easels.items()):
            easel.screen.take_advice(advice)
            if shot.wanted(snapshot):
                easel.screen.context.choose(mode=shot.mode)
                path = FOLDER / f"{shot.name}.png"
                easel.draw(snapshot, path, judge(snapshot, 0.4), 0.4)
                shrink(path)
                print(f"{path}  {path.stat().st_size / 1e3:.0f} kB", flush=True)
                del self._easels[shot]
            else:
                easel.screen.context.history.take(snapshot)

    def close(self) -> None:
        """Nothing is open here."""


class Simulated:
    """The messages of a simulator as a source, with the clocks of the paper.

    It waits for each CT scan, so that the pictures do not depend on the speed of the machine.
    """

    live = False

    def __init__(self, simulator: Simulator, painter: Painter) -> None:
        self._painter = painter
        self.rejected: Counter[str] = Counter()
        self._messages = simulator.messages(started_s=STARTED_S)

    def __iter__(self) -> Iterator[AnyMessage | None]:
        for message in self._messages:
            late = stretched(message)
            yield late
            if isinstance(late, ScanEnd):
                yield from self._until(late.scan)
            if isinstance(late, Segment) and (late.state, late.region) in MARKS:
                label = MARKS[late.state, late.region]
                yield Mark(series=late.series, label=label, time_s=late.started_s or STARTED_S)
        while True:
            yield None

    def _until(self, n_scans: int) -> Iterator[None]:
        deadline_s = time.monotonic() + PATIENCE_S
        while self._painter.n_scans < n_scans and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
            yield None


def stretched(message: AnyMessage) -> AnyMessage:
    """The same message, as late as it would be with the exposures of the paper."""
    name = {Frames: "timestamp_s", Cycler: "time_s", Segment: "started_s"}.get(type(message))
    if name is None:
        return message
    late_s = STARTED_S + (getattr(message, name) - STARTED_S) * PAPER_FRAMES / FRAMES
    return msgspec.structs.replace(message, **{name: late_s})


def paint(settings: SimulatorSettings, shots: tuple[Shot, ...]) -> None:
    """Run one experiment and draw its pictures."""
    config, simulator = Config(), Simulator(settings)
    painter = Painter(config, shots)
    with tempfile.TemporaryDirectory() as folder:
        run_session(
            Simulated(simulator, painter),
            config,
            simulator.camera.calibration(),
            Outputs(result=Path(folder) / "result.nxs"),
            progress=painter,
        )


if __name__ == "__main__":
    application = QApplication([sys.argv[0], "-platform", "offscreen"])
    FOLDER.mkdir(exist_ok=True)
    paint(LOSSY, LOST)
    paint(CYCLE, SHOTS)
