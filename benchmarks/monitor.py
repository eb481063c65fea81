"""Suite: what the monitor costs and how old its data are, beside a pipeline at 9 kHz."""

import argparse
from typing import Final

from hexlive.benchmarks.stages import REAL_TIME_HZ, bench, whole_batches
from hexlive.benchmarks.table import Column, Table
from hexlive.monitor.look import PageName

REPORT_HZ: Final = 10.0
SECONDS: Final = 8.0
OCCUPANCY: Final = 0.01
DIFFERENT_S: Final = 1.0
MARGIN_S: Final = 6.0  # of frames beyond those that are watched: for the window to open
QUICK: Final = {"watch": 4.0, "pages": ["overview"]}
COLUMNS: Final = (
    Column(key="page", heading="page"),
    Column(key="redraws_per_s", heading="redraws", unit="1/s", digits=1),
    Column(key="gui_percent", heading="GUI thread", unit="% of a core"),
    Column(key="age_ms", heading="age of data", unit="ms, median"),
    Column(key="oldest_ms", heading="age of data", unit="ms, most"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--watch", type=float, default=SECONDS, help="seconds to watch each page")
    parser.add_argument(
        "--reports", type=float, default=REPORT_HZ, help="snapshots per second that are published"
    )
    pages = [page.value for page in PageName]
    parser.add_argument("--pages", nargs="+", choices=pages, default=pages, help="default: all")


def run(options: argparse.Namespace) -> Table:
    """Watch each page while a camera sends at 9 kHz."""
    n_frames = whole_batches(options.watch + MARGIN_S, REAL_TIME_HZ)
    n_different = min(n_frames, whole_batches(DIFFERENT_S, REAL_TIME_HZ))
    with bench(OCCUPANCY, n_different) as made:
        rows = [
            {"page": page, **made.watch(page, options.watch, n_frames, options.reports)}
            for page in options.pages
        ]
    return Table(
        title=f"Monitor: a camera at 9 kHz, the pipeline with {options.reports:g} snapshots/s and "
        "the monitor in a process each, 1920 x 1080 without a screen",
        columns=COLUMNS,
        rows=rows,
        notes=["Age: from the making of a snapshot in the pipeline until it has been drawn."],
    )
