"""Suite: the most memory that a run takes, and that a longer one takes no more."""

import argparse
from typing import Final

import numpy as np

from hexlive.benchmarks.alone import peak_mb
from hexlive.benchmarks.stages import REAL_TIME_HZ, Bench, bench, whole_batches
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.kernels.cpu import available_cores
from hexlive.stream.config import Config

SECONDS: Final = 3.0
LONGER: Final = 4
OCCUPANCY: Final = 0.01
MB: Final = 1e6
QUICK: Final = {"memory_seconds": 1.0}
LIVE: Final = "live, recording, checkpoints"
COLUMNS: Final = (
    Column(key="program", heading="program"),
    Column(key="frames", heading="frames", given=True),
    Column(key="peak_mb", heading="peak", unit="MB"),
    Column(key="counters_mb", heading="counters", unit="MB"),
    Column(key="growth", heading="to shorter", unit="x", digits=2),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument(
        "--memory-seconds", type=float, default=SECONDS, help="frames at 9 kHz in the shorter run"
    )


def run(options: argparse.Namespace) -> Table:
    """Every program with a run, and with one four times as long."""
    n_frames = whole_batches(options.memory_seconds, REAL_TIME_HZ)
    n_bins = Config().spectrum.n_bins
    counters_mb = available_cores() * 80 * 80 * n_bins * np.dtype(np.uint32).itemsize / MB
    rows: list[dict[str, Cell]] = [_row("import hexlive.stream.cli", 0, peak_mb("--help"), None)]
    with bench(OCCUPANCY, n_frames) as made:
        for program, measure in (("hexlive process", _process_mb), (LIVE, _live_mb)):
            short_mb, long_mb = (measure(made, times) for times in (1, LONGER))
            rows.append(_row(program, n_frames, short_mb, counters_mb))
            rows.append(_row(program, LONGER * n_frames, long_mb, counters_mb, short_mb))
    return Table(
        title="Memory: the most that was resident of each program, 80 x 80 pixels",
        columns=COLUMNS,
        rows=rows,
        notes=[
            "Counters: the spectra of every thread; the least there is, before a snapshot.",
            "To shorter: peak of the longer run to that of the shorter; 1 is memory that does not "
            "depend on how long a run lasts.",
        ],
    )


def _row(
    program: str,
    n_frames: int,
    peak: float | None,
    counters_mb: float | None,
    shorter: float | None = None,
) -> dict[str, Cell]:
    growth = None if shorter is None or peak is None else peak / shorter
    return {
        "program": program,
        "frames": n_frames,
        "peak_mb": peak,
        "counters_mb": counters_mb,
        "growth": growth,
    }


def _live_mb(made: Bench, times: int) -> float:
    return made.run("checkpoint", times * made.n_frames).peak_mb


def _process_mb(made: Bench, times: int) -> float | None:
    recording = made.folder / f"recording_{times}.h5"
    made.record(recording, times)
    return peak_mb(
        "process", recording, "--calibration", made.calibration,
        "--out", made.folder / "result.nxs",
    )  # fmt: skip
