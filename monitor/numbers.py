"""Numbers as words: a value with its uncertainty, a time span, a size. No Qt."""

from typing import Final

import numpy as np

from hexlive.stream.model import Snapshot

NONE: Final = "–"
SECONDS_PER_MINUTE: Final = 60
MANY: Final = 10_000
BYTE_UNITS: Final = {"TB": 1e12, "GB": 1e9, "MB": 1e6}


def duration(seconds: float) -> str:
    """Seconds below a minute, then minutes and seconds, then hours and minutes."""
    if seconds < SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest_s = divmod(int(seconds), SECONDS_PER_MINUTE)
    if minutes < SECONDS_PER_MINUTE:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // SECONDS_PER_MINUTE} h {minutes % SECONDS_PER_MINUTE:02d} min"


def rounded(seconds: float) -> str:
    """A time span to come, which is not known to the second: "4 min"."""
    if seconds < SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / SECONDS_PER_MINUTE)
    hours, rest = divmod(minutes, SECONDS_PER_MINUTE)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest:02d} min" if hours < 100 else f"{hours:,} h"


def size(n_bytes: int) -> str:
    """Room on a disk, in the unit that keeps it short."""
    for unit, one in BYTE_UNITS.items():
        if n_bytes >= one:
            return f"{n_bytes / one:.3g} {unit}"
    return f"{n_bytes / BYTE_UNITS['MB']:.1f} MB"


def brief(count: float) -> str:
    """A count that has little room: "9,876", and "12.3k" from 10,000 on."""
    return f"{count:,.0f}" if abs(count) < MANY else f"{count / 1000:.3g}k"


def signed(value: float, n_decimals: int) -> str:
    """A difference with its sign; what is rounded to nothing has none."""
    text = f"{value:+z.{n_decimals}f}"
    return text if float(text) else text[1:]


def with_sigma(value: float | None, sigma: float | None, percent: bool = True) -> str:
    """A value with its uncertainty to two digits, and that in percent."""
    if value is None or not np.isfinite(value):
        return NONE
    if sigma is None or not np.isfinite(sigma):
        return f"{value:.4g}"
    share = f"  ({abs(100 * sigma / value):.2g} %)" if percent and value else ""
    return f"{value:z.{decimals(sigma)}f} ± {sigma:.{decimals(sigma)}f}{share}"


def decimals(sigma: float) -> int:
    """Decimals that show two digits of an uncertainty, between 1 and 6."""
    if sigma <= 0:
        return 4
    return int(np.clip(1 - np.floor(np.log10(sigma)), 1, 6))


def mean_emf(snapshot: Snapshot) -> str:
    """Mean EMF of the region with its uncertainty, in absolute terms and in percent."""
    return with_sigma(snapshot.emf_mean, snapshot.emf_mean_sigma)
