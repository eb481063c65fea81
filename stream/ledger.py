"""Accounts for every frame number of a series: received once, missing with its range, or refused.

Because counts are sums of integers, a late frame needs no reorder buffer: it is counted when it
comes and its number leaves the missing ranges.
"""

import logging
from collections import Counter
from copy import deepcopy
from typing import Final, NamedTuple

import msgspec

from hexlive.stream.exposure import Exposure, Tally, Totals
from hexlive.stream.model import (
    AdviceList,
    AnyMessage,
    End,
    Frames,
    Message,
    Projections,
    ScanEnd,
    ScanStart,
    Segment,
    Snapshot,
    Start,
)
from hexlive.stream.scans import ScanDesk, ScanDeskState, ScanMessage
from hexlive.stream.suspicions import Suspicions

LOG: Final = logging.getLogger(__name__)
UNKNOWN_START: Final = "late join"
MAX_FRAME_NUMBER: Final = 2**62
MAX_JUMP: Final = 2**42  # 15 years at 9 kHz, 50 days at 1 MHz; a wilder number is a damaged one
Shape = tuple[int, int]


class Accepted(NamedTuple):
    """What is to be processed, in order, and the exposure that it brings to an end, if any."""

    messages: list[AnyMessage]
    closed: Tally | None = None


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ledger knows, but for what it rejected."""

    series: str | None
    closed: list[str]
    start: Start | None
    first: int | None
    end: int | None
    segment: Segment | None
    exposure: Exposure | None
    past: Totals
    scans: ScanDeskState


class Ledger:
    """Decides what of the incoming messages is new and belongs to the running series.

    What it gives back always is: start, segment, frames; a series or segment whose beginning was
    missed is given one. A start needs the size of the frames: where nobody knows it yet, there is
    none.

    Parameters
    ----------
    shape
        (rows, columns) of the frames that this run can process; None: whatever comes first.
    frame_rate_hz
        Nominal rate, used where the detector did not announce one.

    Attributes
    ----------
    rejected
        Frames or messages refused, by reason.
    """

    def __init__(self, shape: Shape | None, frame_rate_hz: float) -> None:
        self._shape = shape
        self._frame_rate_hz = frame_rate_hz
        self.rejected: Counter[str] = Counter()
        self._series: str | None = None
        self._closed: set[str] = set()
        self._started: Start | None = None
        self._first: int | None = None
        self._end: int | None = None
        self._scans = ScanDesk()
        self._segment: Segment | None = None
        self._exposure: Exposure | None = None
        self._past = Totals(0, 0)
        self._suspicions = Suspicions()

    def accept(self, message: AnyMessage) -> Accepted:
        """Take a message or refuse it, counting it in ``rejected``."""
        if fault := self._fault(message):
            self._refuse(message, fault, len(message.frames) if isinstance(message, Frames) else 1)
            if fault == "other_series" and isinstance(message, Frames):
                self._suspicions.note_foreign()
            return Accepted([])
        if isinstance(message, Start):
            return self._start(message)
        opening = self._joined(message)
        match message:
            case Segment() if message.names(self._segment):
                accepted = self._name(message)
            case Segment():
                accepted = self._open(message)
            case Frames():
                accepted = Accepted(self._frames(message))
            case ScanStart() | Projections() | ScanEnd():
                accepted = Accepted(self._scan(message))
            case _:
                accepted = Accepted([message])
        if isinstance(message, End):
            opening += self._note_end(message)
        return Accepted([*opening, *accepted.messages], accepted.closed)

    def finish(self) -> Tally | None:
        """Close the present exposure, if there is one, and the series."""
        tally = self._close_exposure()
        if self._series is not None:
            self._closed.add(self._series)
        self._series = self._started = self._first = self._end = self._segment = None
        return tally

    def state(self) -> LedgerState:
        """For a checkpoint; it does not follow what comes later."""
        return LedgerState(
            series=self._series,
            closed=sorted(self._closed),
            start=self._started,
            first=self._first,
            end=self._end,
            segment=self._segment,
            exposure=deepcopy(self._exposure),
            past=self._past,
            scans=self._scans.state(),
        )

    def restore(self, state: LedgerState) -> None:
        """Go on from a checkpoint."""
        self._series, self._closed = state.series, set(state.closed)
        self._started, self._first, self._end = state.start, state.first, state.end
        self._segment, self._exposure, self._past = state.segment, state.exposure, state.past
        self._scans.restore(state.scans)

    def opening(self) -> list[AnyMessage]:
        """What began the present series, exposure and scan, for whoever comes late to them."""
        opening: list[AnyMessage] = [] if self._started is None else [self._started]
        if self._segment is not None and self._exposure is not None:
            first = self._exposure.first
            opening.append(msgspec.structs.replace(self._segment, first_frame=first))
        return opening + self._scans.opening

    def leave_scan(self, *, again: bool) -> bool:
        """Forget a CT scan that is under way, as its images are lost; ``again``: they will come.

        Returns
        -------
        bool
            There was one, and it may begin again.
        """
        return self._scans.leave(again=again)

    def end_of_scan(self, n_images: int) -> ScanEnd | None:
        """What would end the CT scan that is under way after so many images; None: none is."""
        return self._scans.ending(n_images)

    @property
    def next_scan(self) -> int:
        """The number in this run of the next CT scan that begins."""
        return self._scans.next

    @property
    def series(self) -> str | None:
        """The series that has begun and is not over; None: there is none."""
        return self._series

    @property
    def running(self) -> bool:
        """A series has begun and is not over."""
        return self._series is not None

    @property
    def ended(self) -> bool:
        """The sender has said that the series is over (frames may still be under way)."""
        return self._end is not None

    @property
    def complete(self) -> bool:
        """The series has ended and every frame of the present exposure is in."""
        return self.ended and (self._exposure is None or not self._exposure.missing)

    @property
    def suspicions(self) -> tuple[str, ...]:
        """What the gaps and duplicates of the running series look like, a sentence each."""
        return self._suspicions.standing

    def tally(self) -> Tally:
        """Frames of the present exposure."""
        return (self._exposure or Exposure(0, 0)).tally()

    def totals(self) -> Totals:
        """Frames of all exposures of this run."""
        now = self._exposure.totals if self._exposure else Totals(0, 0)
        return Totals(self._past.expected + now.expected, self._past.received + now.received)

    def _fault(self, message: AnyMessage) -> str | None:
        """Why this message cannot be taken, if so; changes nothing."""
        if message.series in self._closed:
            return "closed_series"
        if isinstance(message, Start):
            return self._start_fault(message)
        if self._series not in (None, message.series):
            return "other_series"
        match message:
            case Frames(frames=frames):
                if self._shape not in (None, frames.shape[1:]):
                    return "shape"
                return self._number_fault(message.first_frame, message.end_frame)
            case Segment(first_frame=first):
                now = self._segment
                repeated = now and (now.number, now.first_frame) == (message.number, first)
                if repeated and not message.names(now):
                    return "repeated_segment"
                return self._number_fault(first, first)
            case ScanStart() | Projections() | ScanEnd():
                return self._scans.fault(message)
            case End():
                if self._series is None:  # of a series that was before this run
                    return "unknown_end"
                if self._end is not None:
                    return "repeated_end"
                end = _end_frame(message)
                return self._number_fault(end, end)
            case Snapshot() | AdviceList():
                return "unexpected"
        return None

    def _start_fault(self, message: Start) -> str | None:
        if message.series == self._series:
            return "repeated_start"
        if self._shape not in (None, (message.rows, message.columns)):
            return "shape"
        return self._number_fault(message.first_frame, message.first_frame)

    def _number_fault(self, first: int, end: int) -> str | None:
        wild = self._exposure is not None and first > self._exposure.next + MAX_JUMP
        return "frame_number" if wild or end > MAX_FRAME_NUMBER else None

    def _start(self, message: Start) -> Accepted:
        closed = self.finish()
        self._series, self._started, self._first = message.series, message, message.first_frame
        self._suspicions = Suspicions()
        self._shape = (message.rows, message.columns)
        return Accepted([message], closed)

    def _joined(self, message: Message) -> list[AnyMessage]:
        """Open a series in the middle if its start was missed."""
        if isinstance(message, Frames):
            self._shape = (message.frames.shape[1], message.frames.shape[2])
        if self._series is not None:
            return []
        self._series = message.series
        if self._shape is None:
            return []
        rows, columns = self._shape
        self._started = Start(
            series=message.series,
            rows=rows,
            columns=columns,
            frame_rate_hz=self._frame_rate_hz,
            started_s=0.0,
            detector=UNKNOWN_START,
        )
        return [self._started]

    def _open(self, message: Segment) -> Accepted:
        """Begin an exposure; frames missing before it belong to the one that it ends.

        What the end of the series announced, and has not come, is expected in the new one.
        """
        begin = message.first_frame
        if self._exposure is not None:
            self._exposure.expect_less(begin)
            begin = self._exposure.next
        closed = self._close_exposure()
        self._segment, self._exposure = message, Exposure(begin, begin)
        if self._end is not None:
            self._exposure.expect_up_to(self._end)
        return Accepted([msgspec.structs.replace(message, first_frame=begin)], closed)

    def _name(self, message: Segment) -> Accepted:
        """Frames overtook the segment that says what they are of; they stay counted."""
        assert self._exposure is not None
        self._segment = message
        return Accepted([msgspec.structs.replace(message, first_frame=self._exposure.first)])

    def _close_exposure(self) -> Tally | None:
        if self._exposure is None:
            return None
        tally, self._past = self._exposure.tally(), self.totals()
        self._exposure = None
        return tally

    def _note_end(self, message: End) -> list[AnyMessage]:
        """Expect everything up to the last frame, even if none has come yet."""
        self._end = end = _end_frame(message)
        opening: list[AnyMessage] = []
        if self._exposure is None and self._first is not None and end > self._first:
            opening = self._open(self._first_segment(message.series, self._first)).messages
        if self._exposure is not None:
            self._exposure.expect_up_to(end)
        return opening

    def _first_segment(self, series: str, first: int) -> Segment:
        """The exposure of a sender that announces none."""
        return Segment(series=series, number=1, first_frame=first)

    def _frames(self, message: Frames) -> list[AnyMessage]:
        opening: list[AnyMessage] = []
        if self._exposure is None:
            first = message.first_frame if self._first is None else self._first
            opening = self._open(self._first_segment(message.series, first)).messages
        assert self._exposure is not None
        end = message.end_frame if self._end is None else min(message.end_frame, self._end)
        n_missed = message.first_frame - self._exposure.next
        new = self._exposure.take(max(message.first_frame, self._exposure.first), end)
        n_new = sum(b - a for a, b in new)
        if refused := len(message.frames) - n_new:
            self._refuse(message, self._why_refused(message), refused)
        self._suspicions.note(message, n_missed, n_new)
        return [*opening, *(message.cut(a, b) for a, b in new)]

    def _scan(self, message: ScanMessage) -> list[AnyMessage]:
        new = self._scans.admit(message)
        if isinstance(message, Projections):
            n_new = sum(len(part.images) for part in new if isinstance(part, Projections))
            if refused := len(message.images) - n_new:
                self._refuse(message, "duplicate_image", refused)
        return new

    def _refuse(self, message: AnyMessage, why: str, n: int) -> None:
        """Count what is refused; the first for each reason is said."""
        if not self.rejected[why]:
            kind = type(message).__name__
            at = f" from {message.first_frame} on" if isinstance(message, Frames) else ""
            LOG.info(
                "refused, and counted from now on: %s (%s%s of %s)", why, kind, at, message.series
            )
        self.rejected[why] += n

    def _why_refused(self, message: Frames) -> str:
        if self._end is not None and message.end_frame > self._end:
            return "after_end"
        assert self._exposure is not None
        if message.first_frame < self._exposure.first:
            return "before_segment"
        return "too_late" if message.first_frame < self._exposure.settled else "duplicate"


def _end_frame(message: End) -> int:
    """One more than the last frame number of a series."""
    return 0 if message.last_frame is None else message.last_frame + 1
