"""What a monitor remembers: earlier exposures, the course of rates, and what was alarming. No Qt.

Only what came in while it was attached: the result file of the run has everything.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from msgspec.structs import replace

from hexlive.monitor.figures import shortened
from hexlive.monitor.theme import Level
from hexlive.monitor.words import Notice, notices, region_name
from hexlive.stream.model import AdviceList, Snapshot
from hexlive.stream.views import Advice

MOST_EXPOSURES: Final = 32
MOST_SAMPLES: Final = 7200
MOST_EVENTS: Final = 200
MOST_ADVICE: Final = 100
# Snapshots say these themselves: see `notices`.
SAID_OTHERWISE: Final = ("loss", "gain", "recording", "series")


class Sample(NamedTuple):
    """Figures of one snapshot; times are Unix seconds of the pipeline."""

    time_s: float
    rate_hz: float
    backlog_ms: float
    occupancy_percent: float


@dataclass
class Event:
    """Something that was worth a warning; ``until_s`` is None while it goes on."""

    since_s: float
    level: Level
    text: str
    until_s: float | None = None


class History:
    """Takes every snapshot that the mailbox gives.

    Attributes
    ----------
    exposures
        Newest snapshot of each exposure, oldest first; without CT slices, which are large.
    samples
        Rate, backlog and occupancy, oldest first.
    events
        Alarms, doubts, notes, targets, marks and answers to commands, oldest first.
    """

    def __init__(self) -> None:
        self.exposures: dict[tuple[str, int], Snapshot] = {}
        self.samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._open: dict[str, Event] = {}
        self._marked: set[tuple[float, str]] = set()
        self._advised: dict[str, tuple[int, float]] = {}
        self._advising: dict[str, Event] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Remember a snapshot."""
        self._keep_exposure(snapshot)
        health = snapshot.health
        backlog_ms = float("nan") if health.backlog_ms is None else health.backlog_ms
        self.samples.append(
            Sample(snapshot.created_s, health.rate_hz, backlog_ms, 100 * health.occupancy)
        )
        self._note(snapshot.created_s, notices(snapshot))
        for mark in snapshot.marks:
            if (mark.time_s, mark.label) not in self._marked:
                self.say(f"Mark: {shortened(mark.label)}", mark.time_s)
        self._marked = {(mark.time_s, mark.label) for mark in snapshot.marks}

    def take_advice(self, given: AdviceList) -> None:
        """Note each change that the run advises, once."""
        for advice in given.advice[-MOST_ADVICE:]:
            news = advice.number, advice.time_s
            if advice.subject in SAID_OTHERWISE or self._advised.get(advice.subject) == news:
                continue
            self._advised[advice.subject] = news
            if (before := self._advising.pop(advice.subject, None)) is not None:
                before.until_s = advice.time_s
            if advice.change == "rising":
                event = _advised(advice)
                self._advising[advice.subject] = event
                self.events.append(event)

    def say(self, text: str, time_s: float, level: Level = "plain") -> None:
        """Note something that happened at one moment."""
        self.events.append(Event(time_s, level, text, until_s=time_s))

    def _keep_exposure(self, snapshot: Snapshot) -> None:
        segment = snapshot.segment
        if segment is None or segment.mode != "xcs" or not snapshot.health.live_time_s:
            return
        self.exposures[segment.series, segment.number] = replace(snapshot, ct=None)
        while len(self.exposures) > MOST_EXPOSURES:
            del self.exposures[next(iter(self.exposures))]

    def _note(self, time_s: float, found: list[Notice]) -> None:
        """Begin, go on with, or end what is warned of."""
        kinds = {warning.kind for warning in found}
        for kind in self._open.keys() - kinds:
            self._open.pop(kind).until_s = time_s
        for warning in found:
            if warning.kind not in self._open:
                self._open[warning.kind] = Event(time_s, warning.level, warning.text)
                self.events.append(self._open[warning.kind])
            event = self._open[warning.kind]
            event.text, event.level = warning.text, warning.level


def _advised(advice: Advice) -> Event:
    reached = advice.kind == "target"
    words = f"Target reached: {advice.sentence}" if reached else advice.sentence
    return Event(advice.time_s, "good" if reached else "alarm", shortened(words))


def exposure_name(snapshot: Snapshot) -> str:
    """An exposure in a list of exposures."""
    segment = snapshot.segment
    if segment is None:
        return "before the first exposure"
    state = "" if segment.state is None else f"state {segment.state}, "
    charge = "" if segment.soc is None else f", SoC {100 * segment.soc:.0f} %"
    return f"{segment.number}: {state}{region_name(segment.region)}{charge}"
