"""Suite: recordings through a cluster on this machine, and what bounds a larger one.

Workers read and count; the machine that asks adds up and writes results. So three things bound a
cluster: how fast one machine adds up, and how fast disk and network hand out recordings.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from hexlive.benchmarks.stages import REAL_TIME_HZ, Bench, bench, whole_batches
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import Contender, Timings, positive, take_turns
from hexlive.kernels.cpu import CpuBackend, available_cores
from hexlive.stream.calibration import load_calibration
from hexlive.stream.campaign.cluster import ClusterSettings, open_cluster
from hexlive.stream.campaign.counting import Recorded, Rules, count_batch, fingerprint
from hexlive.stream.campaign.plan import BATCH_FRAMES, plan
from hexlive.stream.campaign.running import Campaign, Order, Watcher
from hexlive.stream.config import Config
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.stopping import Stop

WORKERS: Final = (1, 2)
RECORDINGS: Final = 2
SECONDS: Final = 30.0  # of frames at 9 kHz in each recording
DIFFERENT_S: Final = 3.0
OCCUPANCY: Final = 0.01
TURNS: Final = 3
NETWORK_MB_PER_S: Final = 1250.0  # 10 Gb/s
BLOCK_BYTES: Final = 8 << 20
MB: Final = 1e6
PROCESS: Final = "hexlive process"
QUICK: Final = {"campaign_seconds": 12.0, "campaign_turns": 2}
COLUMNS: Final = (
    Column(key="program", heading="program"),
    Column(key="rate_hz", heading="rate", unit="frames/s"),
    Column(key="real_time", heading="rate", unit="x 9 kHz", digits=1),
    Column(key="to_one", heading="rate", unit="x 1 worker", digits=2),
    Column(key="spread_percent", heading="spread", unit="%", digits=1),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument(
        "--campaign-seconds", type=float, default=SECONDS, help="frames at 9 kHz per recording"
    )
    parser.add_argument("--campaign-turns", type=positive, default=TURNS, help="timed runs of each")


def run(options: argparse.Namespace) -> Table:
    """One worker, two, and ``process`` in turn; then what the bounds are made of."""
    n_different = whole_batches(DIFFERENT_S, REAL_TIME_HZ)
    times = max(1, round(options.campaign_seconds / DIFFERENT_S))
    with bench(OCCUPANCY, n_different) as made:
        files = [made.folder / f"recording_{number}.h5" for number in range(RECORDINGS)]
        for file in files:
            made.record(file, times)
        n_frames = RECORDINGS * times * n_different
        with _clusters() as clients:
            timings = _timings(made, clients, files, n_frames, options.campaign_turns)
            add_s = _adding_s(made, clients[0], files[0])
        notes = _bounds(files[0], n_frames // RECORDINGS, timings, add_s)
    names = [_name(n_workers) for n_workers in WORKERS]
    return Table(
        title=f"Campaign: {RECORDINGS} recordings of {n_frames // RECORDINGS:,} frames, "
        f"{OCCUPANCY:.0%} hit, workers of one thread on {available_cores()} cores, medians of "
        f"{options.campaign_turns} turns",
        columns=COLUMNS,
        rows=[_row(name, timings, names[0]) for name in (PROCESS, *names)],
        notes=notes,
        spreads_percent=[timings.spread_percent(name, names[0]) for name in (PROCESS, names[1])],
    )


@contextmanager
def _clusters() -> Iterator[list[Any]]:
    """A client of a cluster of each size."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_cluster(ClusterSettings(workers=n))) for n in WORKERS]


def _timings(
    made: Bench, clients: list[Any], files: list[Path], n_frames: int, n_turns: int
) -> Timings:
    calibration = load_calibration(made.calibration)

    def process() -> None:
        for file in files:
            run_session(
                open_file(file), Config(), calibration, Outputs(result=made.folder / "r.nxs")
            )

    def campaign(client: Any) -> None:
        with tempfile.TemporaryDirectory(dir=made.folder) as out:
            order = Order(files=files, out=Path(out), config=Config(), calibration=calibration)
            Campaign(order).run(client, Stop(), Watcher())

    contenders = {PROCESS: Contender(process, n_frames)}
    for n_workers, client in zip(WORKERS, clients, strict=True):
        contenders[_name(n_workers)] = Contender(partial(campaign, client), n_frames)
    return take_turns(contenders, n_turns)


def _name(n_workers: int) -> str:
    return f"campaign, {n_workers} worker{'s' if n_workers > 1 else ''}"


def _row(name: str, timings: Timings, one: str) -> dict[str, Cell]:
    rate_hz = timings.median_hz(name)
    assert rate_hz is not None
    return {
        "program": name,
        "rate_hz": rate_hz,
        "real_time": rate_hz / REAL_TIME_HZ,
        "to_one": timings.ratio(name, one),
        "spread_percent": None if name == one else timings.spread_percent(name, one),
    }


def _bounds(file: Path, n_frames: int, timings: Timings, add_s: float) -> list[str]:
    """What each further part takes, and how many workers it keeps busy."""
    worker_hz = timings.median_hz(_name(1))
    assert worker_hz is not None
    frame_bytes = file.stat().st_size / n_frames
    worker_mb_per_s = worker_hz * frame_bytes / MB
    disk_mb_per_s = read_mb_per_s(file)
    asking = BATCH_FRAMES / add_s / worker_hz
    return [
        f"A recording takes {frame_bytes:,.0f} bytes per frame, so that a worker reads "
        f"{worker_mb_per_s:.0f} MB/s.",
        f"Bound by the machine that asks: it takes {add_s:.3f} s for the counts of a batch of "
        f"{BATCH_FRAMES:,} frames, which keeps {asking:,.0f} workers busy.",
        f"Bound by the disk: this one hands out {disk_mb_per_s:,.0f} MB/s of a file that is not in "
        f"memory, enough for {disk_mb_per_s / worker_mb_per_s:,.1f} workers.",
        f"Bound by the network: 10 Gb/s are enough for {NETWORK_MB_PER_S / worker_mb_per_s:,.1f} "
        "workers (computed, not measured).",
    ]


def _adding_s(made: Bench, client: Any, file: Path) -> float:
    """Seconds from counts that a worker has to their sum here."""
    config, source = Config(), open_file(file)
    calibration = load_calibration(made.calibration)
    rules = Rules(
        version=version("hexlive"),
        device="cpu",
        threads=1,
        events=config.events,
        spectrum=config.spectrum,
        pixels=calibration.pixel_maps(config.events),
    )
    recorded = Recorded(file, None, REAL_TIME_HZ, False, *fingerprint(file))
    batch = plan(source, config, BATCH_FRAMES)[0]
    total = CpuBackend(
        events=config.events, spectrum=config.spectrum, pixels=rules.pixels, threads=1
    )
    taken_s = []
    for _ in range(TURNS + 1):
        future = client.submit(count_batch, recorded, batch, rules, pure=False)
        while not future.done():
            time.sleep(0.01)
        began_s = time.perf_counter()
        total.load(future.result())
        taken_s.append(time.perf_counter() - began_s)
    return statistics.median(taken_s[1:])


def read_mb_per_s(path: Path) -> float:
    """How fast a file is read that is not in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        buffer, n_bytes = bytearray(BLOCK_BYTES), 0
        began_s = time.perf_counter()
        while read := os.readv(file.fileno(), [buffer]):
            n_bytes += read
        return n_bytes / MB / (time.perf_counter() - began_s)
