"""The simulated battery cycler: voltage, current and capacity along the path of the cell."""

import math
from typing import Final

import numpy as np

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
