"""What of a stream cannot be taken, and the reason by which it is counted."""

import logging
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, final

from hexlive.stream.exposure import Exposure
from hexlive.stream.model import AdviceList, AnyMessage, End, Frames, Segment, Snapshot, Start

LOG: Final = logging.getLogger(__name__)
MAX_FRAME_NUMBER: Final = 2**62
MAX_JUMP: Final = 2**42  # 15 years at 9 kHz, 50 days at 1 MHz; a wilder number is a damaged one
Shape = tuple[int, int]


@final
@dataclass(kw_only=True, slots=True)
class Running:
    """The series that has begun and is not over.

    Attributes
    ----------
    start
        How it began; None: that was missed, and the size of its frames is not known yet.
    first, end
        Number of its first frame, and one more than that of its last; None: not announced.
    segment, exposure
        What is being exposed, and its frames; None: nothing yet.
    """

    series: str
    start: Start | None = None
    first: int | None = None
    end: int | None = None
    segment: Segment | None = None
    exposure: Exposure | None = None


def refuse(counted: Counter[str], message: AnyMessage, why: str, n: int) -> None:
    """Count what is refused by its reason; the first for each reason is said."""
    if not counted[why]:
        kind = type(message).__name__
        at = f" from {message.first_frame} on" if isinstance(message, Frames) else ""
        LOG.info("refused, and counted from now on: %s (%s%s of %s)", why, kind, at, message.series)
    counted[why] += n


def fault(
    message: AnyMessage, running: Running | None, closed: AbstractSet[str], shape: Shape | None
) -> str | None:
    """Why a message cannot be taken, if so; what scans have to say is the business of their desk.

    Parameters
    ----------
    closed
        The series that are over.
    shape
        (rows, columns) of the frames; None: whatever comes first.
    """
    if message.series in closed:
        return "closed_series"
    if isinstance(message, Start):
        return _start_fault(message, running, shape)
    if running is not None and message.series != running.series:
        return "other_series"
    match message:
        case Frames(frames=frames):
            if shape not in (None, frames.shape[1:]):
                return "shape"
            return _number_fault(running, message.first_frame, message.end_frame)
        case Segment(first_frame=first):
            now = running.segment if running else None
            repeated = now and (now.number, now.first_frame) == (message.number, first)
            if repeated and not message.names(now):
                return "repeated_segment"
            return _number_fault(running, first, first)
        case End():
            return _end_fault(message, running)
        case Snapshot() | AdviceList():
            return "unexpected"
    return None


def frames_fault(message: Frames, end: int | None, exposure: Exposure) -> str:
    """Why some frames of a message were not taken, of an exposure that is open and known."""
    if end is not None and message.end_frame > end:
        return "after_end"
    if message.first_frame < exposure.first:
        return "before_segment"
    return "too_late" if message.first_frame < exposure.settled else "duplicate"


def end_frame(message: End) -> int:
    """One more than the last frame number of a series."""
    return 0 if message.last_frame is None else message.last_frame + 1


def _start_fault(message: Start, running: Running | None, shape: Shape | None) -> str | None:
    if running is not None and message.series == running.series:
        return "repeated_start"
    if shape not in (None, (message.rows, message.columns)):
        return "shape"
    return _number_fault(running, message.first_frame, message.first_frame)


def _end_fault(message: End, running: Running | None) -> str | None:
    if running is None:  # of a series that was before this run
        return "unknown_end"
    if running.end is not None:
        return "repeated_end"
    end = end_frame(message)
    return _number_fault(running, end, end)


def _number_fault(running: Running | None, first: int, end: int) -> str | None:
    exposure = running.exposure if running else None
    wild = exposure is not None and first > exposure.next + MAX_JUMP
    return "frame_number" if wild or end > MAX_FRAME_NUMBER else None
