"""The battery cycler on the clock of the run: charge, and what it read during each exposure."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray

SECONDS_PER_HOUR: Final = 3600.0

# Between rows further apart than this, neither charge nor readings are interpolated.
MAX_GAP_S: Final = 600.0

# A state of charge that was counted right stays in here; the margin is for errors of the current.
COUNTED_SOC: Final = (-0.05, 1.05)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CyclerLog:
    """Rows of a battery cycler, in the order of time.

    Attributes
    ----------
    time_s, voltage_volt, current_ampere
        ``(rows,) float64``; a positive current charges the cell.
    capacity_ah
        ``(rows,) float64``: net charge as the cycler counted it; None where it did not.
    """

    time_s: FloatArray
    voltage_volt: FloatArray
    current_ampere: FloatArray
    capacity_ah: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse rows that are no log.

        Raises
        ------
        ValueError
            Fewer than two rows, a time that is not finite or goes backwards; the sentence says
            which row, from 1.
        """
        if self.time_s.size < 2:
            raise ValueError(f"The cycler has {self.time_s.size} rows; two are the least.")
        wrong = np.flatnonzero(~(np.diff(self.time_s) >= 0))
        if wrong.size:
            row = int(wrong[0])
            raise ValueError(
                f"The time of the cycler goes from {self.time_s[row]:.3f} s to "
                f"{self.time_s[row + 1]:.3f} s in row {row + 2}; sort or split the file."
            )

    def shifted(self, offset_s: float) -> "CyclerLog":
        """On another clock: times plus ``offset_s``."""
        return replace(self, time_s=self.time_s + offset_s)


def charge_ah(log: CyclerLog, max_gap_s: float = MAX_GAP_S) -> FloatArray:
    """Net charge since the first row, ``(rows,) float64, A h``.

    The cycler's own count where it has one: it integrates faster than it writes. Else the
    trapezoidal integral of the current.

    Raises
    ------
    ValueError
        The current would be integrated over a gap; the sentence says where.
    """
    if log.capacity_ah is not None:
        own_ah: FloatArray = log.capacity_ah - log.capacity_ah[0]
        return own_ah
    interval_s = np.diff(log.time_s)
    longest = int(np.argmax(interval_s))
    if interval_s[longest] > max_gap_s:
        raise ValueError(
            f"Rows {longest + 1} and {longest + 2} of the cycler are {interval_s[longest]:.0f} s "
            f"apart, more than {max_gap_s:.0f} s: the charge in between is not known."
        )
    mean_ampere = (log.current_ampere[1:] + log.current_ampere[:-1]) / 2
    counted_ah = np.cumsum(mean_ampere * interval_s) / SECONDS_PER_HOUR
    return np.concatenate([[0.0], counted_ah])


def state_of_charge(log: CyclerLog, capacity_ah: float, initial_soc: float = 0.0) -> FloatArray:
    """State of charge of each row: that of the first row, and the charge since over the capacity.

    Parameters
    ----------
    capacity_ah
        Of the whole cell, stated by the user.
    initial_soc
        Of the first row, 0 to 1.

    Raises
    ------
    ValueError
        The capacity is not positive and finite, the initial state of charge is not from 0 to 1, or
        the charge cannot be counted.
    """
    if not 0 < capacity_ah < np.inf:
        raise ValueError(f"The capacity of the cell must be positive, not {capacity_ah} A h.")
    if not 0 <= initial_soc <= 1:
        raise ValueError(f"The initial state of charge must be from 0 to 1, not {initial_soc}.")
    return initial_soc + charge_ah(log) / capacity_ah


def doubt_of_charge(soc: FloatArray, capacity_ah: float) -> str:
    """A sentence where counted states of charge, ``(rows,)``, are impossible; else nothing."""
    low, high = COUNTED_SOC
    least, most = float(np.nanmin(soc)), float(np.nanmax(soc))
    if low <= least and most <= high:
        return ""
    return (
        f"The counted state of charge goes from {least:.2f} to {most:.2f}, beyond 0 to 1: check "
        f"the capacity of {capacity_ah:g} A h, and the initial state of charge."
    )


def during_exposures(
    log: CyclerLog,
    values: FloatArray,
    begin_s: FloatArray,
    end_s: FloatArray,
    max_gap_s: float = MAX_GAP_S,
) -> tuple[FloatArray, FloatArray]:
    """A quantity at the middle of each exposure, and its span (largest minus smallest) meanwhile.

    Parameters
    ----------
    values
        ``(rows,) float64``, such as ``log.voltage_volt``.
    begin_s, end_s
        ``(exposures,) float64, s``.

    Returns
    -------
    tuple
        ``(exposures,) float64`` each, NaN where the log does not cover the middle of the exposure,
        or has a gap during it. The span is over what the log covers.
    """
    covered = covers(log, begin_s, end_s, max_gap_s)
    middle = np.interp((begin_s + end_s) / 2, log.time_s, values)
    span = [_span(log, values, *ends) for ends in zip(begin_s, end_s, strict=True)]
    return np.where(covered, middle, np.nan), np.where(covered, span, np.nan)


def require_cover(log: CyclerLog, begin_s: FloatArray, end_s: FloatArray) -> None:
    """Refuse a log that belongs to none of all exposures of a run, ``(exposures,) float64, s``.

    Raises
    ------
    ValueError
        No exposure has a time, or the log covers none: its clock is another one.
    """
    if not np.isfinite(begin_s + end_s).any():
        raise ValueError("The exposures have no times, so nothing of the cycler belongs to them.")
    if not covers(log, begin_s, end_s).any():
        raise ValueError(
            f"The cycler ran from {log.time_s[0]:.1f} to {log.time_s[-1]:.1f} s, the exposures "
            f"from {np.nanmin(begin_s):.1f} to {np.nanmax(end_s):.1f} s: it covers none of them; "
            "check the offset of its clock."
        )


def covers(
    log: CyclerLog, begin_s: FloatArray, end_s: FloatArray, max_gap_s: float = MAX_GAP_S
) -> NDArray[np.bool_]:
    """Of which exposures a log has the middle, and no gap, ``(exposures,)``."""
    ends = zip(begin_s, end_s, strict=True)
    return np.array([_covers(log, *each, max_gap_s) for each in ends])


def _covers(log: CyclerLog, begin_s: float, end_s: float, max_gap_s: float) -> bool:
    """Whether there are rows before and after the middle, and no gap where there are rows."""
    if not log.time_s[0] <= (begin_s + end_s) / 2 <= log.time_s[-1]:
        return False
    first = max(int(np.searchsorted(log.time_s, begin_s, side="right")) - 1, 0)
    last = int(np.searchsorted(log.time_s, end_s))
    return bool(np.all(np.diff(log.time_s[first : last + 1]) <= max_gap_s))


def _span(log: CyclerLog, values: FloatArray, begin_s: float, end_s: float) -> float:
    inside = values[(log.time_s >= begin_s) & (log.time_s <= end_s)]
    ends = np.interp([begin_s, end_s], log.time_s, values)
    return float(np.ptp(np.concatenate([inside, ends])))
