"""Suite: a camera of several modules, merged to whole frames and counted."""

import argparse
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.frames import SHAPE, SPECTRUM, make_frames, make_pixels
from hexlive.benchmarks.stages import REAL_TIME_HZ
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import Contender, positive, take_turns
from hexlive.kernels.backend import EventSettings, PixelMaps
from hexlive.kernels.cpu import CpuBackend, available_cores
from hexlive.stream.inbox import NONE_QUEUED
from hexlive.stream.model import AnyMessage, End, Frames, Start
from hexlive.stream.modules import ModuleSource

GRIDS: Final = ((1, 1), (2, 2), (2, 6))
OCCUPANCY: Final = 0.01
BATCH: Final = 256
N_FRAMES: Final = 1024
PASSES: Final = 4  # through these frames per turn
TURNS: Final = 5
QUICK: Final = {"module_turns": 3}
COLUMNS: Final = (
    Column(key="modules", heading="modules"),
    Column(key="merged_hz", heading="merged", unit="frames/s"),
    Column(key="copy_percent", heading="of a copy", unit="%"),
    Column(key="counted_hz", heading="and counted", unit="frames/s"),
    Column(key="real_time", heading="of 9 kHz", unit="x", digits=1),
    Column(key="gb_per_s", heading="at 9 kHz", unit="GB/s", digits=2, given=True),
    Column(key="spread_percent", heading="spread", unit="%", digits=1),
)


class _Made:
    """The stream of one module, in memory."""

    address, queued = "memory", NONE_QUEUED

    def __init__(self, frames: NDArray[np.uint16]) -> None:
        self.rejected: Counter[str] = Counter()
        self._frames = frames

    def __iter__(self) -> Iterator[AnyMessage | None]:
        rows, columns = SHAPE
        yield Start(series="s", rows=rows, columns=columns, frame_rate_hz=REAL_TIME_HZ, started_s=0)
        for first in range(0, len(self._frames), BATCH):
            part = self._frames[first : first + BATCH]
            yield Frames(series="s", first_frame=first, timestamp_s=0, frames=part)
        yield End(series="s", last_frame=len(self._frames) - 1)

    def close(self) -> None:
        """There is nothing to close."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--module-turns", type=positive, default=TURNS, help="timed runs of each")


def run(options: argparse.Namespace) -> Table:
    """Frames of every grid, merged alone, and merged and counted."""
    rows = [_row(grid, options.module_turns) for grid in GRIDS]
    return Table(
        title=f"modules: {N_FRAMES} frames of 80 x 80 per module, {OCCUPANCY:.0%} of pixels hit, "
        f"{available_cores()} cores, medians of {options.module_turns} turns",
        columns=COLUMNS,
        rows=rows,
        notes=[
            "From memory: what the sockets take is in the suite throughput, per frame of a module.",
            "Of a copy: beside numpy.copyto of the same frames into the same memory each time.",
        ],
        spreads_percent=[row["spread_percent"] for row in rows],
    )


def _row(grid: tuple[int, int], n_turns: int) -> dict[str, Cell]:
    tiles = [make_frames(OCCUPANCY, N_FRAMES) for _ in range(grid[0] * grid[1])]
    pixels = _pixels(grid)
    backend = CpuBackend(events=EventSettings(), spectrum=SPECTRUM, pixels=pixels)
    timings = take_turns(
        {
            "copy": Contender(partial(_copy, tiles), PASSES * N_FRAMES),
            "merge": Contender(partial(_merge, tiles, grid, None), PASSES * N_FRAMES),
            "count": Contender(partial(_merge, tiles, grid, backend), PASSES * N_FRAMES),
        },
        n_turns,
    )
    counted_hz, ratio = timings.median_hz("count"), timings.ratio("merge", "copy")
    return {
        "modules": f"{grid[0]} x {grid[1]}",
        "merged_hz": timings.median_hz("merge"),
        "copy_percent": None if ratio is None else 100 * ratio,
        "counted_hz": counted_hz,
        "real_time": None if counted_hz is None else counted_hz / REAL_TIME_HZ,
        "gb_per_s": REAL_TIME_HZ * 2 * pixels.masked.size / 1e9,
        "spread_percent": timings.spread_percent("count", "merge"),
    }


def _copy(tiles: list[NDArray[np.uint16]]) -> None:
    """Batch by batch into memory that was used before, as merging has it."""
    out = np.empty_like(tiles[0][:BATCH])
    for tile in PASSES * tiles:
        for first in range(0, len(tile), BATCH):
            np.copyto(out, tile[first : first + BATCH])


def _merge(
    tiles: list[NDArray[np.uint16]], grid: tuple[int, int], backend: CpuBackend | None
) -> None:
    for _ in range(PASSES):
        for message in ModuleSource([_Made(tile) for tile in tiles], grid, SHAPE):
            if isinstance(message, Frames) and backend is not None:
                backend.add(message.frames, message.first_frame)
            if isinstance(message, End):
                break


def _pixels(grid: tuple[int, int]) -> PixelMaps:
    """Of the whole camera: each module as `make_pixels` has it."""
    one = make_pixels()
    return PixelMaps(
        pedestal_adu=np.tile(one.pedestal_adu, grid),
        gradient_kev_per_adu=np.tile(one.gradient_kev_per_adu, grid),
        intercept_kev=np.tile(one.intercept_kev, grid),
        threshold_kev=np.tile(one.threshold_kev, grid),
        masked=np.tile(one.masked, grid),
        modules=grid,
    )
