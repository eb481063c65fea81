"""The ledger accounts for every frame number exactly once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start

SHAPE = (2, 3)


def start(series: str = "s", first: int = 0) -> Start:
    return Start(
        series=series, rows=2, columns=3, frame_rate_hz=9000.0, started_s=0.0, first_frame=first
    )


def batch(first: int, count: int, series: str = "s") -> Frames:
    numbers = np.arange(first, first + count, dtype=np.uint16)
    frames = np.broadcast_to(numbers[:, None, None], (count, *SHAPE))
    return Frames(series=series, first_frame=first, timestamp_s=0.0, frames=frames)


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
    ledger.accept(start())
    counted = [n for a, length in pieces for n in frame_numbers(ledger.accept(batch(a, length)))]
    sent = {n for a, length in pieces for n in range(a, a + length)}
    assert sorted(counted) == sorted(sent)
    tally = ledger.tally()
    missing = {n for a, b in tally.missing.tolist() for n in range(a, b)}
    assert missing == set(range(max(sent, default=-1) + 1)) - sent
    assert tally.expected == tally.received + tally.lost
    assert tally.received == len(sent)
    assert ledger.rejected["duplicate"] == sum(length for _, length in pieces) - len(sent)


def test_an_end_that_overtakes_frames_waits_for_them() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start())
    ledger.accept(batch(0, 4))
    ledger.accept(End(series="s", last_frame=9))
    assert ledger.ended
    assert not ledger.complete
    ledger.accept(batch(4, 6))
    assert ledger.complete
    assert ledger.tally().lost == 0


def test_frames_after_the_announced_last_one_are_refused() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start())
    ledger.accept(End(series="s", last_frame=4))
    assert frame_numbers(ledger.accept(batch(0, 10))) == [0, 1, 2, 3, 4]
    assert ledger.rejected["after_end"] == 5


def test_frames_lost_before_a_segment_belong_to_the_one_that_ends() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start())
    ledger.accept(Segment(series="s", number=1, first_frame=0))
    ledger.accept(batch(0, 4))
    following = Segment(series="s", number=2, first_frame=10)
    assert ledger.settle(following)
    assert ledger.tally().missing.tolist() == [[4, 10]]
    ledger.accept(following)
    assert ledger.tally().expected == 0
    ledger.accept(batch(10, 5))
    assert ledger.series_totals() == (15, 9)
    assert not frame_numbers(ledger.accept(batch(5, 2)))
    assert ledger.rejected["before_segment"] == 2


def test_a_late_joiner_expects_nothing_from_before() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    accepted = ledger.accept(batch(1000, 4))
    assert [type(message) for message in accepted] == [Start, Segment, Frames]
    assert ledger.tally().expected == 4


def test_frames_without_a_segment_get_one() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start(first=5))
    accepted = ledger.accept(batch(7, 1))
    assert isinstance(accepted[0], Segment)
    assert ledger.tally().missing.tolist() == [[5, 7]]


def test_a_new_series_closes_the_old_and_its_stragglers_are_refused() -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start("old"))
    ledger.accept(batch(0, 4, "old"))
    assert ledger.settle(start("new"))
    ledger.accept(start("new"))
    assert frame_numbers(ledger.accept(batch(0, 2, "new"))) == [0, 1]
    assert not ledger.accept(batch(4, 3, "old"))
    assert ledger.rejected["closed_series"] == 3
    assert not ledger.accept(batch(0, 3, "foreign"))
    assert ledger.rejected["other_series"] == 3


@pytest.mark.parametrize("wrong", [(3, 3), (2, 4)])
def test_frames_of_another_size_are_refused_whole(wrong: tuple[int, int]) -> None:
    ledger = Ledger(SHAPE, 9000.0)
    ledger.accept(start())
    frames = np.zeros((5, *wrong), np.uint16)
    message = Frames(series="s", first_frame=0, timestamp_s=0.0, frames=frames)
    assert not ledger.accept(message)
    assert ledger.rejected["shape"] == 5


def test_without_a_stated_shape_the_series_states_it() -> None:
    ledger = Ledger(None, 9000.0)
    assert frame_numbers(ledger.accept(batch(3, 2))) == [3, 4]
