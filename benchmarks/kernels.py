"""Suite: the event kernels beside the facility's algorithm and the memory limit, in one run."""

import argparse
import ctypes
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks import gpu
from hexlive.benchmarks.comparator import FLAGS, FacilityChain, compile_chains, find_compiler
from hexlive.benchmarks.frames import (
    FRAME_BYTES,
    OCCUPANCIES,
    SPECTRUM,
    make_frames,
    make_pixels,
)
from hexlive.benchmarks.machine import cache_bytes
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import Contender, Timings, positive, take_turns
from hexlive.kernels.backend import Backend, BackendUnavailableError, EventSettings
from hexlive.kernels.cpu import CpuBackend, available_cores

Policy = Literal["add", "discriminate", "none"]

BATCH: Final = 512  # frames per call, as a live stream hands them over
MIN_FRAMES: Final = 16384
CACHES: Final = 2  # the frames are this many times as large as the last-level cache, or larger
TURNS: Final = 9
REPEATS: Final = 8  # of the frames on all cores: some systems leave threads of a few ms on one core
MIB: Final = 1 << 20
QUICK: Final = {"turns": 3}
LIMIT_OF: Final = {"cpu": "scan", gpu.DEVICE: gpu.DEVICE_COPY, gpu.PINNED: gpu.HOST_COPY}
COLUMNS: Final = (
    Column(key="backend", heading="backend"),
    Column(key="policy", heading="policy"),
    Column(key="occupancy_percent", heading="occupancy", unit="%", given=True),
    Column(key="per_core_hz", heading="per core", unit="frames/s"),
    Column(key="total_hz", heading="total", unit="frames/s"),
    Column(key="facility_hz", heading="facility", unit="frames/s"),
    Column(key="ratio", heading="ratio", unit="x", digits=2),
    Column(key="native_ratio", heading="to native", unit="x", digits=2),
    Column(key="spread_percent", heading="spread", unit="%", digits=1),
    Column(key="limit_gb_s", heading="limit", unit="GB/s", digits=1),
    Column(key="limit_percent", heading="of limit", unit="%", digits=1),
    Column(key="memory_mib", heading="memory", unit="MiB", digits=1),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One policy at one occupancy, with frames to count."""

    policy: Policy
    occupancy: float
    frames: NDArray[np.uint16]

    @property
    def events(self) -> EventSettings:
        """Default settings but for the policy."""
        return EventSettings(policy=self.policy)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument(
        "--backend", choices=("cpu", "cuda", "all"), default="all", help="that counts"
    )
    parser.add_argument(
        "--policy",
        choices=(*get_args(Policy), "all"),
        default="add",
        help="of clusters",
    )
    parser.add_argument("--turns", type=positive, default=TURNS, help="timed runs of each")
    parser.add_argument("--frames", type=positive, help="default: twice the last-level cache")


def run(options: argparse.Namespace) -> Table:
    """Measure; takes about a minute per policy.

    Raises
    ------
    BackendUnavailableError
        ``--backend cuda`` on a machine without a usable GPU.
    """
    n_frames = options.frames or max(MIN_FRAMES, CACHES * (cache_bytes() or 0) // FRAME_BYTES)
    policies = get_args(Policy) if options.policy == "all" else (options.policy,)
    backends, notes = _usable(options.backend)
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        chains = compile_chains(Path(folder))
        for case in _cases(policies, n_frames):
            contenders = _comparators(case, chains) | _contenders(case, backends)
            timings = take_turns(contenders, options.turns)
            rows += [_row(case, timings, name) for name in LIMIT_OF if _took_part(name, timings)]
    return Table(
        title=f"kernels: {n_frames} frames of 80 x 80 ({n_frames * FRAME_BYTES / MIB:.0f} MiB), "
        f"1000 bins, 30 % of photons shared, {available_cores()} cores, "
        f"medians of {options.turns} turns",
        columns=COLUMNS,
        rows=rows,
        notes=[*notes, _comparator_note()],
        spreads_percent=[row["spread_percent"] for row in rows],
    )


def _usable(backend: str) -> tuple[list[str], list[str]]:
    """The backends to measure, and a sentence about the one that is missing."""
    if backend == "cpu":
        return ["cpu"], []
    try:
        gpu.describe_gpu()
    except BackendUnavailableError as error:
        if backend == "cuda":
            raise
        return ["cpu"], [f"No CUDA figures: {error}"]
    return (["cuda"] if backend == "cuda" else ["cpu", "cuda"]), []


def _cases(policies: tuple[Policy, ...], n_frames: int) -> Iterator[Case]:
    for occupancy in OCCUPANCIES:
        frames = make_frames(occupancy, n_frames)
        for policy in policies:
            yield Case(policy, occupancy, frames)


def _comparators(case: Case, chains: dict[str, ctypes.CDLL]) -> dict[str, Contender]:
    """A plain scan of the frames, and the facility's chain."""
    counters = {name: FacilityChain(library, case.policy) for name, library in chains.items()}
    return {"scan": Contender(case.frames.max, len(case.frames))} | {
        name: Contender(partial(counter.add, case.frames), len(case.frames))
        for name, counter in counters.items()
    }


def _contenders(case: Case, backends: list[str]) -> dict[str, Contender]:
    contenders = {}
    if "cpu" in backends:
        contenders["one core"] = Contender(_count(_open_cpu(case), case), len(case.frames))
        contenders["all cores"] = _on_all_cores(case)
    if "cuda" in backends:
        contenders |= gpu.contenders(case.frames, case.events, SPECTRUM, make_pixels())
    return contenders


def _open_cpu(case: Case) -> Backend:
    return CpuBackend(events=case.events, spectrum=SPECTRUM, pixels=make_pixels(), threads=1)


def _on_all_cores(case: Case) -> Contender:
    """A camera for each core, each with its own backend and part of the frames."""
    parts = np.array_split(case.frames, available_cores())
    actions = [_count(_open_cpu(case), replace(case, frames=part)) for part in parts]

    def repeat(action: Callable[[], None]) -> None:
        for _ in range(REPEATS):
            action()

    def run_all() -> None:
        threads = [Thread(target=repeat, args=(action,)) for action in actions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return Contender(run_all, REPEATS * len(case.frames))


def _count(backend: Backend, case: Case) -> Callable[[], None]:
    def count() -> None:
        for begin in range(0, len(case.frames), BATCH):
            backend.add(case.frames[begin : begin + BATCH], begin)

    return count


def _took_part(name: str, timings: Timings) -> bool:
    return timings.median_hz("one core" if name == "cpu" else name) is not None


def _row(case: Case, timings: Timings, name: str) -> dict[str, Cell]:
    """Figures of one backend; a CPU is compared per core, a GPU as a whole."""
    cpu = name == "cpu"
    chief, limit = ("one core" if cpu else name), LIMIT_OF[name]
    rival = limit if timings.median_hz("facility") is None else "facility"
    fraction, limit_hz = timings.ratio(chief, limit), timings.median_hz(limit)
    return {
        "backend": name,
        "policy": case.policy,
        "occupancy_percent": 100 * case.occupancy,
        "per_core_hz": timings.median_hz("one core") if cpu else None,
        "total_hz": timings.median_hz("all cores" if cpu else name),
        "facility_hz": timings.median_hz("facility"),
        "ratio": timings.ratio(chief, "facility"),
        "native_ratio": timings.ratio(chief, "native"),
        "spread_percent": timings.spread_percent(chief, rival),
        "limit_gb_s": None if limit_hz is None else limit_hz * FRAME_BYTES / 1e9,
        "limit_percent": None if fraction is None else 100 * fraction,
        "memory_mib": (_cpu_bytes(case) if cpu else _gpu_bytes(case)) / MIB,
    }


def _gpu_bytes(case: Case) -> int:
    return gpu.device_bytes(case.frames, case.events, SPECTRUM, make_pixels())


def _cpu_bytes(case: Case) -> int:
    """Most that NumPy held for the backend while it was made and counted a batch."""
    tracemalloc.start()
    try:
        _open_cpu(case).add(case.frames[:BATCH], 0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _comparator_note() -> str:
    if find_compiler() is None:
        return "No C++ compiler here: the columns of the comparator are empty."
    release, native = (" ".join(FLAGS[name]) for name in ("facility", "native"))
    return (
        f"Ratios are to the facility's algorithm in C++ on one core, compiled with {release}, "
        f"and in the column native with {native}."
    )
