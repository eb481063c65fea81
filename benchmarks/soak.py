"""Suite: a camera at its rate for long, with recording and a monitor: losses, slope of memory."""

import argparse
from typing import Final

import numpy as np

from hexlive.benchmarks.receiver import STAGES
from hexlive.benchmarks.stages import REAL_TIME_HZ, FloatArray, bench, whole_batches
from hexlive.benchmarks.table import Column, Table

SOAK_S: Final = 60.0
DIFFERENT_S: Final = 3.0
OCCUPANCY: Final = 0.01
SETTLED: Final = 0.25  # of the time, in which buffers fill and code is compiled
MINUTE_S: Final = 60.0
QUICK: Final = {"soak": 8.0}
COLUMNS: Final = (
    Column(key="minutes", heading="time", unit="min", digits=1, given=True),
    Column(key="rate_hz", heading="rate", unit="frames/s"),
    Column(key="dropped", heading="dropped", unit="frames"),
    Column(key="missing", heading="missing", unit="frames"),
    Column(key="memory_mb", heading="peak memory", unit="MB"),
    Column(key="slope_mb_per_min", heading="its slope", unit="MB/min", digits=2),
    Column(key="slope_sigma_mb_per_min", heading="+-", unit="MB/min", digits=2),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--soak", type=float, default=SOAK_S, help="seconds at the rate")
    parser.add_argument("--rate", type=float, default=REAL_TIME_HZ, help="frames per second")


def run(options: argparse.Namespace) -> Table:
    """One long series at a fixed rate."""
    n_frames = whole_batches(options.soak, options.rate)
    with bench(OCCUPANCY, min(n_frames, whole_batches(DIFFERENT_S, REAL_TIME_HZ))) as made:
        passed = made.run(STAGES[-1], n_frames, options.rate)
    slope, sigma = memory_slope(passed.memory_mb)
    row = {
        "minutes": options.soak / MINUTE_S,
        "rate_hz": passed.rate_hz,
        "dropped": float(passed.dropped),
        "missing": float(passed.missing),
        "memory_mb": passed.peak_mb,
        "slope_mb_per_min": slope,
        "slope_sigma_mb_per_min": sigma,
    }
    return Table(
        title=f"Soak: 80 x 80 pixels, {OCCUPANCY:.0%} hit, recording and a monitor attached",
        columns=COLUMNS,
        rows=[row],
        notes=["Memory counts as flat where its slope is within two of its own errors of zero."],
    )


def memory_slope(memory_mb: FloatArray) -> tuple[float | None, float | None]:
    """Slope of memory against time, MB/min, and its standard error, after the first quarter.

    Parameters
    ----------
    memory_mb
        ``(n, 2)``: seconds, MB.
    """
    settled = memory_mb[round(len(memory_mb) * SETTLED) :]
    if len(settled) < 4:
        return None, None
    minutes, resident = settled[:, 0] / MINUTE_S, settled[:, 1]
    (slope, _), covariance = np.polyfit(minutes, resident, 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))
