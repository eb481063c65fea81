"""What a user should doubt of an exposure: kept in the result, and said once in the log."""

import logging
from typing import Final

from hexlive.stream.estimates import Estimate
from hexlive.stream.model import Segment

LOG: Final = logging.getLogger(__name__)


class Doubts:
    """Looks at every estimate of a run."""

    def __init__(self) -> None:
        self._said: set[tuple[str, int, str]] = set()
        self._latest_state = 0

    def of(
        self, segment: Segment | None, found: Estimate, ct: str | None = None
    ) -> tuple[str, ...]:
        """Sentences on these counts; the first of its kind in an exposure is also logged."""
        kinds = {
            "windows": found.check.doubt,
            "geometry": found.remedy,
            "states": self._disorder(segment),
            "ct": ct,
        }
        doubts = {kind: sentence for kind, sentence in kinds.items() if sentence}
        for kind, sentence in doubts.items():
            self._say_once(segment, kind, sentence)
        return tuple(doubts.values())

    def _disorder(self, segment: Segment | None) -> str | None:
        if segment is None or segment.state is None:
            return None
        self._latest_state = max(self._latest_state, segment.state)
        if segment.state == self._latest_state:
            return None
        return (
            f"State {segment.state} is exposed after state {self._latest_state}; tables, rates and "
            "differences follow the clock, so check the announced numbers of the states."
        )

    def _say_once(self, segment: Segment | None, kind: str, sentence: str) -> None:
        if segment is None:
            return
        key = segment.series, segment.number, kind
        if key not in self._said:
            self._said.add(key)
            LOG.warning("Segment %d: %s", segment.number, sentence)
