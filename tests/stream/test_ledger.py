"""The ledger accounts for every frame number exactly once."""

import logging

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.ledger import Ledger, LedgerState
from hexlive.stream.model import (
    AnyMessage,
    Cycler,
    End,
    Frames,
    ScanStart,
    Segment,
    Start,
)

SHAPE = (2, 3)


def start(series: str = "s", first: int = 0) -> Start:
    return Start(
        series=series, rows=2, columns=3, frame_rate_hz=9000.0, started_s=0.0, first_frame=first
    )


def batch(first: int, count: int, series: str = "s") -> Frames:
    numbers = np.arange(first, first + count, dtype=np.uint16)
    frames = np.broadcast_to(numbers[:, None, None], (count, *SHAPE))
    return Frames(series=series, first_frame=first, timestamp_s=0.0, frames=frames)


def take(ledger: Ledger, message: AnyMessage) -> list[AnyMessage]:
    return ledger.accept(message).messages


def frame_numbers(messages: list[AnyMessage]) -> list[int]:
    numbers: list[int] = []
    for message in messages:
        if isinstance(message, Frames):
            inside = message.frames[:, 0, 0].tolist()
            assert inside == list(range(message.first_frame, message.end_frame))
            numbers += inside
    return numbers


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=30))
def test_each_number_is_counted_once_however_batches_overlap_or_reorder(
    pieces: list[tuple[int, int]],
) -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    counted = [n for a, length in pieces for n in frame_numbers(take(ledger, batch(a, length)))]
    sent = {n for a, length in pieces for n in range(a, a + length)}
    assert sorted(counted) == sorted(sent)
    tally = ledger.tally()
    missing = {n for a, b in tally.missing.tolist() for n in range(a, b)}
    assert missing == set(range(max(sent, default=-1) + 1)) - sent
    assert tally.totals.expected == tally.totals.received + tally.totals.lost
    assert tally.totals.received == len(sent)
    assert ledger.rejected["duplicate"] == sum(length for _, length in pieces) - len(sent)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=20),
    st.integers(0, 20),
    st.booleans(),
)
def test_a_ledger_restored_from_its_state_decides_as_the_one_before(
    pieces: list[tuple[int, int]], cut: int, ended: bool
) -> None:
    messages = [start(), *(batch(a, length) for a, length in pieces)]
    messages.insert(len(messages) // 2, Segment(series="s", number=2, first_frame=20))
    if ended:
        messages.append(End(series="s", last_frame=80))
    unbroken, before, after = (Ledger(SHAPE, 9000.0) for _ in range(3))
    for message in messages[:cut]:
        unbroken.accept(message)
        before.accept(message)
    written = msgspec.json.encode(before.state())
    take(before, batch(70, 3))  # the state must not follow
    after.restore(msgspec.json.decode(written, type=LedgerState))
    for message in messages[cut:]:
        one, other = unbroken.accept(message), after.accept(message)
        assert frame_numbers(one.messages) == frame_numbers(other.messages)
        assert (one.closed is None) == (other.closed is None)
    assert msgspec.json.encode(unbroken.state()) == msgspec.json.encode(after.state())
    assert unbroken.totals() == after.totals()


def test_an_end_that_overtakes_frames_waits_for_them() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    take(ledger, batch(0, 4))
    take(ledger, End(series="s", last_frame=9))
    assert ledger.ended
    assert not ledger.complete
    take(ledger, batch(4, 6))
    assert ledger.complete
    assert ledger.tally().totals.lost == 0


def test_the_end_of_a_series_before_this_run_does_not_end_it() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    assert take(ledger, End(series="before", last_frame=9)) == []
    assert not ledger.ended
    assert not ledger.running
    take(ledger, start())
    assert frame_numbers(take(ledger, batch(0, 4))) == [0, 1, 2, 3]
    assert ledger.rejected == {"unknown_end": 1}


def test_an_end_that_overtakes_a_segment_leaves_it_its_frames() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    take(ledger, batch(0, 4))
    take(ledger, End(series="s", last_frame=9))
    closed = ledger.accept(Segment(series="s", number=2, first_frame=6, region=1)).closed
    assert closed is not None
    assert closed.missing.tolist() == [[4, 6]]
    assert ledger.tally().missing.tolist() == [[6, 10]]
    assert frame_numbers(take(ledger, batch(6, 4))) == [6, 7, 8, 9]
    assert ledger.complete
    assert not ledger.rejected
    assert ledger.totals() == (10, 8)


def test_frames_after_the_announced_last_one_are_refused() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    take(ledger, End(series="s", last_frame=4))
    assert frame_numbers(take(ledger, batch(0, 10))) == [0, 1, 2, 3, 4]
    assert ledger.rejected["after_end"] == 5


def test_frames_lost_before_a_segment_belong_to_the_one_that_ends() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    take(ledger, Segment(series="s", number=1, first_frame=0))
    take(ledger, batch(0, 4))
    following = Segment(series="s", number=2, first_frame=10)
    closed = ledger.accept(following).closed
    assert closed is not None
    assert closed.missing.tolist() == [[4, 10]]
    assert ledger.tally().totals.expected == 0
    take(ledger, batch(10, 5))
    assert ledger.totals() == (15, 9)
    assert not frame_numbers(take(ledger, batch(5, 2)))
    assert ledger.rejected["before_segment"] == 2


def test_a_late_joiner_expects_nothing_from_before() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    accepted = take(ledger, batch(1000, 4))
    assert [type(message) for message in accepted] == [Start, Segment, Frames]
    assert ledger.tally().totals.expected == 4


def test_frames_without_a_segment_get_one() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start(first=5))
    accepted = take(ledger, batch(7, 1))
    assert isinstance(accepted[0], Segment)
    assert ledger.tally().missing.tolist() == [[5, 7]]


def test_a_new_series_closes_the_old_and_its_stragglers_are_refused() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start("old"))
    take(ledger, batch(0, 4, "old"))
    closed = ledger.accept(start("new")).closed
    assert closed is not None
    assert closed.totals == (4, 4)
    assert frame_numbers(take(ledger, batch(0, 2, "new"))) == [0, 1]
    assert not take(ledger, batch(4, 3, "old"))
    assert ledger.rejected["closed_series"] == 3
    assert not take(ledger, batch(0, 3, "foreign"))
    assert ledger.rejected["other_series"] == 3


@pytest.mark.parametrize("wrong", [(3, 3), (2, 4)])
def test_frames_of_another_size_are_refused_whole(wrong: tuple[int, int]) -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    frames = np.zeros((5, *wrong), np.uint16)
    message = Frames(series="s", first_frame=0, timestamp_s=0.0, frames=frames)
    assert not take(ledger, message)
    assert ledger.rejected["shape"] == 5


def test_without_a_stated_shape_the_series_states_it() -> None:
    ledger = Ledger(None, 9000.0)
    assert frame_numbers(take(ledger, batch(3, 2))) == [3, 4]


def test_a_start_that_is_refused_leaves_the_running_series_alone() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start("old"))
    take(ledger, start("running"))
    take(ledger, batch(0, 4, "running"))
    wrong = Start(series="wrong", rows=9, columns=9, frame_rate_hz=1.0, started_s=0.0)
    for refused in (wrong, start("old"), start("running")):
        assert ledger.accept(refused) == ([], None)
    assert frame_numbers(take(ledger, batch(4, 4, "running"))) == [4, 5, 6, 7]
    assert ledger.rejected == {"shape": 1, "closed_series": 1, "repeated_start": 1}


def test_a_jump_of_the_frame_number_is_one_missing_range() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, batch(0, 4))
    frames = batch(0, 1).frames
    jumped = Frames(series="s", first_frame=4 + 2**40, timestamp_s=0.0, frames=frames)
    assert len(take(ledger, jumped)) == 1
    assert ledger.tally().missing.tolist() == [[4, 4 + 2**40]]
    assert ledger.totals() == (2**40 + 5, 5)
    assert frame_numbers(take(ledger, batch(4, 2))) == [4, 5]
    assert ledger.tally().missing.tolist() == [[6, 4 + 2**40]]


@pytest.mark.parametrize("wild", [2**43, 2**63 - 2])
def test_a_damaged_frame_number_is_refused_and_moves_nothing(wild: int) -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, batch(0, 4))
    frames = batch(0, 1).frames
    assert not take(ledger, Frames(series="s", first_frame=wild, timestamp_s=0.0, frames=frames))
    assert not take(ledger, Segment(series="s", number=2, first_frame=wild))
    assert ledger.totals() == (4, 4)
    assert ledger.rejected["frame_number"] == 2


@pytest.mark.parametrize(
    "first_heard",
    [
        Cycler(series="s", time_s=0.0, voltage_volt=3.7, current_ampere=0.0, capacity_ah=0.0),
        ScanStart(series="s", scan=1, rows=2, columns=2, n_images=1, pixel_um=1.0),
    ],
    ids=["cycler", "scan"],
)
def test_a_late_join_by_any_message_expects_nothing_from_before(first_heard: AnyMessage) -> None:
    ledger = Ledger(SHAPE, 9000.0)
    assert [type(message) for message in take(ledger, first_heard)] == [Start, type(first_heard)]
    take(ledger, batch(1000, 4))
    assert ledger.totals() == (4, 4)


def test_a_segment_sent_twice_does_not_split_the_exposure() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    segment = Segment(series="s", number=1, first_frame=0)
    take(ledger, segment)
    take(ledger, batch(0, 4))
    assert ledger.accept(segment) == ([], None)
    assert ledger.tally().totals == (4, 4)


def test_a_segment_that_its_frames_overtook_names_their_exposure_and_clears_nothing() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    take(ledger, batch(0, 4))
    named = Segment(series="s", number=1, first_frame=0, state=2, region=3)
    [accepted], closed = ledger.accept(named)
    assert isinstance(accepted, Segment)
    assert (accepted.state, accepted.first_frame, closed) == (2, 0, None)
    take(ledger, batch(4, 4))
    assert ledger.tally().totals == (8, 8)
    assert ledger.accept(named) == ([], None)  # what has a name keeps it
    other = Segment(series="s", number=1, first_frame=0, state=1, region=3)
    assert ledger.accept(other) == ([], None)
    assert ledger.rejected == {"repeated_segment": 2}


def test_totals_cover_every_series_of_the_run() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    for series in ("one", "two"):
        take(ledger, start(series))
        take(ledger, batch(0, 4, series))
        take(ledger, End(series=series, last_frame=5))
    assert ledger.totals() == (12, 8)
    assert ledger.finish() is not None
    assert ledger.totals() == (12, 8)


def test_an_end_that_overtakes_every_frame_waits_for_them() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    take(ledger, start())
    take(ledger, End(series="s", last_frame=9))
    assert not ledger.complete
    assert ledger.totals() == (10, 0)
    take(ledger, batch(0, 10))
    assert ledger.complete
    assert ledger.totals() == (10, 10)


def test_the_first_refusal_of_each_kind_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ledger = Ledger(SHAPE, 9000.0)
    for message in (start(), batch(0, 4), batch(0, 4), batch(2, 2), start()):
        take(ledger, message)
    assert ledger.rejected == {"duplicate": 6, "repeated_start": 1}
    assert [record.message for record in caplog.records] == [
        "refused, and counted from now on: duplicate (Frames from 0 on of s)",
        "refused, and counted from now on: repeated_start (Start of s)",
    ]
