"""Suite: how long it takes until something happens: imports, help, and the first frame counted."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import Final

from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import Contender, positive, take_turns

TURNS: Final = 7
COLD_TURNS: Final = 3
QUICK: Final = {"startup_turns": 2, "cold_turns": 1}
BARE: Final = "Python alone"
CACHE: Final = "NUMBA_CACHE_DIR"
FIRST_FRAME: Final = """
import numpy as np
from hexlive.benchmarks.frames import SPECTRUM, make_pixels
from hexlive.kernels.backend import EventSettings
from hexlive.kernels.cpu import CpuBackend
backend = CpuBackend(events=EventSettings(), spectrum=SPECTRUM, pixels=make_pixels())
backend.add(np.zeros((1, 80, 80), np.uint16), 0)
assert backend.snapshot().n_frames == 1
"""
PROGRAMS: Final = {
    BARE: ("-c", "pass"),
    "import of numpy, h5py, zmq": ("-c", "import numpy, h5py, zmq"),
    "import hexlive.stream.cli": ("-c", "import hexlive.stream.cli"),
    "hexlive --help": ("-m", "hexlive.stream.cli", "--help"),
    "first frame, compiled before": ("-c", FIRST_FRAME),
}
COLD: Final = "first frame, nothing compiled yet"
COLUMNS: Final = (
    Column(key="program", heading="until"),
    Column(key="seconds", heading="time", unit="s", digits=2),
    Column(key="to_bare", heading="time", unit="x Python", digits=1),
    Column(key="spread_percent", heading="spread", unit="%", digits=1),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--startup-turns", type=positive, default=TURNS, help="processes of each")
    parser.add_argument(
        "--cold-turns", type=int, default=COLD_TURNS, help="of those that compile first; 0: none"
    )


def run(options: argparse.Namespace) -> Table:
    """Start every program in turn, each time as a new process."""
    contenders = {name: Contender(partial(_start, *p), 1) for name, p in PROGRAMS.items()}
    timings = take_turns(contenders, options.startup_turns)
    rows: list[dict[str, Cell]] = []
    for name in PROGRAMS:
        rate_hz = timings.median_hz(name)
        assert rate_hz is not None
        rows.append(
            {
                "program": name,
                "seconds": 1 / rate_hz,
                "to_bare": timings.ratio(BARE, name),
                "spread_percent": None if name == BARE else timings.spread_percent(name, BARE),
            }
        )
    if options.cold_turns > 0:
        cold_s = statistics.median(_cold_s() for _ in range(options.cold_turns))
        rows.append(
            {
                "program": COLD,
                "seconds": cold_s,
                "to_bare": cold_s * (timings.median_hz(BARE) or 0.0),
                "spread_percent": None,
            }
        )
    return Table(
        title=f"Startup: a new process each time, medians of {options.startup_turns}, of "
        f"{options.cold_turns} for the last row",
        columns=COLUMNS,
        rows=rows,
        notes=["Files were read before, so they come from memory: the first start after a boot is "
               "slower by what the disk takes."],
        spreads_percent=[row["spread_percent"] for row in rows],
    )  # fmt: skip


def _cold_s() -> float:
    """Seconds to the first frame where no machine code is kept yet."""
    name, words = CACHE, PROGRAMS["first frame, compiled before"]
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        _start(*words, **{name: folder})
        return time.perf_counter() - began_s


def _start(*words: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, *words],
        env=os.environ | environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
