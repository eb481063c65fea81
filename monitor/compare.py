"""Two exposures side by side, and their difference: what has changed where."""

from typing import Final

import numpy as np
from PySide6.QtWidgets import QComboBox

from hexlive.monitor.card import NOTHING, Card
from hexlive.monitor.context import Context
from hexlive.monitor.history import exposure_name
from hexlive.monitor.levels import robust_levels
from hexlive.monitor.maps import NAMES, chosen_map
from hexlive.monitor.mapview import MapView
from hexlive.monitor.numbers import NONE, with_sigma
from hexlive.stream.model import Snapshot
from hexlive.stream.views import MapView as Pair

NOWHERE: Final = np.empty((0, 0))
SIGMAS: Final = 3


class ComparePanel:
    """EMF of exposure A, of exposure B, and B minus A."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Exposures that this monitor has seen, A and B in the same colours. The map is the one "
            "chosen on the other pages; "
            "blue: B is lower, yellow: B is higher."
        )
        self.widget = Card(context.theme, "Compare exposures", hint)
        self._context = context
        self._names: list[str] = []
        self._combos = [QComboBox(), QComboBox()]
        for letter, combo in zip("AB", self._combos, strict=True):
            combo.setPlaceholderText(f"{letter}: choose an exposure")
            combo.setMinimumContentsLength(36)
            combo.activated.connect(self._chosen)
            self.widget.control(combo)
        self._picked = False
        self._views = [
            MapView(self.widget, "viridis", label, column=column)
            for column, label in enumerate(("A: EMF", "B: EMF", "B − A: EMF"))
        ]
        context.changed.connect(self._again)

    def show(self, snapshot: Snapshot) -> None:
        """Offer the exposures of the history and draw the two that are chosen."""
        exposures = list(self._context.history.exposures.values())
        self._offer([exposure_name(each) for each in exposures])
        chosen = [
            exposures[place] if 0 <= (place := combo.currentIndex()) < len(exposures) else None
            for combo in self._combos
        ]
        self._draw(chosen[0], chosen[1])

    def _offer(self, names: list[str]) -> None:
        """Until the user chooses, A is the first exposure and B the newest one of its region."""
        if names != self._names:
            self._names = names
            for combo in self._combos:
                place = combo.currentIndex()
                combo.clear()
                combo.addItems(names)
                combo.setCurrentIndex(min(place, len(names) - 1))
        if not self._picked and names:
            self._combos[0].setCurrentIndex(self._partner(len(names) - 1))
            self._combos[1].setCurrentIndex(len(names) - 1)

    def _partner(self, newest: int) -> int:
        """The first exposure of the same region."""
        exposures = self._context.history.exposures.values()
        regions = [each.segment.region if each.segment else None for each in exposures]
        return regions.index(regions[newest])

    def _chosen(self) -> None:
        self._picked = True
        self._again()

    def _again(self) -> None:
        if self._context.history.exposures:
            self.show(next(reversed(self._context.history.exposures.values())))

    def _draw(self, a: Snapshot | None, b: Snapshot | None) -> None:
        mode = self._context.mode
        pairs = [None if each is None else chosen_map(each, mode) for each in (a, b)]
        area = a.emf.shape if a is not None else None
        levels = _common_levels(pairs)
        for view, pair in zip(self._views[:2], pairs, strict=True):
            values = NOWHERE if pair is None else pair.value
            view.draw(values, self._context, area=area, levels=levels)
        change = _difference(*pairs)
        if change is None:
            self._views[2].draw(NOWHERE, self._context)
            self.widget.say(NONE if self._names else NOTHING, f"shown: {NAMES[mode]}")
            return
        self._views[2].draw(change.value, self._context, centre=0.0, area=area)
        self.widget.say(_means(a, b), f"shown: {NAMES[mode]}; {_significance(change)}")
        self.widget.keep(difference=change.value, difference_sigma=change.sigma)


def _common_levels(pairs: list[Pair | None]) -> tuple[float, float] | None:
    """Colour levels of both maps, so that a colour is the same EMF in both."""
    known = [pair for pair in pairs if pair is not None and pair.value.size]
    if not known:
        return None
    values = np.concatenate([pair.value.ravel() for pair in known])
    sigma = np.concatenate([pair.sigma.ravel() for pair in known])
    with np.errstate(divide="ignore", invalid="ignore"):
        return robust_levels(values, 1 / sigma**2)


def _difference(a: Pair | None, b: Pair | None) -> Pair | None:
    """B minus A with its uncertainty; None where they do not fit."""
    if a is None or b is None or a.value.shape != b.value.shape:
        return None
    with np.errstate(invalid="ignore"):
        return Pair(value=b.value - a.value, sigma=np.hypot(a.sigma, b.sigma))


def _means(a: Snapshot | None, b: Snapshot | None) -> str:
    """Difference of the means."""
    means = [each.emf_mean if each else None for each in (a, b)]
    sigmas = [each.emf_mean_sigma if each else None for each in (a, b)]
    if means[0] is None or means[1] is None or sigmas[0] is None or sigmas[1] is None:
        return NONE
    change, sigma = means[1] - means[0], float(np.hypot(sigmas[0], sigmas[1]))
    return f"mean B − A: {with_sigma(change, sigma, percent=False)}"


def _significance(change: Pair) -> str:
    """How far the pixels scatter beyond what counting alone would do."""
    known = np.isfinite(change.value) & (change.sigma > 0)
    if not known.any():
        return "no pixel in common"
    beyond = np.abs(change.value[known]) > SIGMAS * change.sigma[known]
    return f"{100 * beyond.mean():.1f} % of pixels differ by more than {SIGMAS} σ"
