"""The path of one frame, top to bottom: source, ledger, recorder, reducers; then reports to sinks.

The data leg blocks and never drops silently. The display leg hangs off the reports, at its own
pace, and can never slow the data leg.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hexlive.stream.ledger import Ledger, Tally
from hexlive.stream.model import AnyMessage, End, Frames, Message, Segment

Result = TypeVar("Result")
Item = TypeVar("Item", contravariant=True)


class Source(Protocol):
    """Where messages come from; yields None when nothing came for a moment."""

    rejected: Counter[str]

    @property
    def live(self) -> bool:
        """Messages come from now, not from a file."""
        ...

    def __iter__(self) -> Iterator[AnyMessage | None]: ...


class Reducer(Protocol):
    """One analysis: takes every accepted message, gives its present result when asked."""

    @property
    def busy(self) -> bool:
        """Work is still going on elsewhere, so a final result needs waiting for."""
        ...

    def add(self, message: Message) -> None: ...

    def snapshot(self) -> object: ...

    def clear(self) -> None: ...


class Sink(Protocol[Item]):
    """Where messages (a recorder) or reports (result file, publisher) go."""

    def put(self, item: Item) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known at one moment.

    Attributes
    ----------
    final
        The present exposure is over and these are its final numbers.
    stopped
        The series is over.
    results
        One result of each reducer.
    tally, totals
        Frames of the present exposure; (expected, received) of the series.
    rate_hz
        Frames per second since the last report.
    backlog_ms
        Age of the newest frame when it was counted; None for files.
    """

    final: bool
    stopped: bool
    series: str
    results: tuple[object, ...]
    tally: Tally
    totals: tuple[int, int]
    rejected: Counter[str]
    rate_hz: float
    backlog_ms: float | None

    def find(self, kind: type[Result]) -> Result | None:
        """The result of this kind, if there is one."""
        return next((result for result in self.results if isinstance(result, kind)), None)


class GapError(RuntimeError):
    """Frames are missing and the configuration says that this ends the run."""


def run(
    source: Source,
    ledger: Ledger,
    reducers: Sequence[Reducer],
    recorders: Sequence[Sink[Message]] = (),
    sinks: Sequence[Sink[Report]] = (),
    *,
    report_interval_s: float = 0.5,
    idle_timeout_s: float | None = None,
    end_timeout_s: float = 1.0,
    fail_on_gap: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Run until the series ends, nothing arrives for too long, or ``should_stop`` says so.

    Returns
    -------
    Report
        The last one; every exposure has been reported as final once.

    Raises
    ------
    GapError
        A frame is missing and ``fail_on_gap`` is set.
    """
    reporter = _Reporter(source, ledger, reducers, sinks)
    heard = time.monotonic()
    for message in source:
        if message is not None and ledger.settle(message):
            reporter.close_exposure()
        for accepted in ledger.accept(message) if message is not None else ():
            for recorder in recorders:
                recorder.put(accepted)
            for reducer in reducers:
                reducer.add(accepted)
            reporter.note(accepted)

        now = time.monotonic()
        if message is not None:
            heard = now
        if now - reporter.reported > report_interval_s:
            reporter.report()
        if fail_on_gap and ledger.tally().lost:
            raise GapError("Frames are missing; stopped because stream.on_gap is 'fail'.")
        limit_s = end_timeout_s if ledger.ended else idle_timeout_s
        if ledger.complete or should_stop() or (limit_s is not None and now - heard > limit_s):
            break

    reporter.close_exposure()
    while any(reducer.busy for reducer in reducers) and not should_stop():
        time.sleep(0.05)
        if time.monotonic() - reporter.reported > report_interval_s:
            reporter.report()
    return reporter.report(stopped=True)


class _Reporter:
    """Makes reports and hands them to the sinks."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        reducers: Sequence[Reducer],
        sinks: Sequence[Sink[Report]],
    ) -> None:
        self._source, self._ledger = source, ledger
        self._reducers, self._sinks = reducers, sinks
        self._open = False
        self._series = ""
        self._backlog_ms: float | None = None
        self._n_frames = 0
        self.reported = time.monotonic()

    def note(self, message: AnyMessage) -> None:
        """Keep what the next report says of the stream itself."""
        self._series = message.series
        match message:
            case Segment():
                self._open = True
            case Frames(timestamp_s=sent_s):
                self._n_frames += len(message.frames)
                if self._source.live:
                    self._backlog_ms = max(0.0, 1e3 * (time.time() - sent_s))
            case End():
                self._backlog_ms = None

    def close_exposure(self) -> None:
        """Report the present exposure as final, once."""
        if self._open:
            self.report(final=True)
            self._open = False

    def report(self, *, final: bool = False, stopped: bool = False) -> Report:
        """Ask every reducer for its result and hand the report to every sink."""
        now = time.monotonic()
        elapsed = now - self.reported
        report = Report(
            final=final,
            stopped=stopped,
            series=self._series,
            results=tuple(reducer.snapshot() for reducer in self._reducers),
            tally=self._ledger.tally(),
            totals=self._ledger.series_totals(),
            rejected=self._ledger.rejected + self._source.rejected,
            rate_hz=self._n_frames / elapsed if elapsed > 0 else 0.0,
            backlog_ms=self._backlog_ms,
        )
        for sink in self._sinks:
            sink.put(report)
        self._n_frames, self.reported = 0, now
        return report
