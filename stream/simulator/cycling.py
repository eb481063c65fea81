"""The simulated battery cycler: voltage, current and capacity along the path of the cell."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from hexlive.stream.model import Cycler

INTERVAL_S: Final = 0.25

# A cell of LiNMC622 against lithium at C/10. Its clock is the stream's, so hours pass in seconds:
# the current is that of the cell, not the derivative of the capacity on this clock.
CAPACITY_AH: Final = 2.0e-3
CURRENT_AMPERE: Final = 2.0e-4
RESISTANCE_OHM: Final = 250.0

# Open-circuit voltage: a slope, and a knee near the empty cell.
EMPTY_VOLT: Final = 3.60
SLOPE_VOLT: Final = 0.62
KNEE_VOLT: Final = 0.45
KNEE_SOC: Final = 0.05


def cell_at(
    time_s: float, states_s: list[float], states_soc: list[float]
) -> tuple[float, float, float]:
    """Voltage, current and capacity, V, A, Ah.

    Parameters
    ----------
    states_s, states_soc
        When the cell passes each state, and at which state of charge; in between it goes straight
        from one to the next, before and after it rests.
    """
    soc = float(np.interp(time_s, states_s, states_soc))
    following = int(np.searchsorted(states_s, time_s, side="right"))
    change = 0.0
    if 0 < following < len(states_s):
        change = states_soc[following] - states_soc[following - 1]
    current = float(np.sign(change)) * CURRENT_AMPERE
    open_volt = EMPTY_VOLT + SLOPE_VOLT * soc - KNEE_VOLT * math.exp(-soc / KNEE_SOC)
    return open_volt + RESISTANCE_OHM * current, current, soc * CAPACITY_AH


@dataclass(frozen=True, kw_only=True)
class CyclerSchedule:
    """When the cell passes each state, s from frame 0, and at which state of charge."""

    states_s: list[float]
    states_soc: list[float]
    frame_rate_hz: float

    def rows(
        self, series: str, started_s: float, first_frame: int, end_frame: int
    ) -> Iterator[Cycler]:
        """Rows of the cycler in the time of these frames; frame 0 was at ``started_s``."""
        first, end = (
            math.ceil(frame / self.frame_rate_hz / INTERVAL_S) for frame in (first_frame, end_frame)
        )
        for row in range(first, end):
            time_s = row * INTERVAL_S
            volt, ampere, capacity = cell_at(time_s, self.states_s, self.states_soc)
            yield Cycler(
                series=series,
                time_s=started_s + time_s,
                voltage_volt=volt,
                current_ampere=ampere,
                capacity_ah=capacity,
            )
