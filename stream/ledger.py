"""Accounts for every frame number of a series: received once, missing with its range, or refused.

Because counts are sums of integers, a late frame needs no reorder buffer: it is counted when it
comes and its number leaves the missing ranges.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

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
from hexlive.stream.scans import ScanDesk

UNKNOWN_START: Final = "late join"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Frames of one exposure; ``expected == received + lost`` always.

    ``missing`` is ``(n, 2) uint64``, half-open ranges of frame numbers.
    """

    expected: int
    received: int
    missing: NDArray[np.uint64]

    @property
    def lost(self) -> int:
        """Number of missing frames."""
        return self.expected - self.received


@dataclass
class _Exposure:
    """Frame numbers from ``first`` up to ``next`` are either received or in ``missing``."""

    first: int
    next: int
    missing: list[tuple[int, int]] = field(default_factory=list)

    def expect_up_to(self, end: int) -> None:
        if end > self.next:
            self.missing.append((self.next, end))
            self.next = end

    def take(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Book a range of arrived frames; give back the parts of it that are new."""
        new: list[tuple[int, int]] = []
        if begin < self.next and self.missing:
            new = self._fill(begin, min(end, self.next))
        if end > self.next:
            begin = max(begin, self.next)
            self.expect_up_to(begin)
            self.next = end
            new.append((begin, end))
        return new

    def _fill(self, begin: int, end: int) -> list[tuple[int, int]]:
        filled, left = [], []
        for a, b in self.missing:
            lo, hi = max(a, begin), min(b, end)
            if lo >= hi:
                left.append((a, b))
                continue
            filled.append((lo, hi))
            left += [part for part in ((a, lo), (hi, b)) if part[0] < part[1]]
        self.missing = left
        return filled

    def tally(self) -> Tally:
        missing = np.array(sorted(self.missing), np.uint64).reshape(-1, 2)
        lost = sum(b - a for a, b in self.missing)
        expected = self.next - self.first
        return Tally(expected=expected, received=expected - lost, missing=missing)


class Ledger:
    """Decides what of the incoming messages is new and belongs to the running series.

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

    def __init__(self, shape: tuple[int, int] | None, frame_rate_hz: float) -> None:
        self._shape = shape
        self.frame_rate_hz = frame_rate_hz
        self.rejected: Counter[str] = Counter()
        self._series: str | None = None
        self._closed: set[str] = set()
        self._scans = ScanDesk()
        self._exposure: _Exposure | None = None
        self._past_expected = self._past_received = 0
        self._end: int | None = None

    def accept(self, message: AnyMessage) -> list[AnyMessage]:
        """Give back what is to be processed, in order; count the rest in ``rejected``.

        A series or segment whose beginning was missed is given one, so that what follows always
        is: start, segment, frames.
        """
        if not isinstance(message, Start) and message.series in self._closed:
            return self._reject("closed_series", message)
        if self._series is not None and message.series != self._series:
            if not isinstance(message, Start):
                return self._reject("other_series", message)
            self.close()
        match message:
            case Start():
                return self._start(message)
            case Segment():
                return [*self._joined(message), *self._segment(message)]
            case Frames():
                return [*self._joined(message), *self._frames(message)]
            case ScanStart() | Projections() | ScanEnd():
                if fault := self._scans.fault(message):
                    return self._reject(fault, message)
                return [*self._joined(message), self._scans.admit(message)]
            case End(last_frame=last):
                self._end = 0 if last is None else last + 1
                if self._exposure is not None:
                    self._exposure.expect_up_to(self._end)
        return [*self._joined(message), message]

    def settle(self, message: AnyMessage) -> bool:
        """Say whether this message ends the present exposure, and if so count up to its end.

        To be asked before ``accept``, while ``tally`` still is that of the present exposure.
        """
        if self._exposure is None or message.series in self._closed:
            return False
        if isinstance(message, Segment) and message.series == self._series:
            self._exposure.expect_up_to(message.first_frame)
            return True
        return isinstance(message, Start) and message.series != self._series

    @property
    def ended(self) -> bool:
        """The sender has said that the series is over (frames may still be under way)."""
        return self._end is not None

    @property
    def complete(self) -> bool:
        """The series has ended and every frame of the present exposure is in."""
        return self.ended and (self._exposure is None or not self._exposure.missing)

    def close(self) -> None:
        """End the running series; messages that still come for it are refused."""
        if self._series is not None:
            self._closed.add(self._series)
        self._series = self._exposure = self._end = None
        self._past_expected = self._past_received = 0

    def tally(self) -> Tally:
        """Frames of the present exposure."""
        exposure = self._exposure or _Exposure(0, 0)
        return exposure.tally()

    def series_totals(self) -> tuple[int, int]:
        """(expected, received) frames of the running series."""
        now = self.tally()
        return self._past_expected + now.expected, self._past_received + now.received

    def _start(self, message: Start) -> list[AnyMessage]:
        if message.series == self._series or message.series in self._closed:
            return self._reject("repeated_start", message)
        if self._shape not in (None, (message.rows, message.columns)):
            return self._reject("shape", message)
        self._shape = (message.rows, message.columns)
        self._series, self._first = message.series, message.first_frame
        self.frame_rate_hz = message.frame_rate_hz
        return [message]

    def _joined(self, message: Message) -> list[AnyMessage]:
        """Open a series in the middle if its start was missed."""
        if self._series is not None:
            return []
        if self._shape is None and isinstance(message, Frames):
            self._shape = (message.frames.shape[1], message.frames.shape[2])
        if self._shape is None:
            return []
        first = message.first_frame if isinstance(message, Frames | Segment) else 0
        rows, columns = self._shape
        return self._start(
            Start(
                series=message.series,
                rows=rows,
                columns=columns,
                frame_rate_hz=self.frame_rate_hz,
                started_s=0.0,
                first_frame=first,
                detector=UNKNOWN_START,
            )
        )

    def _segment(self, message: Segment) -> list[AnyMessage]:
        begin = message.first_frame
        if self._exposure is not None:
            begin = max(begin, self._exposure.next)
            self._past_expected, self._past_received = self.series_totals()
        self._exposure = _Exposure(begin, begin)
        return [msgspec.structs.replace(message, first_frame=begin)]

    def _frames(self, message: Frames) -> list[AnyMessage]:
        if message.frames.shape[1:] != self._shape:
            return self._reject("shape", message)
        opening: list[AnyMessage] = []
        if self._exposure is None:
            opening = self._segment(
                Segment(series=message.series, number=1, first_frame=self._first)
            )
        assert self._exposure is not None
        end = message.end_frame if self._end is None else min(message.end_frame, self._end)
        new = self._exposure.take(max(message.first_frame, self._exposure.first), end)
        fresh: list[AnyMessage] = [message.cut(a, b) for a, b in new]
        if refused := len(message.frames) - sum(b - a for a, b in new):
            self._refuse_frames(message, refused)
        return [*opening, *fresh]

    def _refuse_frames(self, message: Frames, n_frames: int) -> None:
        exposure = self._exposure
        late = exposure is not None and message.first_frame < exposure.first
        beyond = self._end is not None and message.end_frame > self._end
        reason = "before_segment" if late else "after_end" if beyond else "duplicate"
        self.rejected[reason] += n_frames

    def _reject(self, reason: str, message: AnyMessage) -> list[AnyMessage]:
        self.rejected[reason] += len(message.frames) if isinstance(message, Frames) else 1
        return []
