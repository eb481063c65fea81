"""Suite: how old a frame is when a snapshot with it is in a monitor's hands, over real sockets.

A camera, the pipeline and whoever listens are a process each. The camera says when each batch left
it, the listener when each snapshot was there and how many frames it held; nothing is lost, so the
first snapshot that holds a batch is known.
"""

import argparse
import statistics
from typing import Final

import numpy as np

from hexlive.benchmarks.camera import BATCH
from hexlive.benchmarks.stages import REAL_TIME_HZ, FloatArray, bench, whole_batches
from hexlive.benchmarks.table import Cell, Column, Table

SECONDS: Final = 20.0
REPORTS_HZ: Final = (2.0, 10.0)
OCCUPANCY: Final = 0.01
DIFFERENT_S: Final = 3.0
WARM_UP_S: Final = 2.0
PARTS: Final = 5  # of a run, to see how steady it was
MS: Final = 1e-3
QUICK: Final = {"latency_seconds": 6.0}
COLUMNS: Final = (
    Column(key="reports_hz", heading="snapshots", unit="1/s", given=True),
    Column(key="p50_ms", heading="age of a frame", unit="ms, median"),
    Column(key="limit_ms", heading="of the interval", unit="ms, median"),
    Column(key="p99_ms", heading="age of a frame", unit="ms, 99 %"),
    Column(key="newest_ms", heading="newest frame", unit="ms, median"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument(
        "--latency-seconds", type=float, default=SECONDS, help="frames at 9 kHz for each row"
    )


def run(options: argparse.Namespace) -> Table:
    """Follow every batch at 9 kHz from the camera to a snapshot."""
    n_frames = whole_batches(options.latency_seconds + WARM_UP_S, REAL_TIME_HZ)
    rows: list[dict[str, Cell]] = []
    spreads: list[Cell] = []
    with bench(OCCUPANCY, min(n_frames, whole_batches(DIFFERENT_S, REAL_TIME_HZ))) as made:
        for reports_hz in REPORTS_HZ:
            left_s, heard = made.follow(n_frames, reports_hz)
            heard = heard[heard[:, 1] < n_frames]  # the last ones come at once, not in their time
            ages_s = ages(left_s, heard)[left_s > left_s[0] + WARM_UP_S]
            ages_s = ages_s[np.isfinite(ages_s)]
            newest_s = newest_ages(left_s, heard)
            rows.append(
                {
                    "reports_hz": reports_hz,
                    "p50_ms": statistics.median(ages_s.tolist()) / MS,
                    "limit_ms": 0.5 / reports_hz / MS,
                    "p99_ms": float(np.percentile(ages_s, 99)) / MS,
                    "newest_ms": statistics.median(newest_s.tolist()) / MS,
                }
            )
            spreads.append(_spread_percent(ages_s))
    return Table(
        title=f"Latency: a camera at 9 kHz, recording, and a listener in a process each, "
        f"{options.latency_seconds:g} s",
        columns=COLUMNS,
        rows=rows,
        notes=[
            "Age: from the moment a batch of frames left the camera until the first snapshot with "
            "it was in the listener's hands. A frame waits half an interval between snapshots on "
            "average, however fast all else is.",
            "Newest frame: the age of the youngest batch in a snapshot, all that is not waiting.",
        ],
        spreads_percent=spreads,
    )


def ages(left_s: FloatArray, heard: FloatArray) -> FloatArray:
    """Seconds from leaving the camera to the first snapshot with it, of each batch that is in one.

    Parameters
    ----------
    left_s
        ``(batches,)``: when each left.
    heard
        ``(snapshots, 2)``: when each was there, and how many frames it held.
    """
    ends = BATCH * np.arange(1, len(left_s) + 1)
    first = np.searchsorted(heard[:, 1], ends)
    found = np.full(len(left_s), np.nan)
    seen = first < len(heard)
    found[seen] = heard[first[seen], 0] - left_s[seen]
    return found


def newest_ages(left_s: FloatArray, heard: FloatArray) -> FloatArray:
    """Seconds since the youngest batch in each snapshot left the camera; of those after warming up.

    Parameters
    ----------
    left_s, heard
        See `ages`.
    """
    n_batches = (heard[:, 1] // BATCH).astype(int)
    grown = np.flatnonzero(np.diff(n_batches, prepend=0) > 0)
    left = left_s[n_batches[grown] - 1]
    found: FloatArray = (heard[grown, 0] - left)[left > left_s[0] + WARM_UP_S]
    return found


def _spread_percent(ages_s: FloatArray) -> float | None:
    """Middle half of the medians of parts of a run, in percent of their median."""
    parts = [float(np.median(part)) for part in np.array_split(ages_s, PARTS) if part.size]
    if len(parts) < PARTS:
        return None
    lower, median, upper = statistics.quantiles(parts, n=4, method="inclusive")
    return 100 * (upper - lower) / median
