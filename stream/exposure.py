"""Frame numbers of one exposure: received, or missing with their ranges."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Ranges that may still be filled: 30 MB, and 30 us to put one between two others.
MAX_RANGES: Final = 2**18
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

    ``missing`` is ``(n, 2) uint64``, half-open ranges of frame numbers. ``unlisted`` frames are
    missing too, in ranges before these that are no longer kept.
    """

    totals: Totals
    missing: NDArray[np.uint64]
    unlisted: int = 0


@dataclass
class Exposure:
    """Every number from ``first`` up to ``next`` is either received or missing.

    Attributes
    ----------
    missing
        Ranges in ascending order.
    lost
        Number of missing frames.
    settled
        Below this number nothing can be filled any more: so many ranges were missing that the
        oldest are only counted.
    """

    first: int
    next: int
    missing: list[Range] = field(default_factory=list)
    lost: int = 0
    settled: int = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Exposure":
        return replace(self, missing=list(self.missing))

    def expect_up_to(self, end: int) -> None:
        """Count every number below ``end`` that has not come yet as missing."""
        if end > self.next:
            self.missing.append((self.next, end))
            self.lost += end - self.next
            self.next = end

    def expect_less(self, end: int) -> None:
        """Expect nothing from ``end`` on, as far as nothing of it has come."""
        while self.next > end and self.missing and self.missing[-1][1] == self.next:
            begin, _ = self.missing.pop()
            self.lost -= self.next - begin
            self.next = begin
        self.expect_up_to(end)

    def take(self, begin: int, end: int) -> list[Range]:
        """Book a range of arrived frames; give back the parts of it that are new."""
        begin = max(begin, self.settled)
        new = list(self._fill(begin, min(end, self.next)))
        if end > self.next:
            begin = max(begin, self.next)
            self.expect_up_to(begin)
            if begin < end:
                self.next = end
                new.append((begin, end))
        if len(self.missing) > MAX_RANGES:
            self._settle()
        return new

    @property
    def totals(self) -> Totals:
        """Frames expected and received."""
        expected = self.next - self.first
        return Totals(expected, expected - self.lost)

    def tally(self) -> Tally:
        """What is known now."""
        return Tally(
            totals=self.totals,
            missing=np.array(self.missing, np.uint64).reshape(-1, 2),
            unlisted=self.lost - sum(b - a for a, b in self.missing) if self.settled else 0,
        )

    def _fill(self, begin: int, end: int) -> Iterator[Range]:
        """Take what a range covers of the missing ones, found by bisection."""
        at = max(0, bisect_right(self.missing, (begin, begin)) - 1)
        while at < len(self.missing) and self.missing[at][0] < end:
            a, b = self.missing[at]
            lo, hi = max(a, begin), min(b, end)
            if lo >= hi:
                at += 1
                continue
            left = [part for part in ((a, lo), (hi, b)) if part[0] < part[1]]
            self.missing[at : at + 1] = left
            self.lost -= hi - lo
            at += len(left)
            yield lo, hi

    def _settle(self) -> None:
        """Forget the older half of the ranges, but not that their frames are missing."""
        self.settled = self.missing[MAX_RANGES // 2 - 1][1]
        del self.missing[: MAX_RANGES // 2]
