"""The marks of a run: what people noted, with the frame, exposure and state of that moment."""

from collections.abc import Iterable

from hexlive.stream.model import Frames, Mark, Message, Segment
from hexlive.stream.results import MarksResult
from hexlive.stream.views import MarkView


class MarkReducer:
    """Keeps the marks."""

    busy = False

    def __init__(self) -> None:
        self._marks: list[MarkView] = []
        self._segment: Segment | None = None
        self._next_frame: int | None = None

    def add(self, message: Message) -> None:
        """Keep a mark, or what the next one belongs to."""
        match message:
            case Frames():
                self._next_frame = max(message.end_frame, self._next_frame or 0)
            case Segment():
                if self._segment is not None and self._segment.series != message.series:
                    self._next_frame = None
                self._segment = message
            case Mark():
                self._marks.append(self._placed(message))

    def restore(self, marks: Iterable[MarkView], segment: Segment) -> None:
        """Go on with the marks of before, in this exposure."""
        self._marks, self._segment = list(marks), segment

    def snapshot(self) -> MarksResult:
        """All marks so far."""
        return MarksResult(marks=tuple(self._marks))

    def finish(self) -> None:
        """Nothing is open here."""

    def clear(self) -> None:
        """Forget the marks."""
        self._marks.clear()

    def _placed(self, mark: Mark) -> MarkView:
        segment = self._segment
        return MarkView(
            label=mark.label,
            time_s=mark.time_s,
            frame=self._next_frame,
            segment=None if segment is None else segment.number,
            state=None if segment is None else segment.state,
            soc=None if segment is None else segment.soc,
        )
