"""The path of a frame: what is accepted reaches every reducer and recorder, in order, once."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from hexlive.stream.inbox import Queued
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, End, Frames, Message, Segment, Start
from hexlive.stream.pipeline import GapError, Pace, Report, run

SERIES = "s"


class SumReducer:
    """Adds up all pixels of the present segment."""

    busy = False

    def __init__(self) -> None:
        self.total = 0

    def add(self, message: Message) -> None:
        if isinstance(message, Segment):
            self.clear()
        if isinstance(message, Frames):
            self.total += int(message.frames.sum())

    def snapshot(self) -> int:
        return self.total

    def finish(self) -> None:
        self.finished = True

    def clear(self) -> None:
        self.total = 0


class Collector:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.items: list[object] = []

    def put(self, item: object) -> None:
        self.items.append(item)

    def close(self) -> None:
        pass


def ones(first: int, count: int) -> Frames:
    frames = np.ones((count, 2, 2), np.uint16)
    return Frames(series=SERIES, first_frame=first, timestamp_s=0.0, frames=frames)


BEGIN = Start(series=SERIES, rows=2, columns=2, frame_rate_hz=100.0, started_s=0.0)
FIRST = Segment(series=SERIES, number=1, first_frame=0)
SECOND = Segment(series=SERIES, number=2, first_frame=10)


Run = Callable[..., tuple[list[Report], list[object], Report]]


@pytest.fixture
def run_messages(make_source) -> Run:
    """Run given messages; gives the reports, what was recorded, and the last report."""

    def go(messages: list[AnyMessage], **options: object) -> tuple[list, list, Report]:
        reports, recorded = Collector(), Collector()
        last = run(
            make_source(messages), Ledger((2, 2), 100.0), [SumReducer()], [recorded], [reports],
            Pace(end_timeout_s=0.05, **options),
        )  # fmt: skip
        return reports.items, recorded.items, last

    return go


def test_every_exposure_is_reported_final_once_with_its_own_counts(run_messages: Run) -> None:
    messages = [BEGIN, FIRST, ones(0, 10), SECOND, ones(10, 5), End(series=SERIES, last_frame=14)]
    reports, recorded, last = run_messages(messages)
    finals = [report for report in reports if report.final]
    assert [report.find(int) for report in finals] == [40, 20]
    assert [report.tally.totals.received for report in finals] == [10, 5]
    assert last.stopped
    assert last.totals == (15, 15)
    assert len(recorded) == len(messages)


def test_what_the_ledger_refuses_is_neither_counted_nor_recorded(run_messages: Run) -> None:
    messages = [BEGIN, FIRST, ones(0, 4), ones(0, 4), ones(2, 4), End(series=SERIES, last_frame=5)]
    reports, recorded, last = run_messages(messages)
    assert [report.find(int) for report in reports if report.final] == [6 * 4]
    assert sum(len(item.frames) for item in recorded if isinstance(item, Frames)) == 6
    assert last.rejected["duplicate"] == 6


def test_missing_frames_at_the_end_are_waited_for_and_then_counted(run_messages: Run) -> None:
    messages = [BEGIN, FIRST, ones(0, 4), End(series=SERIES, last_frame=9)]
    reports, _, last = run_messages(messages)
    assert last.totals == (10, 4)
    final = next(report for report in reports if report.final)
    assert final.tally.missing.tolist() == [[4, 10]]


def test_a_gap_ends_the_run_when_the_configuration_says_so(run_messages: Run) -> None:
    with pytest.raises(GapError):
        run_messages([BEGIN, FIRST, ones(0, 4), ones(6, 4)], fail_on_gap=True)


def test_silence_ends_the_run_after_the_idle_timeout(run_messages: Run) -> None:
    _, _, last = run_messages([BEGIN, FIRST, ones(0, 4)], idle_timeout_s=0.05)
    assert last.totals == (4, 4)


def test_the_time_in_which_the_run_was_stopped_itself_is_no_silence(
    make_source, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = [0.0]
    monkeypatch.setattr("hexlive.stream.silence.time.monotonic", lambda: clock_s[0])

    class Stopped(make_source):
        def __iter__(self) -> Iterator[AnyMessage | None]:
            yield from (BEGIN, FIRST, ones(0, 4))
            clock_s[0] += 60.0
            yield None  # awake again, and what came meanwhile is on its way
            yield ones(4, 4)
            while True:
                clock_s[0] += 0.05
                yield None

    pace = Pace(idle_timeout_s=10.0)
    last = run(Stopped([]), Ledger((2, 2), 100.0), [SumReducer()], pace=pace)
    assert last.totals == (8, 8)
    assert clock_s[0] == pytest.approx(70.0, abs=1.0)


@pytest.mark.parametrize("batch_s", [0.01, 0.057, 0.099])
def test_batches_do_not_make_reports_rarer_than_they_are_asked_for(
    make_source, monkeypatch: pytest.MonkeyPatch, batch_s: float
) -> None:
    """A report can only come with a batch: one that is late for a beat costs no further beat."""
    clock_s, reports = [0.0], Collector()
    monkeypatch.setattr("hexlive.stream.pipeline.time.monotonic", lambda: clock_s[0])

    class Paced(make_source):
        def __iter__(self) -> Iterator[AnyMessage | None]:
            yield from (BEGIN, FIRST)
            for first in range(round(10 / batch_s)):
                clock_s[0] += batch_s
                yield ones(first, 1)

    run(
        Paced([]), Ledger((2, 2), 100.0), [SumReducer()], [], [reports], Pace(report_interval_s=0.1)
    )
    assert len(reports.items) == pytest.approx(100, abs=4)


def test_a_request_to_stop_ends_the_run(run_messages: Run) -> None:
    _, _, last = run_messages([BEGIN, FIRST, ones(0, 4), ones(4, 4)], should_stop=lambda: True)
    assert last.totals == (0, 0)


@pytest.mark.parametrize(("drain_s", "n_frames"), [(10.0, 8), (0.0, 0)])
def test_a_stop_takes_what_a_live_source_has_here_already_but_not_for_ever(
    make_source, drain_s: float, n_frames: int
) -> None:
    source = make_source([BEGIN, FIRST, ones(0, 4), ones(4, 4)])
    source.live = True
    pace = Pace(should_stop=lambda: True, drain_s=drain_s)
    last = run(source, Ledger((2, 2), 100.0), [SumReducer()], [], [], pace)
    assert last.totals == (n_frames, n_frames)


def test_bytes_that_are_no_message_do_not_cut_a_drain_short(
    make_source, caplog: pytest.LogCaptureFixture
) -> None:
    """A source gives None for them, as it does where nothing is left."""

    class Queue(make_source):
        live, left = True, 3

        @property
        def queued(self) -> Queued:
            return Queued(self.left, 3)

        def __iter__(self) -> Iterator[AnyMessage | None]:
            for message in (BEGIN, None, ones(0, 4), None):
                self.left = max(0, self.left - 1)
                yield message

    caplog.set_level("INFO")
    pace = Pace(should_stop=lambda: True, drain_s=10.0)
    last = run(Queue([]), Ledger((2, 2), 100.0), [SumReducer()], pace=pace)
    assert last.totals == (4, 4)
    assert "had arrived" not in caplog.text
    last = run(Queue([]), Ledger((2, 2), 100.0), [SumReducer()], pace=replace(pace, drain_s=-1.0))
    assert last.totals == (0, 0)
    assert "2 bytes that had arrived were not taken any more" in caplog.text


@pytest.mark.parametrize(
    "after_gap",
    [[SECOND], [End(series=SERIES, last_frame=9)], [ones(10, 1)]],
    ids=lambda m: type(m[0]).__name__,
)
def test_a_gap_before_anything_ends_a_run_that_must_not_have_any(
    run_messages: Run,
    after_gap: list[AnyMessage],
) -> None:
    with pytest.raises(GapError, match="6 frames"):
        run_messages([BEGIN, FIRST, ones(0, 4), *after_gap], fail_on_gap=True, idle_timeout_s=0.05)


def test_an_end_that_overtakes_frames_is_no_gap(run_messages: Run) -> None:
    messages = [BEGIN, FIRST, ones(0, 4), End(series=SERIES, last_frame=9), ones(4, 6)]
    _, _, last = run_messages(messages, fail_on_gap=True)
    assert last.totals == (10, 10)


def test_refused_messages_do_not_keep_a_run_alive(make_source) -> None:
    foreign = Frames(
        series="other", first_frame=0, timestamp_s=0.0, frames=np.ones((1, 2, 2), np.uint16)
    )

    class Chatter(make_source):
        def __iter__(self) -> Iterator[AnyMessage | None]:
            yield from self._messages
            while True:
                yield foreign

    last = run(
        Chatter([BEGIN, FIRST, ones(0, 4)]), Ledger((2, 2), 100.0), [SumReducer()],
        pace=Pace(idle_timeout_s=0.1),
    )  # fmt: skip
    assert last.totals == (4, 4)
    assert last.rejected["other_series"] > 0


class SlowReducer(SumReducer):
    """Busy until it is given up."""

    busy = True

    def clear(self) -> None:
        self.busy = False


def test_a_second_request_gives_up_what_is_still_busy(make_source) -> None:
    reducer = SlowReducer()
    run(
        make_source([BEGIN]), Ledger((2, 2), 100.0), [reducer],
        pace=Pace(should_stop=lambda: True, should_abandon=lambda: True),
    )  # fmt: skip
    assert not reducer.busy
