"""The last seconds of an exposure, from differences of sums that only grow."""

from dataclasses import dataclass
from typing import Final

from hexlive.reconstruct.emf import EmfResult

# Moments kept per time window; each holds five maps.
MOMENTS: Final = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Recent:
    """L and H of the last ``live_time_s`` seconds of live time, ``(rows, columns)``."""

    live_time_s: float
    windows: EmfResult


class RecentCounts:
    """Keeps earlier moments of an exposure.

    Parameters
    ----------
    span_s
        Live time to look back; since the last moment kept before that, a sixteenth more at most.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._moments: list[tuple[float, EmfResult | None]] = [(0.0, None)]
        self._restarts = False

    def clear(self) -> None:
        """A new exposure begins."""
        self._moments, self._restarts = [(0.0, None)], False

    def restart(self) -> None:
        """Look back no further than to the next update."""
        self._restarts = True

    def update(self, live_time_s: float, total: EmfResult) -> Recent:
        """Take the sums since the start; give those of the last seconds, or all while it is young.

        The reports of a run decide how finely time is cut: without any in between, all of it.
        """
        if self._restarts:
            self._moments, self._restarts = [(live_time_s, total)], False
        while len(self._moments) > 1 and live_time_s - self._moments[1][0] >= self._span_s:
            del self._moments[0]
        since_s, before = self._moments[0]
        if live_time_s - self._moments[-1][0] >= self._span_s / MOMENTS:
            self._moments.append((live_time_s, total))
        windows = total if before is None else total - before
        return Recent(live_time_s=live_time_s - since_s, windows=windows)
