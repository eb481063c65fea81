"""The rules of series, held against sets of numbers, and what odd patterns look like."""

import logging
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexlive.stream import exposure
from hexlive.stream.exposure import Exposure
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.suspicions import ENOUGH

SHAPE = (2, 3)
SERIES = ("a", "b", "c")


def start(series: str, first: int = 0) -> Start:
    return Start(
        series=series, rows=2, columns=3, frame_rate_hz=9000.0, started_s=0.0, first_frame=first
    )


def batch(series: str, first: int, count: int, shape: tuple[int, int] = SHAPE) -> Frames:
    frames = np.zeros((count, *shape), np.uint16)
    return Frames(series=series, first_frame=first, timestamp_s=0.0, frames=frames)


class SlowLedger:
    """The same rules with sets of numbers, as plainly as possible."""

    def __init__(self) -> None:
        self.series: str | None = None
        self.over: set[str] = set()
        self.rejected: Counter[str] = Counter()
        self.past = [0, 0]
        self.reset()

    def reset(self) -> None:
        self.series = self.first = self.end = None
        self.close_exposure()

    def close_exposure(self) -> None:
        if getattr(self, "expected", None) is not None:
            self.past[0] += len(self.expected)
            self.past[1] += len(self.received)
        self.expected: set[int] | None = None
        self.received: set[int] = set()
        self.begin, self.segment = 0, None

    def totals(self) -> tuple[int, int]:
        return self.past[0] + len(self.expected or ()), self.past[1] + len(self.received)

    @property
    def next(self) -> int:
        return self.begin + len(self.expected or ())

    def open(self, begin: int, number: int = 1, announced: int | None = None) -> None:
        self.begin, self.expected, self.received = begin, set(), set()
        self.segment = number, begin if announced is None else announced
        self.expect_up_to(self.end or 0)

    def expect_up_to(self, end: int) -> None:
        self.expected |= set(range(self.next, end))

    def refused(self, message: AnyMessage) -> str | None:
        if message.series in self.over:
            return "closed_series"
        if isinstance(message, Start):
            return "repeated_start" if message.series == self.series else None
        if self.series not in (None, message.series):
            return "other_series"
        if isinstance(message, Frames) and message.frames.shape[1:] != SHAPE:
            return "shape"
        if isinstance(message, End) and self.series is None:
            return "unknown_end"
        if isinstance(message, End) and self.end is not None:
            return "repeated_end"
        key = (message.number, message.first_frame) if isinstance(message, Segment) else ()
        return "repeated_segment" if key and key == self.segment else None

    def accept(self, message: AnyMessage) -> None:
        if reason := self.refused(message):
            self.rejected[reason] += len(message.frames) if isinstance(message, Frames) else 1
            return
        if isinstance(message, Start):
            if self.series is not None:
                self.over.add(self.series)
            self.reset()
            self.series, self.first = message.series, message.first_frame
            return
        self.series = message.series
        match message:
            case Segment(number=number, first_frame=announced):
                begin = announced
                if self.expected is not None:
                    begin = max(begin, self.begin, *(n + 1 for n in self.received))
                    self.expected = set(range(self.begin, begin))
                self.close_exposure()
                self.open(begin, number, announced)
            case End(last_frame=last):
                self.end = 0 if last is None else last + 1
                if self.expected is None and self.first is not None and self.end > self.first:
                    self.open(self.first)
                if self.expected is not None:
                    self.expect_up_to(self.end)
            case Frames():
                self.take(message)

    def take(self, message: Frames) -> None:
        if self.expected is None:
            self.open(message.first_frame if self.first is None else self.first)
        came = range(message.first_frame, message.end_frame)
        valid = {n for n in came if n >= self.begin and (self.end is None or n < self.end)}
        new = valid - self.received
        if valid:
            self.expect_up_to(max(valid) + 1)
        self.received |= new
        if refused := len(came) - len(new):
            late = message.first_frame < self.begin
            after = self.end is not None and message.end_frame > self.end
            reason = "after_end" if after else "before_segment" if late else "duplicate"
            self.rejected[reason] += refused


numbers = st.integers(0, 40)
series = st.sampled_from(SERIES)
steps = st.one_of(
    st.builds(start, series, numbers),
    st.builds(batch, series, numbers, st.integers(1, 9)),
    st.builds(batch, series, numbers, st.integers(1, 9), st.sampled_from([SHAPE, (3, 2)])),
    st.builds(
        lambda series, number, first: Segment(series=series, number=number, first_frame=first),
        series, st.integers(1, 3), numbers,
    ),
    st.builds(lambda series, last: End(series=series, last_frame=last), series, numbers),
    st.builds(End, series=series, last_frame=st.none()),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40))
def test_any_order_of_messages_is_accounted_for_as_by_sets(messages: list[AnyMessage]) -> None:
    ledger, slow = Ledger(SHAPE, 9000.0), SlowLedger()
    for message in messages:
        refused_before = ledger.rejected.total()
        accepted = ledger.accept(message)
        slow.accept(message)
        if isinstance(message, Frames):
            parts = [each for each in accepted.messages if isinstance(each, Frames)]
            passed = sum(len(part.frames) for part in parts)
            assert passed + ledger.rejected.total() - refused_before == len(message.frames)
        tally, totals = ledger.tally(), ledger.totals()
        assert totals == slow.totals()
        assert tally.totals.expected == tally.totals.received + tally.totals.lost
        listed = {n for a, b in tally.missing.tolist() for n in range(a, b)}
        assert listed == (slow.expected or set()) - slow.received
        assert ledger.rejected == slow.rejected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 150), st.integers(1, 4)), max_size=120))
def test_beyond_so_many_gaps_the_oldest_are_counted_but_no_longer_filled(
    pieces: list[tuple[int, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exposure, "MAX_RANGES", 8)
        found, received = Exposure(0, 0), set()
        for first, count in pieces:
            settled = found.settled
            new = {n for a, b in found.take(first, first + count) for n in range(a, b)}
            assert not new & received
            assert all(n >= settled for n in new)
            received |= new
            tally = found.tally()
            assert len(tally.missing) <= 8
            assert tally.totals == (found.next, len(received))
            listed = {n for a, b in tally.missing.tolist() for n in range(a, b)}
            assert len(listed) + tally.unlisted == tally.totals.lost
            assert not listed & received


def test_frames_that_are_too_late_are_counted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "MAX_RANGES", 4)
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start("s"))
    for first in range(1, 20, 2):
        ledger.accept(batch("s", first, 1))
    assert not ledger.accept(batch("s", 0, 1)).messages
    assert ledger.rejected == {"too_late": 1}
    assert ledger.totals() == (20, 10)


def test_a_second_end_and_a_damaged_one_change_nothing() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start("s"))
    ledger.accept(batch("s", 0, 4))
    ledger.accept(End(series="s", last_frame=2**60))
    assert not ledger.ended
    ledger.accept(End(series="s", last_frame=7))
    ledger.accept(End(series="s", last_frame=2))
    assert ledger.rejected == {"frame_number": 1, "repeated_end": 1}
    assert ledger.totals() == (8, 4)
    assert not ledger.complete


def fed(*messages: AnyMessage) -> Ledger:
    ledger = Ledger(SHAPE, 9000.0)
    for message in messages:
        ledger.accept(message)
    return ledger


def every(n: int, count: int, k: int) -> list[Frames]:
    """``n`` messages of ``count`` frames, after each of which ``k`` are missing."""
    return [batch("s", i * (k + 1) * count, count) for i in range(n)]


@pytest.mark.parametrize(
    ("k", "says"),
    [
        (1, "1 of every 2 messages are missing: another receiver is"),
        (3, "3 of every 4 messages are missing: 3 other receivers are"),
    ],
)
def test_receivers_that_steal_messages_are_known_by_the_stride(
    k: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = fed(start("s"), *every(2 * ENOUGH, 5, k))
    (sentence,) = ledger.suspicions
    assert sentence.startswith(says)
    assert [each.message for each in caplog.records] == [sentence]
    after = 5 * 2 * ENOUGH * (k + 1)
    for i in range(2 * ENOUGH):
        ledger.accept(batch("s", after + 5 * i, 5))
    assert not ledger.suspicions


def test_losses_without_a_stride_are_no_theft() -> None:
    rng = np.random.default_rng(3)
    kept = [batch("s", 5 * i, 5) for i in range(200) if rng.random() < 0.5]
    odd = [batch("t", 8 * i, 5) for i in range(50)]  # 3 frames, not a whole message
    assert not fed(start("s"), *kept, start("t"), *odd).suspicions


def test_a_sender_restarted_with_its_old_series_is_refused_counted_and_said() -> None:
    first = [batch("s", 4 * i, 4) for i in range(10)]
    ledger = fed(start("s"), *first, start("s"), *first)
    assert ledger.totals() == (40, 40)
    assert ledger.rejected == {"repeated_start": 1, "duplicate": 40}
    assert "restarted with the same series" in ledger.suspicions[0]
    ledger.accept(start("new"))
    assert ledger.accept(first[0]).messages == []
    assert not ledger.suspicions


def test_two_senders_of_one_series_are_counted_once_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    both = [batch("s", 4 * i, 4) for i in range(20) for _ in range(2)]
    ledger = fed(start("s"), *both)
    assert ledger.totals() == (80, 80)
    assert ledger.rejected == {"duplicate": 80}
    assert "two senders share one series" in ledger.suspicions[0]
    assert len(caplog.records) == 1


def test_a_late_batch_now_and_then_is_nothing_to_suspect() -> None:
    order = [1, 0, 2, 4, 3, 5, 6, 8, 7, 9, 11, 10, 12, 13, 15, 14, 16, 18, 17, 19]
    ledger = fed(start("s"), *(batch("s", 4 * i, 4) for i in order))
    assert ledger.totals() == (80, 80)
    assert not ledger.suspicions


def test_frames_of_another_series_are_refused_and_said() -> None:
    ledger = fed(start("s"), batch("s", 0, 4), *(batch("foreign", 4 * i, 4) for i in range(9)))
    assert ledger.rejected == {"other_series": 36}
    assert "another series" in ledger.suspicions[0]
    ledger.accept(batch("s", 4, 4))
    assert not ledger.suspicions
