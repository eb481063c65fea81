"""Suite: slices per engine beside other packages, their error, and a volume in chunks of rows."""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import ceil
from multiprocessing import get_context
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.chunked import reconstruct_in_chunks
from hexlive.benchmarks.ellipses import Ellipses, cell
from hexlive.benchmarks.growing import LAST_PART, seconds_to_cuts
from hexlive.benchmarks.peak_memory import peak_bytes, reset_peak
from hexlive.benchmarks.reconstructors import BARE, Reconstructor, makers
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import Contender, Timings, positive, take_turns
from hexlive.kernels.cpu import available_cores
from hexlive.reconstruct.ct.choosing import GPU_ENGINES, candidates
from hexlive.reconstruct.ct.engines import Engine
from hexlive.reconstruct.ct.geometry import Geometry, field_of_view
from hexlive.reconstruct.optional import EngineUnavailableError

SIZES: Final = ("512/720", "2560/3600")
TURNS: Final = 5
STEADY_S: Final = 2.0  # at least, of each turn of a program
LARGE: Final = 1000  # columns, from which on direct methods would take minutes per slice
BLOCK_ROWS: Final = 256
SCAN_ROWS: Final = 2160  # of the scan for which this is made
FEW: Final = 20  # there, only one angle in so many is timed
QUICK: Final = {"size": [(512, 720)], "ct_turns": 2, "block_rows": 64}
WARM_UP_ROWS: Final = 16
MIB: Final = 1 << 20
MB: Final = 1_000_000
COLUMNS: Final = (
    Column(key="columns", heading="columns", given=True),
    Column(key="angles", heading="angles", given=True),
    Column(key="program", heading="program"),
    Column(key="seconds_per_slice", heading="time", unit="s/slice", digits=4),
    Column(key="to_bare", heading="time", unit="x finufft", digits=2),
    Column(key="spread_percent", heading="spread", unit="%", digits=1),
    Column(key="rmse", heading="RMSE", unit="of filling", digits=4),
    Column(key="timed_angles", heading="timed", unit="angles", given=True),
    Column(key="memory_mib", heading="memory", unit="MiB"),
)


class FirstRun(NamedTuple):
    """What the first run of a program tells: its error, and the memory that it took."""

    rmse: float | None
    memory_mib: float | None


@dataclass(frozen=True, slots=True)
class Case:
    """A phantom in a field of so many columns, seen from so many angles over half a turn."""

    columns: int
    n_angles: int

    @property
    def phantom(self) -> Ellipses:
        """The same at every size."""
        return cell(self.columns / 2)

    def timed_angles(self, program: Reconstructor) -> int:
        """Of how many angles the time is taken."""
        few = program.in_proportion and self.columns >= LARGE
        return self.n_angles // FEW if few else self.n_angles

    def sinogram(self, program: Reconstructor, n_angles: int, rows: int) -> NDArray[np.float32]:
        """What a program takes of so many angles, the same in each row."""
        angles_rad = spread(n_angles) * (-1 if program.clockwise else 1)
        one = self.phantom.sinogram(angles_rad, self._axis_px(program), self.columns)
        return np.repeat(one, rows, axis=0)

    def rmse(self, program: Reconstructor, image: NDArray[np.float32]) -> float:
        """Of a slice within the field of view; 1 is the attenuation of the filling."""
        truth = self.phantom.image(self.columns, self._axis_px(program))
        inside = field_of_view(self.columns)
        return float(np.sqrt(np.mean(np.square(image - truth)[inside], dtype=np.float64)))

    def _axis_px(self, program: Reconstructor) -> float:
        return (self.columns - 1) / 2 + 0.5 * program.half_px


def spread(n_angles: int) -> NDArray[np.float64]:
    """Angles over half a turn, rad."""
    return np.arange(n_angles) * np.pi / n_angles


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument(
        "--size", action="append", type=_size, metavar="COLUMNS/ANGLES",
        help=f"may be repeated; default: {' and '.join(SIZES)}",
    )  # fmt: skip
    parser.add_argument("--ct-turns", type=positive, default=TURNS, help="timed runs of each")
    parser.add_argument(
        "--block-rows", type=positive, default=BLOCK_ROWS, metavar="ROWS",
        help="of the block that a GPU reconstructs",
    )  # fmt: skip
    parser.add_argument(
        "--all-rmse", action="store_true",
        help="also of programs that take minutes per slice at the larger size",
    )  # fmt: skip


def run(options: argparse.Namespace) -> Table:
    """Measure; takes a few minutes."""
    sizes = options.size or [_size(text) for text in SIZES]
    rows: list[dict[str, Cell]] = []
    notes: list[str] = []
    for columns, n_angles in sizes:
        case = Case(columns, n_angles)
        programs, absent = _made(case)
        notes += [note for note in dict.fromkeys(absent) if note not in notes]
        rows += _rows(case, programs, options)
        notes += [_chunks_note(case), *_block_notes(case, options.block_rows)]
    return Table(
        title=f"reconstruct: slices of ellipses with exact line integrals over half a turn, "
        f"{available_cores()} cores, medians of {options.ct_turns} turns",
        columns=COLUMNS,
        rows=rows,
        notes=[
            *notes,
            "Bare finufft is the transform of the engine fourier alone, without filtering.",
            "Where fewer angles than all were timed, the time is in proportion to the angles.",
        ],
        spreads_percent=[row["spread_percent"] for row in rows],
    )


def _size(text: str) -> tuple[int, int]:
    columns, _, n_angles = text.partition("/")
    return positive(columns), positive(n_angles)


def _made(case: Case) -> tuple[dict[str, Reconstructor], list[str]]:
    """The programs that are installed, and sentences about those that are not."""
    programs, absent = {}, []
    for name, make in makers().items():
        try:
            programs[name] = make(spread(case.n_angles), case.columns)
            n_angles = case.timed_angles(programs[name])
            if n_angles < case.n_angles:
                programs[name] = make(spread(n_angles), case.columns)
        except EngineUnavailableError as error:
            absent.append(str(error))
    return programs, absent


def _rows(
    case: Case, programs: dict[str, Reconstructor], options: argparse.Namespace
) -> list[dict[str, Cell]]:
    sinograms = {
        name: case.sinogram(program, case.timed_angles(program), program.rows)
        for name, program in programs.items()
    }
    first = {name: _first_run(case, p, sinograms[name]) for name, p in programs.items()}
    contenders = {name: _contender(p, sinograms[name]) for name, p in programs.items()}
    timings = take_turns(contenders, options.ct_turns)
    if options.all_rmse:
        for name, program in programs.items():
            first[name] = _with_rmse(case, name, program, first[name])
    return [_row(case, name, programs[name], timings, first[name]) for name in programs]


def _contender(program: Reconstructor, sinogram: NDArray[np.float32]) -> Contender:
    """Stacks one after the other for a while, as in a volume: one alone tells of its start."""
    began = time.perf_counter()
    program.run(sinogram)
    repeats = ceil(STEADY_S / (time.perf_counter() - began))

    def action() -> None:
        for _ in range(repeats):
            program.run(sinogram)

    return Contender(action, repeats * program.rows)


def _first_run(case: Case, program: Reconstructor, sinogram: NDArray[np.float32]) -> FirstRun:
    """Error of the first slice, and how much memory it took to make."""
    before = reset_peak()
    image = program.run(sinogram)[0]
    peak = peak_bytes()
    memory = None if before is None or peak is None else (peak - before) / MIB
    comparable = program.makes_slices and sinogram.shape[1] == case.n_angles
    return FirstRun(case.rmse(program, image) if comparable else None, memory)


def _with_rmse(case: Case, name: str, program: Reconstructor, known: FirstRun) -> FirstRun:
    """The error where it is not known, from one slice of all angles."""
    if known.rmse is not None or not program.makes_slices:
        return known
    whole = makers()[name](spread(case.n_angles), case.columns)
    image = whole.run(case.sinogram(whole, case.n_angles, 1))[0]
    return known._replace(rmse=case.rmse(whole, image))


def _row(
    case: Case, name: str, program: Reconstructor, timings: Timings, first: FirstRun
) -> dict[str, Cell]:
    timed_angles = case.timed_angles(program)
    share = case.n_angles / timed_angles
    rate_hz, ratio = timings.median_hz(name), timings.ratio(BARE, name)
    return {
        "columns": case.columns,
        "angles": case.n_angles,
        "program": name,
        "seconds_per_slice": None if rate_hz is None else share / rate_hz,
        "to_bare": None if ratio is None else share * ratio,
        "spread_percent": timings.spread_percent(name, BARE) if name != BARE else None,
        "rmse": first.rmse,
        "timed_angles": timed_angles,
        "memory_mib": first.memory_mib,
    }


def _block_notes(case: Case, n_rows: int) -> list[str]:
    """How long a block of rows takes on a GPU, from the host's memory to the host's memory."""
    engines = [name for name in candidates() if name in GPU_ENGINES]
    if not engines:
        return ["No GPU figures: CuPy reaches no GPU here."]
    angles_rad = spread(case.n_angles)
    geometry = Geometry(
        angles_rad=angles_rad, centre_px=(case.columns - 1) / 2, columns=case.columns
    )
    one = case.phantom.sinogram(angles_rad, geometry.centre_px, case.columns)
    sinogram = np.repeat(one, n_rows, axis=0)
    notes = []
    for name in engines:
        engine = Engine(name, geometry)
        engine(sinogram[:WARM_UP_ROWS])
        began = time.perf_counter()
        engine(sinogram)
        seconds = time.perf_counter() - began
        notes.append(
            f"{name}: {n_rows} rows of {case.columns} columns and {case.n_angles} angles took "
            f"{seconds:.3g} s with both copies; {SCAN_ROWS} rows would take "
            f"{seconds * SCAN_ROWS / n_rows:.3g} s in proportion."
        )
        notes.append(_growing_note(case, n_rows, name))
    return notes


def _growing_note(case: Case, n_rows: int, engine: str) -> str:
    """What the last projections cost a volume that grows on a GPU."""
    begin = (
        f"{engine}, a volume of {n_rows} rows in pixels twice as wide that grows with its scan: "
    )
    try:
        seconds = seconds_to_cuts(case.columns, case.n_angles, n_rows, engine)
    except EngineUnavailableError as error:
        return f"{begin}{error}"
    return (
        f"{begin}{seconds:.3g} s from the last {100 * LAST_PART:.0f} % of the projections to two "
        f"cuts; {SCAN_ROWS} rows would take {seconds * SCAN_ROWS / n_rows:.3g} s in proportion."
    )


def _chunks_note(case: Case) -> str:
    """What a volume in chunks of rows takes, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        run = pool.submit(reconstruct_in_chunks, case.columns, case.n_angles).result()
    peak = "a peak that this system does not tell"
    if run.peak_bytes is not None:
        peak = f"{run.peak_bytes / MB:.0f} MB at most"
    return (
        f"{run.rows} rows of {case.columns} columns and {case.n_angles} angles in {run.chunks} "
        f"chunks of {run.chunk_rows} within {run.limit_mb:.0f} MB took {peak}; the engine is "
        f"{run.engine_reason}"
    )
