"""The path of one frame, top to bottom: source, ledger, recorder, reducers; then reports to sinks.

The data leg blocks and never drops silently. The display leg hangs off the reports, at its own
pace, and can never slow the data leg.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, runtime_checkable

from hexlive.stream.exposure import Tally, Totals
from hexlive.stream.inbox import NONE_QUEUED, Queued
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, Frames, Message
from hexlive.stream.silence import Silence

LOG: Final = logging.getLogger(__name__)
Result = TypeVar("Result")
Item = TypeVar("Item", contravariant=True)


class Source(Protocol):
    """Where messages come from; yields None when nothing (or nothing valid) came for a moment."""

    @property
    def rejected(self) -> Counter[str]:
        """What was no message of this run, counted by reason."""
        ...

    @property
    def live(self) -> bool:
        """Messages come from now, not from a file."""
        ...

    def __iter__(self) -> Iterator[AnyMessage | None]: ...


@runtime_checkable
class Queueing(Protocol):
    """A source in which messages wait to be processed."""

    @property
    def queued(self) -> Queued:
        """How much waits."""
        ...


class Reducer(Protocol):
    """One analysis."""

    @property
    def busy(self) -> bool:
        """Work is still going on elsewhere, so a final result needs waiting for."""
        ...

    def add(self, message: Message) -> None:
        """Take one accepted message, of whatever type."""
        ...

    def snapshot(self) -> object:
        """The present result; one type per reducer."""
        ...

    def finish(self) -> None:
        """No more messages will come."""
        ...

    def clear(self) -> None:
        """Back to nothing; work that goes on elsewhere is given up."""
        ...


class Sink(Protocol[Item]):
    """Where messages (a recorder) or reports (result file, publisher) go."""

    def put(self, item: Item) -> None:
        """Take one item."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known at one moment.

    Attributes
    ----------
    final
        An exposure is over and these are its final numbers.
    stopped
        The run is over.
    results
        One result of each reducer.
    tally, totals
        Frames of the exposure, and of all exposures of the run.
    rate_hz
        Frames per second since the last report.
    backlog_ms
        Age of the newest frame when it was counted; None for files.
    queued
        What has arrived and waits to be processed.
    suspicions
        What the gaps and duplicates look like, a sentence each.
    """

    final: bool
    stopped: bool
    series: str
    results: tuple[object, ...]
    tally: Tally
    totals: Totals
    rejected: Counter[str]
    rate_hz: float
    backlog_ms: float | None
    queued: Queued = NONE_QUEUED
    suspicions: tuple[str, ...] = ()

    def find(self, kind: type[Result]) -> Result | None:
        """The result of this kind, if there is one."""
        return next((result for result in self.results if isinstance(result, kind)), None)


class GapError(RuntimeError):
    """Frames are missing and the configuration says that this ends the run."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When a run reports, and when it ends by itself.

    Attributes
    ----------
    report_interval_s
        Between reports.
    idle_timeout_s
        End when nothing was accepted for so long, once something was; None: wait for ever.
    end_timeout_s
        After the end of the series: how long to wait for frames that are still missing.
    fail_on_gap
        The first missing frame ends the run with GapError.
    drain_s
        After a stop is asked for: how long at most to take what a live source has here already.
    should_stop, should_abandon
        Asked all the time: take no more; do not even wait for what is under way.
    """

    report_interval_s: float = 0.5
    idle_timeout_s: float | None = None
    end_timeout_s: float = 1.0
    drain_s: float = 1.0
    fail_on_gap: bool = False
    should_stop: Callable[[], bool] = lambda: False
    should_abandon: Callable[[], bool] = lambda: False

    def over(self, ledger: Ledger, silent_s: float | None) -> bool:
        """Whether the run ends here, ``silent_s`` after the last accepted message (None: none)."""
        limit_s = self.end_timeout_s if ledger.ended else self.idle_timeout_s
        idle = silent_s is not None and limit_s is not None and silent_s > limit_s
        return ledger.complete or idle or self.should_abandon()


def run(
    source: Source,
    ledger: Ledger,
    reducers: Sequence[Reducer],
    recorders: Sequence[Sink[Message]] = (),
    sinks: Sequence[Sink[Report]] = (),
    pace: Pace | None = None,
) -> Report:
    """Run until the series ends, nothing arrives for too long, or a stop is asked for.

    Returns
    -------
    Report
        The last one; every exposure has been reported as final once.

    Raises
    ------
    GapError
        A frame is missing and ``pace.fail_on_gap`` is set.
    """
    pace = pace or Pace()
    reporter = _Reporter(source, ledger, reducers, sinks, pace.report_interval_s)
    silence, draining = Silence(began=ledger.running), _Draining(source, pace)
    for message in source:
        if message is not None:
            accepted = ledger.accept(message)
            if accepted.closed is not None:
                reporter.report(closed=accepted.closed)
            for item in accepted.messages:
                for recorder in recorders:
                    recorder.put(item)
                for reducer in reducers:
                    reducer.add(item)
                reporter.note(item)
                silence.end()

        if reporter.due:
            reporter.report()
        if pace.fail_on_gap and not ledger.ended:
            _refuse_gaps(ledger)
        if pace.over(ledger, silence.lasted_s()) or draining.done(message):
            break

    if left := _queued(source).now_bytes:
        LOG.info("%d bytes that had arrived were not taken any more: the run is over.", left)
    closed = ledger.finish()
    if closed is not None:
        reporter.report(closed=closed)
    if pace.fail_on_gap:
        _refuse_gaps(ledger)
    for reducer in reducers:
        reducer.finish()
    while any(reducer.busy for reducer in reducers):
        if pace.should_abandon():
            for reducer in reducers:
                reducer.clear()
        time.sleep(0.05)
        if reporter.due:
            reporter.report()
    return reporter.report(stopped=True)


class _Draining:
    """After a stop is asked for: whether what a live source had here already has been taken."""

    def __init__(self, source: Source, pace: Pace) -> None:
        self._source, self._pace = source, pace
        self._since_s: float | None = None

    def done(self, message: AnyMessage | None) -> bool:
        """Asked after each message, or None where nothing valid was there."""
        if not self._pace.should_stop():
            return False
        now_s = time.monotonic()
        self._since_s = self._since_s or now_s
        empty = message is None and not _queued(self._source).now_bytes
        return not self._source.live or empty or now_s - self._since_s > self._pace.drain_s


def _queued(source: Source) -> Queued:
    return source.queued if isinstance(source, Queueing) else NONE_QUEUED


def _refuse_gaps(ledger: Ledger) -> None:
    if lost := ledger.totals().lost:
        raise GapError(f"{lost} frames are missing; stopped because stream.on_gap is 'fail'.")


class _Reporter:
    """Makes reports and hands them to the sinks."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        reducers: Sequence[Reducer],
        sinks: Sequence[Sink[Report]],
        interval_s: float,
    ) -> None:
        self._interval_s = interval_s
        self._source, self._ledger = source, ledger
        self._reducers, self._sinks = reducers, sinks
        self._series = ""
        self._backlog_ms: float | None = None
        self._n_frames = 0
        self._counted_s = time.monotonic()  # since when frames are counted for the rate
        self._due_s = self._counted_s + interval_s

    @property
    def due(self) -> bool:
        """Whether it is time for a report."""
        return time.monotonic() > self._due_s

    def note(self, message: AnyMessage) -> None:
        """Keep what the next report says of the stream itself."""
        self._series = message.series
        if isinstance(message, Frames):
            self._n_frames += len(message.frames)
            if self._source.live:
                self._backlog_ms = max(0.0, 1e3 * (time.time() - message.timestamp_s))

    def report(self, *, closed: Tally | None = None, stopped: bool = False) -> Report:
        """Ask every reducer for its result and hand the report to every sink."""
        began_s, source = time.monotonic(), self._source
        elapsed_s = began_s - self._counted_s
        report = Report(
            final=closed is not None,
            stopped=stopped,
            series=self._series,
            results=tuple(reducer.snapshot() for reducer in self._reducers),
            tally=closed or self._ledger.tally(),
            totals=self._ledger.totals(),
            rejected=self._ledger.rejected + source.rejected,
            rate_hz=self._n_frames / elapsed_s if elapsed_s > 0 else 0.0,
            backlog_ms=None if stopped else self._backlog_ms,
            queued=_queued(source),
            suspicions=self._ledger.suspicions,
        )
        for sink in self._sinks:
            sink.put(report)
        self._n_frames, self._counted_s = 0, began_s
        # On a beat, so that what comes in batches is reported as often as it is asked for, if not
        # evenly. Where reports take more than half of the interval, the stream has as long as they
        # took before the next, or an interval if that is shorter.
        took_s = time.monotonic() - began_s
        pause_s = min(took_s, self._interval_s)
        beat_s = self._due_s if began_s > self._due_s else began_s
        self._due_s = max(
            beat_s + self._interval_s, began_s + self._interval_s / 2, began_s + took_s + pause_s
        )
        return report
