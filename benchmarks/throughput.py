"""Suite: what this machine sustains, stage by stage, from the simulator to the result file."""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.frames import OCCUPANCIES
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.kernels.opening import open_backend
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config
from hexlive.stream.model import Frames
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import open_file
from hexlive.stream.sending import ZmqSender
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.simulate import Simulator, SimulatorSettings
from hexlive.stream.sources import ZmqSource

REAL_TIME_HZ: Final = 9_000.0
BATCH: Final = 256
N_RUNS: Final = 5
SECONDS: Final = 3.0
COLUMNS: Final = (
    Column(key="stage", heading="stage"),
    Column(key="occupancy_percent", heading="occupancy", unit="%"),
    Column(key="rate_hz", heading="rate", unit="frames/s"),
    Column(key="real_time", heading="rate", unit="x 9 kHz", digits=1),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--seconds", type=float, default=SECONDS, help="frames at 9 kHz per stage")


def run(options: argparse.Namespace) -> Table:
    """Measure each stage by itself."""
    n_frames = BATCH * max(1, round(options.seconds * REAL_TIME_HZ / BATCH))
    rows: list[dict[str, Cell]] = [
        {
            "stage": stage,
            "occupancy_percent": 100 * occupancy,
            "rate_hz": rate_hz,
            "real_time": rate_hz / REAL_TIME_HZ,
        }
        for stage, occupancy, rate_hz in stages(n_frames)
    ]
    return Table(
        title=f"throughput: {n_frames} frames of 80 x 80, 800 bins, medians of {N_RUNS} runs",
        columns=COLUMNS,
        rows=rows,
        notes=[
            "Simulator and ZeroMQ use one core each; process reads, unpacks, counts and writes.",
        ],
    )


def stages(n_frames: int) -> Iterator[tuple[str, float, float]]:
    """Stage, occupancy and frames per second, one after the other."""
    for occupancy in OCCUPANCIES:
        made = simulator(occupancy, n_frames)
        frames = made.frames(1, 1, 0, n_frames)
        yield "event kernels", occupancy, kernel_hz(frames, made.camera.calibration())
    lowest = OCCUPANCIES[0]
    made = simulator(lowest, n_frames)
    frames = made.frames(1, 1, 0, n_frames)
    yield "ZeroMQ, encode to decode", lowest, transport_hz(frames)
    yield "simulator", lowest, median_hz(n_frames, lambda: made.frames(1, 1, 0, n_frames))
    with tempfile.TemporaryDirectory() as folder:
        yield "hexlive process", lowest, process_hz(made, Path(folder))


def simulator(occupancy: float, n_frames: int) -> Simulator:
    """One exposure of region 1 in state 1."""
    return Simulator(
        SimulatorSettings(
            states=(1,), regions=(1,), frames_per_segment=n_frames, occupancy=occupancy
        )
    )


def median_hz(n_frames: int, action: Callable[[], object]) -> float:
    """Median of the frame rates of several runs, after one to warm up."""
    action()
    rates = []
    for _ in range(N_RUNS):
        began = time.perf_counter()
        action()
        rates.append(n_frames / (time.perf_counter() - began))
    return statistics.median(rates)


def kernel_hz(frames: NDArray[np.uint16], calibration: Calibration) -> float:
    """Frames to counts, from memory."""
    config = Config()
    backend = open_backend(
        "cpu",
        events=config.events,
        spectrum=config.spectrum,
        pixels=calibration.pixel_maps(config.events),
    )

    def count() -> None:
        for begin in range(0, len(frames), BATCH):
            backend.add(frames[begin : begin + BATCH], begin)

    return median_hz(len(frames), count)


def transport_hz(frames: NDArray[np.uint16]) -> float:
    """Frames over ZeroMQ from one thread to another, decoded."""
    batch = Frames(series="s", first_frame=0, timestamp_s=0.0, frames=frames[:BATCH])
    n_messages = len(frames) // BATCH
    listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=64)
    with closing(listening) as source, closing(ZmqSender(source.address)) as sender:

        def send_and_receive() -> None:
            thread = threading.Thread(target=lambda: sender.send_all([batch] * n_messages))
            thread.start()
            arrived = 0
            for message in source:
                arrived += message is not None
                if arrived == n_messages:
                    break
            thread.join()

        return median_hz(n_messages * BATCH, send_and_receive)


def process_hz(made: Simulator, folder: Path) -> float:
    """A recording to a result file."""
    recording = folder / "recording.h5"
    writer = RecordingWriter(recording)
    for message in made.messages():
        writer.append(message)
    writer.close()
    config, calibration = Config(), made.camera.calibration()
    outputs = Outputs(result=folder / "result.nxs")
    return median_hz(
        made.settings.n_frames,
        lambda: run_session(open_file(recording), config, calibration, outputs),
    )
