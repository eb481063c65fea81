"""What this machine sustains, stage by stage; prints frames per second and times real time.

Run: python benchmarks/throughput.py [--seconds 3]

Medians of five runs each. The simulator, ZeroMQ and the event kernels use one core each; process
reads, unpacks, counts and writes the result.
"""

import argparse
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import open_backend
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config
from hexlive.stream.model import Frames
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import open_file
from hexlive.stream.sending import ZmqSender
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulate import Simulator, SimulatorSettings
from hexlive.stream.sources import ZmqSource

REAL_TIME_HZ = 9_000.0
BATCH = 256
N_RUNS = 5
OCCUPANCIES = (0.01, 0.03, 0.10)


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
    size = batch.frames.nbytes
    listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=64, message_bytes=size)
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="frames at 9 kHz per stage")
    n_frames = BATCH * max(1, round(parser.parse_args().seconds * REAL_TIME_HZ / BATCH))
    rows: list[tuple[str, float]] = []
    for occupancy in OCCUPANCIES:
        made = simulator(occupancy, n_frames)
        frames = made.frames(1, 1, 0, n_frames)
        calibration = made.camera.calibration()
        rows.append((f"event kernels, 1 core, {occupancy:.0%}", kernel_hz(frames, calibration)))
        if occupancy == OCCUPANCIES[0]:
            rows.append(("ZeroMQ, encode to decode", transport_hz(frames)))
    made = simulator(OCCUPANCIES[0], n_frames)
    rows.append(
        ("simulator, 1 core, 1%", median_hz(n_frames, lambda: made.frames(1, 1, 0, n_frames)))
    )
    with tempfile.TemporaryDirectory() as folder:
        rows.append(("hexlive process, 1%", process_hz(made, Path(folder))))
    print(f"{platform.processor() or platform.machine()}, 80 x 80, 800 bins, median of {N_RUNS}")
    print(f"{'stage':34}{'frames/s':>12}{'x 9 kHz':>10}")
    for stage, rate_hz in rows:
        print(f"{stage:34}{rate_hz:12,.0f}{rate_hz / REAL_TIME_HZ:10.1f}")


if __name__ == "__main__":
    main()
