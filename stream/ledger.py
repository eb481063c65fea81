"""Accounts for every frame number of a series: received once, missing with its range, or refused.

Because counts are sums of integers, a late frame needs no reorder buffer: it is counted when it
comes and its number leaves the missing ranges.
"""

from collections import Counter
from copy import deepcopy
from typing import Final, NamedTuple

import msgspec

from hexlive.stream.exposure import Exposure, Tally, Totals
from hexlive.stream.model import (
    AnyMessage,
    End,
    Frames,
    Message,
    Projections,
    ScanEnd,
    ScanStart,
    Segment,
    Start,
)
from hexlive.stream.refusals import Running, Shape, end_frame, fault, frames_fault, refuse
from hexlive.stream.scans import ScanDesk, ScanDeskState, ScanMessage
from hexlive.stream.suspicions import Suspicions

UNKNOWN_START: Final = "late join"


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
        self._running: Running | None = None
        self._closed: set[str] = set()
        self._scans = ScanDesk()
        self._past = Totals(0, 0)
        self._suspicions = Suspicions()

    def accept(self, message: AnyMessage) -> Accepted:
        """Take a message or refuse it, counting it in ``rejected``."""
        if why := self._fault(message):
            n_refused = len(message.frames) if isinstance(message, Frames) else 1
            refuse(self.rejected, message, why, n_refused)
            if why == "other_series" and isinstance(message, Frames):
                self._suspicions.note_foreign()
            return Accepted([])
        if isinstance(message, Start):
            return self._start(message)
        running, opening = self._joined(message)
        match message:
            case Segment() if message.names(running.segment):
                accepted = self._name(running, message)
            case Segment():
                accepted = self._open(running, message)
            case Frames():
                accepted = Accepted(self._frames(running, message))
            case ScanStart() | Projections() | ScanEnd():
                accepted = Accepted(self._scan(message))
            case _:
                accepted = Accepted([message])
        if isinstance(message, End):
            opening += self._note_end(running, message)
        return Accepted([*opening, *accepted.messages], accepted.closed)

    def finish(self) -> Tally | None:
        """Close the present exposure, if there is one, and the series."""
        running, self._running = self._running, None
        if running is None:
            return None
        self._closed.add(running.series)
        return self._close_exposure(running)

    def state(self) -> LedgerState:
        """For a checkpoint; it does not follow what comes later."""
        now = self._running
        return LedgerState(
            series=now and now.series,
            closed=sorted(self._closed),
            start=now and now.start,
            first=now and now.first,
            end=now and now.end,
            segment=now and now.segment,
            exposure=deepcopy(now and now.exposure),
            past=self._past,
            scans=self._scans.state(),
        )

    def restore(self, state: LedgerState) -> None:
        """Go on from a checkpoint."""
        self._running = None
        if state.series is not None:
            self._running = Running(
                series=state.series,
                start=state.start,
                first=state.first,
                end=state.end,
                segment=state.segment,
                exposure=state.exposure,
            )
        self._closed, self._past = set(state.closed), state.past
        self._scans.restore(state.scans)

    def opening(self) -> list[AnyMessage]:
        """What began the present series, exposure and scan, for whoever comes late to them."""
        now, opening = self._running, list[AnyMessage]()
        if now is not None and now.start is not None:
            opening.append(now.start)
        if now is not None and now.segment is not None and now.exposure is not None:
            opening.append(msgspec.structs.replace(now.segment, first_frame=now.exposure.first))
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
        return self._running and self._running.series

    @property
    def running(self) -> bool:
        """A series has begun and is not over."""
        return self._running is not None

    @property
    def ended(self) -> bool:
        """The sender has said that the series is over (frames may still be under way)."""
        return self._running is not None and self._running.end is not None

    @property
    def complete(self) -> bool:
        """The series has ended and every frame of the present exposure is in."""
        exposure = self._exposure
        return self.ended and (exposure is None or not exposure.missing)

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

    @property
    def _exposure(self) -> Exposure | None:
        return self._running and self._running.exposure

    def _fault(self, message: AnyMessage) -> str | None:
        """Why this message cannot be taken, if so; changes nothing."""
        why = fault(message, self._running, self._closed, self._shape)
        if why is None and isinstance(message, ScanStart | Projections | ScanEnd):
            return self._scans.fault(message)
        return why

    def _start(self, message: Start) -> Accepted:
        closed = self.finish()
        self._running = Running(series=message.series, start=message, first=message.first_frame)
        self._suspicions = Suspicions()
        self._shape = (message.rows, message.columns)
        return Accepted([message], closed)

    def _joined(self, message: Message) -> tuple[Running, list[AnyMessage]]:
        """The running series; it is opened in the middle if its start was missed."""
        if isinstance(message, Frames):
            self._shape = (message.frames.shape[1], message.frames.shape[2])
        if self._running is not None:
            return self._running, []
        self._running = running = Running(series=message.series)
        if self._shape is None:
            return running, []
        rows, columns = self._shape
        running.start = Start(
            series=message.series,
            rows=rows,
            columns=columns,
            frame_rate_hz=self._frame_rate_hz,
            started_s=0.0,
            detector=UNKNOWN_START,
        )
        return running, [running.start]

    def _open(self, running: Running, message: Segment) -> Accepted:
        """Begin an exposure; frames missing before it belong to the one that it ends.

        What the end of the series announced, and has not come, is expected in the new one.
        """
        begin = message.first_frame
        if running.exposure is not None:
            running.exposure.expect_less(begin)
            begin = running.exposure.next
        closed = self._close_exposure(running)
        running.segment, running.exposure = message, Exposure(begin, begin)
        if running.end is not None:
            running.exposure.expect_up_to(running.end)
        return Accepted([msgspec.structs.replace(message, first_frame=begin)], closed)

    def _name(self, running: Running, message: Segment) -> Accepted:
        """Frames overtook the segment that says what they are of; they stay counted."""
        assert running.exposure is not None
        running.segment = message
        return Accepted([msgspec.structs.replace(message, first_frame=running.exposure.first)])

    def _close_exposure(self, running: Running) -> Tally | None:
        if running.exposure is None:
            return None
        tally = running.exposure.tally()
        expected, received = tally.totals
        self._past = Totals(self._past.expected + expected, self._past.received + received)
        running.exposure = None
        return tally

    def _note_end(self, running: Running, message: End) -> list[AnyMessage]:
        """Expect everything up to the last frame, even if none has come yet."""
        running.end = end = end_frame(message)
        opening: list[AnyMessage] = []
        if running.exposure is None and running.first is not None and end > running.first:
            opening = self._open(running, _first_segment(message.series, running.first)).messages
        if running.exposure is not None:
            running.exposure.expect_up_to(end)
        return opening

    def _frames(self, running: Running, message: Frames) -> list[AnyMessage]:
        opening: list[AnyMessage] = []
        if running.exposure is None:
            first = message.first_frame if running.first is None else running.first
            opening = self._open(running, _first_segment(message.series, first)).messages
        assert running.exposure is not None
        exposure = running.exposure
        end = message.end_frame if running.end is None else min(message.end_frame, running.end)
        n_missed = message.first_frame - exposure.next
        new = exposure.take(max(message.first_frame, exposure.first), end)
        n_new = sum(b - a for a, b in new)
        if refused := len(message.frames) - n_new:
            refuse(self.rejected, message, frames_fault(message, running.end, exposure), refused)
        self._suspicions.note(message, n_missed, n_new)
        return [*opening, *(message.cut(a, b) for a, b in new)]

    def _scan(self, message: ScanMessage) -> list[AnyMessage]:
        new = self._scans.admit(message)
        if isinstance(message, Projections):
            n_new = sum(len(part.images) for part in new if isinstance(part, Projections))
            if refused := len(message.images) - n_new:
                refuse(self.rejected, message, "duplicate_image", refused)
        return new


def _first_segment(series: str, first: int) -> Segment:
    """The exposure of a sender that announces none."""
    return Segment(series=series, number=1, first_frame=first)
