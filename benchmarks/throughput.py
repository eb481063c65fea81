"""Suite: what this machine sustains, one stage of the pipeline more each time, beside transport."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hexlive.benchmarks.receiver import STAGES
from hexlive.benchmarks.stages import (
    REAL_TIME_HZ,
    Bench,
    Passed,
    StageError,
    bench,
    highest_rate_hz,
    whole_batches,
)
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import Timings, positive
from hexlive.stream.config import Config
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session

FRAME_MB: Final = 80 * 80 * 2 / 1e6
OCCUPANCY: Final = 0.01
DIFFERENT_S: Final = 3.0  # of frames at 9 kHz, sent over and over: 350 MB, more than any cache
TURNS: Final = 3
SECONDS: Final = 30.0
SUSTAINED_S: Final = 10.0
RESOLUTION: Final = 0.05
NAMES: Final = {
    "transport": "ZeroMQ, decoded and numbered",
    "reduce": "+ events, spectra, EMF",
    "record": "+ recording",
    "checkpoint": "+ checkpoints, twice a second",
    "monitor": "+ a monitor",
}
QUICK: Final = {"seconds": 6.0, "rounds": 2, "sustain": 0.0}
COLUMNS: Final = (
    Column(key="stage", heading="stage"),
    Column(key="rate_hz", heading="rate", unit="frames/s"),
    Column(key="mb_per_s", heading="rate", unit="MB/s"),
    Column(key="real_time", heading="rate", unit="x 9 kHz", digits=1),
    Column(key="transport_percent", heading="of transport", unit="%"),
    Column(key="memory_mb", heading="memory", unit="MB"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--occupancy", type=float, default=OCCUPANCY, help="pixels hit, 0 to 1")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="frames at 9 kHz for each stage and turn"
    )
    parser.add_argument("--rounds", type=positive, default=TURNS, help="turns of all stages")
    parser.add_argument(
        "--sustain",
        type=float,
        default=SUSTAINED_S,
        help="seconds for which the highest rate must lose nothing; 0: do not look for it",
    )


def run(options: argparse.Namespace) -> Table:
    """Measure every stage in turn, then look for the highest rate that loses nothing."""
    n_frames = whole_batches(options.seconds, REAL_TIME_HZ)
    n_different = min(n_frames, whole_batches(DIFFERENT_S, REAL_TIME_HZ))
    with bench(options.occupancy, n_different) as made:
        passed, faults = _passed(made, n_frames, options.rounds)
        rows = [_row(name, passed) for name in STAGES if passed[name]]
        sustained, notes = None, []
        if options.sustain > 0 and not faults:
            limit_hz = max(each.rate_hz for each in passed[STAGES[-1]])
            sustained, tried = highest_rate_hz(made, options.sustain, limit_hz, RESOLUTION)
            notes = [_headline(options.sustain, sustained, tried)]
        rows.append(_file_row(made, n_different))
    return Table(
        title=f"Throughput: 80 x 80 pixels, {options.occupancy:.0%} of them hit, a camera, the "
        f"pipeline and the monitor in a process each, {n_frames} frames, median of "
        f"{options.rounds}",
        columns=COLUMNS,
        rows=rows,
        notes=[*notes, *faults],
        spreads_percent=_spreads(passed),
    )


def _passed(made: Bench, n_frames: int, n_rounds: int) -> tuple[dict[str, list[Passed]], list[str]]:
    """All stages, turn by turn, forwards and then backwards; and why one is absent."""
    passed: dict[str, list[Passed]] = {name: [] for name in STAGES}
    faults: dict[str, str] = {}
    for turn in range(n_rounds):
        for name in STAGES if turn % 2 == 0 else STAGES[::-1]:
            if name in faults:
                continue
            try:
                passed[name].append(made.run(name, n_frames))
            except StageError as error:
                faults[name] = f"No figure {NAMES[name]!r}: {error}"
    return passed, list(faults.values())


def _row(name: str, passed: dict[str, list[Passed]]) -> dict[str, Cell]:
    timings = _timings(passed)
    rate_hz = timings.median_hz(name)
    share = timings.ratio(name, STAGES[0])
    assert rate_hz is not None
    return {
        "stage": NAMES[name],
        "rate_hz": rate_hz,
        "mb_per_s": rate_hz * FRAME_MB,
        "real_time": rate_hz / REAL_TIME_HZ,
        "transport_percent": None if share is None else 100 * share,
        "memory_mb": max(each.peak_mb for each in passed[name]),
    }


def _timings(passed: dict[str, list[Passed]]) -> Timings:
    return Timings({name: [one.rate_hz for one in runs] for name, runs in passed.items() if runs})


def _spreads(passed: dict[str, list[Passed]]) -> list[Cell]:
    timings = _timings(passed)
    return [timings.spread_percent(name, STAGES[0]) for name in STAGES[1:]]


def _headline(seconds: float, sustained_hz: float, tried: Sequence[tuple[float, Passed]]) -> str:
    """The highest rate without a loss, and what was lost at the next one tried above it."""
    above = [each for each in tried if not each[1].whole]
    text = (
        f"Highest rate without one frame lost for {seconds:g} s, recording and a monitor attached: "
        f"{sustained_hz:,.0f} frames/s ({sustained_hz / REAL_TIME_HZ:.1f} x 9 kHz)"
    )
    if not above:
        return f"{text}; nothing was lost at any rate tried."
    rate_hz, lost = min(above, key=lambda each: each[0])
    n_lost, n_sent = lost.dropped + lost.missing, whole_batches(seconds, rate_hz)
    return f"{text}; at {rate_hz:,.0f} frames/s {n_lost / n_sent:.1%} were lost."


def _file_row(made: Bench, n_frames: int) -> dict[str, Cell]:
    """A recording to a result file, in this process."""
    recording, config = made.folder / "recording.h5", Config()
    made.record(recording)
    calibration = made.simulator.camera.calibration()
    outputs = Outputs(result=Path(made.folder) / "result.nxs")
    rates = []
    for _ in range(TURNS):
        began_s = time.perf_counter()
        run_session(open_file(recording), config, calibration, outputs)
        rates.append(n_frames / (time.perf_counter() - began_s))
    rate_hz = sorted(rates)[len(rates) // 2]
    return {
        "stage": "hexlive process",
        "rate_hz": rate_hz,
        "mb_per_s": rate_hz * FRAME_MB,
        "real_time": rate_hz / REAL_TIME_HZ,
        "transport_percent": None,
        "memory_mb": None,
    }
