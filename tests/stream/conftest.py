"""A small synthetic experiment."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path
from socket import create_server

import numpy as np
import pytest

from hexlive.monitor.client import Client
from hexlive.monitor.figures import Phrase
from hexlive.monitor.history import History
from hexlive.monitor.words import banner, hindrance
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, DetectorSettings
from hexlive.stream.model import AnyMessage, Cycler, End, Frames, Segment, Snapshot, Start

SHAPE = (12, 10)
BATCH = 64
BATCHES = 3
LONG_BATCHES = 20
PATIENCE_S = 20.0
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


class Watch:
    """A monitor of a run without its window: what it has received, and what its log says.

    Attributes
    ----------
    seen
        Snapshots, oldest first.
    """

    def __init__(self) -> None:
        self.history, self.seen = History(), list[Snapshot]()
        self.client: Client | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def attach(self, address: str, keys: Path | None = None, settle_s: float = 0.3) -> None:
        """Listen to the run that publishes there; a subscription takes a moment to reach it."""
        self.client = Client(address, keys)
        self._thread.start()
        time.sleep(settle_s)

    def until(self, wanted: Callable[[Snapshot], bool]) -> Snapshot:
        """Wait for a snapshot."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            if found := next((each for each in reversed(self.seen) if wanted(each)), None):
                return found
            time.sleep(0.01)
        raise AssertionError(f"Not among {len(self.seen)} snapshots; the last says {self.banner}")

    def over(self) -> Snapshot:
        """Wait for the last."""
        return self.until(lambda snapshot: snapshot.status != "running")

    @property
    def banner(self) -> Phrase:
        """What the banner says now."""
        newest = self.seen[-1] if self.seen else None
        why = hindrance(self.client.invalid, self.client.refused)
        return banner(newest, self.client.freshness, self.client.address, why)

    @property
    def log(self) -> dict[str, str]:
        """What the log says, and how urgent each line is."""
        return {event.text: event.level for event in self.history.events}

    def close(self) -> None:
        """Leave."""
        self._closing.set()
        if self.client is not None:
            self._thread.join()
            self.client.close()

    def _look(self) -> None:
        while not self._closing.wait(0.002):
            if (snapshot := self.client.latest()) is not None:
                self.history.take(snapshot)
                self.seen.append(snapshot)


@pytest.fixture
def make_watch() -> Iterator[Callable[[], Watch]]:
    """Makes monitors, and closes them after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Watch()))


@pytest.fixture
def watch(make_watch: Callable[[], Watch]) -> Watch:
    """A monitor that is attached to nothing yet."""
    return make_watch()


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
