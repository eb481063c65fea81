"""``kill -9`` of a process that records costs at most the last second; tried on real processes."""

import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zmq

from hexlive.stream.files import index_of
from hexlive.stream.model import Frames, Message, Projections, ScanStart, Segment, Snapshot, Start
from hexlive.stream.nxtomo import read_scan
from hexlive.stream.recordings import open_file
from hexlive.stream.recovery import is_whole, recover
from hexlive.stream.sending import ZmqSender, paced
from hexlive.stream.sources import Endpoint
from hexlive.stream.wire import decode

SHAPE = 80, 80
IMAGE = 40, 60
LIMIT_S = 1.0


def series(batch: int, scan_every: int | None = None) -> Iterator[Message]:
    """Frames without end that say their number, with a CT image now and then."""
    rows, columns = SHAPE
    yield Start(series="s", rows=rows, columns=columns, frame_rate_hz=9000.0, started_s=0.0)
    yield Segment(series="s", number=1, first_frame=0)
    if scan_every:
        yield ScanStart(
            series="s", scan=1, rows=IMAGE[0], columns=IMAGE[1], n_images=9000, pixel_um=5.0
        )
    noise = np.random.default_rng(1).normal(1000, 8, (batch, *SHAPE)).astype("<u2")
    first = n_batches = 0
    while True:
        frames = noise.copy()
        frames[:, 0, 0] = np.arange(first, first + batch) % 65536
        yield Frames(series="s", first_frame=first, timestamp_s=0.0, frames=frames)
        first, n_batches = first + batch, n_batches + 1
        if scan_every and n_batches % scan_every == 0:
            number = n_batches // scan_every - 1
            yield Projections(
                series="s", scan=1, first_image=number, angles_deg=np.array([number / 10]),
                image_key=np.zeros(1, np.uint8), images=np.full((1, *IMAGE), number, np.uint16),
            )  # fmt: skip


class Camera:
    """Sends a series from a thread of its own, and knows when what was sent."""

    def __init__(self, address: str, messages: Iterator[Message], rate_hz: float) -> None:
        self._stopped = threading.Event()
        self._sent: list[tuple[float, Message]] = []
        self._thread = threading.Thread(target=self._send, args=(address, messages, rate_hz))
        self._thread.start()

    def _send(self, address: str, messages: Iterator[Message], rate_hz: float) -> None:
        sender = ZmqSender(address, should_stop=self._stopped.is_set)
        sender._endpoint.socket.linger = 0  # its receiver is dead at the end
        with closing(sender):
            for message in paced(messages, rate_hz, self._stopped.is_set):
                if self._stopped.is_set() or not sender.send(message):
                    return
                self._sent.append((time.monotonic(), message))

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()

    def sent(self, before_s: float = math.inf) -> Iterator[Message]:
        return (message for sent_s, message in self._sent if sent_s < before_s)


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait as long as the process lives and a minute at most."""
    deadline_s = time.monotonic() + 60
    while not happened():
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def kill(process: "subprocess.Popen[bytes]") -> float:
    """``kill -9``; gives the time of it."""
    killed_s = time.monotonic()
    process.kill()
    process.wait()
    return killed_s


def survivors(path: Path, camera: Camera) -> tuple[int, int]:
    """Frames and images in a recording; they are what was sent, from the first on."""
    n_frames = n_images = 0
    noise = next(message.frames for message in camera.sent() if isinstance(message, Frames))
    for message in open_file(path):
        if isinstance(message, Frames):
            count = len(message.frames)
            expected = noise[:count].copy()
            expected[:, 0, 0] = np.arange(n_frames, n_frames + count) % 65536
            assert message.first_frame == n_frames
            assert np.array_equal(message.frames[:, 0, 0], expected[:, 0, 0])
            assert np.array_equal(message.frames[:, 1:], expected[:, 1:])
            n_frames += count
        elif isinstance(message, Projections):
            assert (message.first_image, len(message.images)) == (n_images, 1)
            assert (message.images == n_images).all()
            n_images += 1
    return n_frames, n_images


@pytest.mark.parametrize(
    ("rate_hz", "batch", "seconds"), [(9000, 256, 1.13), (20_000, 100, 1.71), (30, 1, 1.47)]
)
def test_a_killed_recorder_loses_at_most_a_second(
    tmp_path: Path, free_addresses: list[str], rate_hz: float, batch: int, seconds: float
) -> None:
    path = tmp_path / "recording.h5"
    command = [sys.executable, "-m", "hexlive.stream.cli", "record"]
    recorder = subprocess.Popen([*command, "--from", free_addresses[0], "--out", path])
    camera = Camera(free_addresses[0], series(batch, scan_every=10), rate_hz)
    try:
        wait_until(lambda: path.exists() and path.stat().st_size > 100_000, recorder)
        time.sleep(seconds)
    finally:
        killed_s = kill(recorder)
        camera.close()
    assert index_of(path).exists()
    assert not is_whole(path)
    recovered = recover(path)
    assert is_whole(path)
    n_frames, n_images = survivors(path, camera)
    assert (recovered.frames, recovered.images) == (n_frames, n_images)
    old = list(camera.sent(killed_s - LIMIT_S))
    assert n_frames >= sum(len(each.frames) for each in old if isinstance(each, Frames))
    assert n_images >= sum(isinstance(each, Projections) for each in old)


def test_a_killed_run_leaves_its_recording_and_its_scan(
    tmp_path: Path, free_addresses: list[str], calibration_80: Path
) -> None:
    path, config = tmp_path / "recording.h5", tmp_path / "live.toml"
    address, publish = free_addresses
    config.write_text(
        f'[detector]\ncalibration = "{calibration_80}"\n'
        f'[stream]\ninput = "{address}"\npublish = "{publish}"\n'
        f'record = "{path}"\nresult = "{tmp_path / "live.nxs"}"\n'
    )
    command = [sys.executable, "-m", "hexlive.stream.cli", "run", "--config", config]
    run = subprocess.Popen(command)
    monitor = Endpoint(zmq.SUB, publish, bind=False, high_water_mark=100)
    camera = Camera(address, series(256, scan_every=3), 5000)
    shown: list[tuple[float, Snapshot]] = []

    def counted(before_s: float) -> tuple[int, int]:
        """Frames and images that the run said it had."""
        while monitor.socket.poll(0):
            message = decode(monitor.socket.recv_multipart())
            if isinstance(message, Snapshot):
                shown.append((time.monotonic(), message))
        old = [snapshot for shown_s, snapshot in shown if shown_s < before_s]
        n_images = max((each.ct.n_images for each in old if each.ct), default=0)
        return max((each.health.frames_received for each in old), default=0), n_images

    try:
        monitor.socket.subscribe(b"")
        wait_until(lambda: min(counted(time.monotonic() - LIMIT_S)) > 0, run)
    finally:
        killed_s = kill(run)
        camera.close()
        old_frames, old_images = counted(killed_s - LIMIT_S)
        monitor.close()
    recover(path)
    n_frames, n_images = survivors(path, camera)
    assert n_frames >= old_frames
    assert n_images >= old_images
    scan = recover(tmp_path / "live_scan_0001.nxs.part")
    images = read_scan(scan.path).projections
    assert scan.path == tmp_path / "live_scan_0001.nxs"
    assert scan.images == len(images) >= old_images
    assert images[:, 5, 5].tolist() == list(range(len(images)))
