"""Small recordings, and one cluster for all tests of a file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.drift import DriftSettings
from hexlive.stream.campaign.cluster import ClusterSettings, open_cluster
from hexlive.stream.config import Config, DetectorSettings
from hexlive.stream.model import AnyMessage, Cycler, End, Frames, Segment, Start
from hexlive.stream.recorder import RecordingWriter

SHAPE = (12, 10)
BATCH = 60
EXPOSURES = 3
BATCHES = 5


def messages(seed: int, lose: tuple[int, ...] = ()) -> Iterator[AnyMessage]:
    """Three exposures with a W line; the batches that ``lose`` numbers are missing."""
    rng, series = np.random.default_rng(seed), f"series {seed}"
    yield Start(series=series, rows=12, columns=10, frame_rate_hz=9000.0, started_s=0.0)
    for number in range(1, EXPOSURES + 1):
        first = (number - 1) * BATCHES * BATCH
        yield Segment(series=series, number=number, first_frame=first, state=1, region=number)
        yield Cycler(
            series=series, time_s=first / 9000, voltage_volt=3.7, current_ampere=0.0,
            capacity_ah=0.0,
        )  # fmt: skip
        for batch in range(BATCHES):
            frames = rng.normal(1000, 8, (BATCH, *SHAPE))
            hit = rng.random(frames.shape) < 1 / 8
            frames[hit] += rng.normal(rng.choice([59.3, 93.9], hit.sum()), 0.5) / 0.029
            if (number - 1) * BATCHES + batch not in lose:
                yield Frames(
                    series=series, first_frame=first, timestamp_s=first / 9000,
                    frames=frames.astype("<u2"),
                )  # fmt: skip
            first += BATCH
    yield End(series=series, last_frame=EXPOSURES * BATCHES * BATCH - 1)


@pytest.fixture
def config() -> Config:
    """Of a small camera, whose lines are followed more often than an exposure is long."""
    return Config(
        detector=DetectorSettings(rows=SHAPE[0], columns=SHAPE[1]),
        drift=DriftSettings(lines=("W Ka",), interval_s=100 / 9000, alarm_sigma=0.1, correct=True),
    )


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Write a recording under a name."""

    def write(name: str, seed: int = 1, lose: tuple[int, ...] = ()) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = RecordingWriter(path)
        for message in messages(seed, lose):
            writer.append(message)
        writer.close()
        return path

    return write


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of two workers."""
    pytest.importorskip("distributed", reason="pip install 'hexlive[campaign]'")
    with open_cluster(ClusterSettings(workers=2)) as client:
        yield client


def same_results(one: Path, other: Path) -> None:
    """Assert that two results are the same but for how they were made."""
    with h5py.File(one) as a, h5py.File(other) as b:
        names_a, names_b = ([n for n in _names(file) if "/process" not in n] for file in (a, b))
        assert names_a == names_b
        for name in names_a:
            _same(dict(a[name].attrs), dict(b[name].attrs), name)
            if isinstance(a[name], h5py.Dataset):
                _same({"data": a[name][()]}, {"data": b[name][()]}, name)


def _names(file: h5py.File) -> list[str]:
    names: list[str] = ["/"]
    file.visit(names.append)
    return names


def _same(one: dict[str, Any], other: dict[str, Any], name: str) -> None:
    assert set(one) == set(other), name
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key], err_msg=f"{name} {key}")
        assert np.asarray(value).dtype == np.asarray(other[key]).dtype, name


@pytest.fixture
def assert_same_results() -> Callable[[Path, Path], None]:
    return same_results


@pytest.fixture
def with_events(config: Config) -> Callable[..., Config]:
    """The configuration with other settings of events."""
    return lambda **events: replace(config, events=replace(config.events, **events))
