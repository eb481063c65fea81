"""A small synthetic experiment."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from socket import create_server

import numpy as np
import pytest

from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, DetectorSettings
from hexlive.stream.model import AnyMessage, Cycler, End, Frames, Segment, Start

SHAPE = (12, 10)
BATCH = 64
BATCHES = 3
LONG_BATCHES = 20
LAST_PORT = 32_768  # from here on systems give ports out
PORTS = cycle(range(16_384 + os.getpid() * 64 % 8_192, LAST_PORT))


@pytest.fixture
def config() -> Config:
    return Config(detector=DetectorSettings(rows=SHAPE[0], columns=SHAPE[1]))


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        pedestal_adu=np.full(SHAPE, 1000, np.float32),
        noise_adu=np.full(SHAPE, 8, np.float32),
        gradient_kev_per_adu=np.full(SHAPE, 0.029, np.float32),
        intercept_kev=np.full(SHAPE, 0.1, np.float32),
        mask=np.zeros(SHAPE, np.uint8),
    )


@pytest.fixture
def calibration_file(calibration: Calibration, tmp_path: Path) -> Path:
    path = tmp_path / "calibration.h5"
    calibration.save(path)
    return path


def experiment(
    lose_every: int | None = None, series: str = "series", batches: int = BATCHES
) -> Iterator[AnyMessage]:
    """Two states of three regions with a sixth of the pixels hit; every nth batch lost."""
    rng = np.random.default_rng(1)
    rows, columns = SHAPE
    yield Start(
        series=series, rows=rows, columns=columns, frame_rate_hz=9000.0, started_s=time.time()
    )
    first = n_batches = 0
    for number in range(1, 7):
        state, region = (number + 2) // 3, 3 - (number - 1) % 3
        yield Segment(series=series, number=number, first_frame=first, state=state, region=region)
        yield Cycler(
            series=series, time_s=first / 9000, voltage_volt=3.7, current_ampere=0.0,
            capacity_ah=0.0,
        )  # fmt: skip
        for _ in range(batches):
            frames = rng.normal(1000, 8, (BATCH, *SHAPE))
            hit = rng.random(frames.shape) < 1 / 6
            frames[hit] += rng.normal(93.9, 3, hit.sum()) / 0.029
            n_batches += 1
            if lose_every is None or n_batches % lose_every:
                yield Frames(
                    series=series, first_frame=first, timestamp_s=0.0, frames=frames.astype("<u2")
                )
            first += BATCH
    yield End(series=series, last_frame=first - 1)


class ListSource:
    """A source of given messages, then silence."""

    live = False

    def __init__(self, messages: Iterable[AnyMessage]) -> None:
        self.rejected: Counter[str] = Counter()
        self._messages = messages

    def __iter__(self) -> Iterator[AnyMessage | None]:
        yield from self._messages
        while True:
            yield None


@pytest.fixture
def make_source() -> type[ListSource]:
    """A source of given messages."""
    return ListSource


@pytest.fixture
def source() -> ListSource:
    return ListSource(experiment())


@pytest.fixture
def long_source() -> ListSource:
    """With the counts that an EMF of a pixel takes."""
    return ListSource(experiment(batches=LONG_BATCHES))


@pytest.fixture
def lossy_source() -> ListSource:
    return ListSource(experiment(lose_every=5))


@pytest.fixture
def sound_messages() -> list[AnyMessage]:
    """All messages of the small experiment."""
    return list(experiment())


@pytest.fixture
def free_addresses() -> list[str]:
    """Loopback addresses that nothing listens on now.

    Their ports are none that the system gives to whoever asks for any, or connects; so only another
    process of these tests could take one, and each begins elsewhere.
    """
    free = (port for port in PORTS if _is_free(port))
    return [f"tcp://127.0.0.1:{next(free)}" for _ in range(2)]


def _is_free(port: int) -> bool:
    try:
        create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def calibration_80(tmp_path: Path) -> Path:
    """Calibration file of a whole camera."""
    maps = Calibration(
        pedestal_adu=np.full((80, 80), 1000, np.float32),
        noise_adu=np.full((80, 80), 8, np.float32),
        gradient_kev_per_adu=np.full((80, 80), 0.029, np.float32),
        intercept_kev=np.full((80, 80), 0.1, np.float32),
        mask=np.zeros((80, 80), np.uint8),
    )
    maps.save(tmp_path / "camera.h5")
    return tmp_path / "camera.h5"
