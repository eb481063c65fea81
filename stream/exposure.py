"""Frame numbers of one exposure: received, or missing with their ranges."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]


class Totals(NamedTuple):
    """Frames expected and received."""

    expected: int
    received: int

    @property
    def lost(self) -> int:
        """Number of missing frames."""
        return self.expected - self.received


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Frames of one exposure; ``expected == received + lost`` always.

    ``missing`` is ``(n, 2) uint64``, half-open ranges of frame numbers.
    """

    totals: Totals
    missing: NDArray[np.uint64]


@dataclass
class Exposure:
    """Every number from ``first`` up to ``next`` is either received or in ``missing``."""

    first: int
    next: int
    missing: list[Range] = field(default_factory=list)

    def expect_up_to(self, end: int) -> None:
        """Count every number below ``end`` that has not come yet as missing."""
        if end > self.next:
            self.missing.append((self.next, end))
            self.next = end

    def take(self, begin: int, end: int) -> list[Range]:
        """Book a range of arrived frames; give back the parts of it that are new."""
        new: list[Range] = []
        if begin < self.next and self.missing:
            new = self._fill(begin, min(end, self.next))
        if end > self.next:
            begin = max(begin, self.next)
            self.expect_up_to(begin)
            self.next = end
            new.append((begin, end))
        return new

    def tally(self) -> Tally:
        """What is known now."""
        missing = np.array(sorted(self.missing), np.uint64).reshape(-1, 2)
        expected = self.next - self.first
        lost = sum(b - a for a, b in self.missing)
        return Tally(totals=Totals(expected, expected - lost), missing=missing)

    def _fill(self, begin: int, end: int) -> list[Range]:
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
