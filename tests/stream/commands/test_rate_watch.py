"""The rate that the demo calls sustained."""

import numpy as np
import pytest

from hexlive.stream.commands import demo
from hexlive.stream.commands.demo import RateWatch
from hexlive.stream.model import Frames, ScanStart, Segment

FRAMES = np.zeros((100, 1, 1), np.uint16)


def watch(monkeypatch: pytest.MonkeyPatch, *events: float | str) -> list[float]:
    """Rates after batches that arrive at these times, s, with segments and scans between."""
    times = iter([event for event in events if not isinstance(event, str)])
    monkeypatch.setattr(demo.time, "monotonic", lambda: next(times))
    messages = {
        "segment": Segment(series="s", number=1, first_frame=0),
        "scan": ScanStart(series="s", scan=1, rows=1, columns=1, n_images=1, pixel_um=1.0),
    }
    rates = RateWatch()
    for event in events:
        if isinstance(event, str):
            rates.put(messages[event])
        else:
            rates.put(Frames(series="s", first_frame=0, timestamp_s=0.0, frames=FRAMES))
    rates.close()
    return rates.rates_hz


def test_a_burst_after_a_pause_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = watch(monkeypatch, "segment", 0, 1, 2, "segment", 3.8, 3.9, 4, "segment", 5, 6)
    assert found == pytest.approx([100, 150, 100])


def test_the_time_of_a_scan_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(monkeypatch, 0, 1, "scan", "segment", 60, 61) == pytest.approx([100, 100])


def test_an_exposure_of_one_batch_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(monkeypatch, "segment", 5) == []
