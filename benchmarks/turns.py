"""Timing side by side: every contender runs once per turn, so a busy machine slows all alike."""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

NOISY_PERCENT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to time: ``action`` deals with ``n_items`` each time it is called."""

    action: Callable[[], object]
    n_items: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Items per second of each contender, one value per turn."""

    rates_hz: Mapping[str, list[float]]

    def median_hz(self, name: str) -> float | None:
        """Median rate over the turns, items/s; None if it took no part."""
        return statistics.median(self.rates_hz[name]) if name in self.rates_hz else None

    def ratio(self, name: str, other: str) -> float | None:
        """How many times as fast as the other: median of the ratios within each turn."""
        return statistics.median(self._ratios(name, other)) if self._both(name, other) else None

    def spread_percent(self, name: str, other: str) -> float | None:
        """How far the ratios of the turns lie apart: their middle half, in percent of the median.

        Zero on a quiet machine; it is what remains of the noise after taking turns.
        """
        ratios = self._ratios(name, other) if self._both(name, other) else []
        if len(ratios) < 2:
            return None
        lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        return 100 * (upper - lower) / median

    def _both(self, *names: str) -> bool:
        return all(name in self.rates_hz for name in names)

    def _ratios(self, name: str, other: str) -> list[float]:
        pairs = zip(self.rates_hz[name], self.rates_hz[other], strict=True)
        return [own / others for own, others in pairs]


def positive(text: str) -> int:
    """A whole number above 0, for options.

    Raises
    ------
    argparse.ArgumentTypeError
        It is not one.
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def take_turns(contenders: Mapping[str, Contender], n_turns: int) -> Timings:
    """Run all contenders in turn, forwards and backwards, after one turn to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender.action()
    for turn in range(n_turns):
        names = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in names:
            rates[name].append(_rate_hz(contenders[name]))
    return Timings(rates)


def noise_note(spreads_percent: list[float]) -> str:
    """One sentence on how steady the machine was."""
    if not spreads_percent:
        return "Too few turns to tell how steady the machine was."
    largest = max(spreads_percent)
    if largest > NOISY_PERCENT:
        return (
            f"The machine was NOISY: the turns lie up to {largest:.0f} % apart; "
            "measure again when it is idle."
        )
    return f"The machine was quiet: the turns lie at most {largest:.0f} % apart."


def _rate_hz(contender: Contender) -> float:
    began = time.perf_counter()
    contender.action()
    return contender.n_items / (time.perf_counter() - began)
