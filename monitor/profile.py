"""The Compton profile of the exposure."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from hexlive.monitor.card import CURVE_WIDTH_PX, Card
from hexlive.monitor.context import Context
from hexlive.monitor.levels import settled, widened
from hexlive.monitor.numbers import mean_emf
from hexlive.monitor.spectra import marker, shade
from hexlive.stream.model import Snapshot

BEYOND_CORE: Final = 1.8
BAND_ALPHA: Final = 90
LABEL_ROOM: Final = 0.2
# Of sound simulated data: shared charge below the threshold fills the left side. A gain that is off
# by 0.1 % moves this by 0.07, one that is off by 0.3 % by 0.20.
USUAL_ASYMMETRY: Final = -0.08
MOST_DEVIATION: Final = 0.12


def _area(pz_au: NDArray[np.float64], j: NDArray[np.float64]) -> float:
    """Integral of J, or one where it has none to divide by."""
    area = float(np.sum(np.gradient(pz_au) * j)) if j.size > 1 else 0.0
    return area if area > 0 else 1.0


class ProfilePanel:
    """Fig. 2E: the Compton profile with the valence and the core window shaded."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Momentum density of the electrons along the scattering vector, all pixels at their "
            "own angles. Asymmetry: right minus left side over both, in the valence window; a gain "
            "that is off by 0.1 % moves it by 7 %."
        )
        theme = context.theme
        self.widget = Card(theme, "Compton profile", hint)
        self._plot = self.widget.plot(
            0, 0, "pz (atomic units; pz > 0: above the Compton peak)", "J(pz) (per a.u., unit area)"
        )
        band = pg.mkColor(theme.curve)
        band.setAlpha(BAND_ALPHA)
        self._low, self._high = pg.PlotCurveItem(), pg.PlotCurveItem()
        self._plot.addItem(pg.FillBetweenItem(self._low, self._high, brush=band))
        self._curve = self._plot.plot(pen=pg.mkPen(theme.curve, width=CURVE_WIDTH_PX))
        self._windows: list[Any] = []
        self._limits_au: tuple[float, float] | None = None
        self._range: tuple[float, float] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw J with a band of one sigma, over a little more than both windows.

        Its area over that range is made one, since J is known up to a factor only.
        """
        self._shade(snapshot.inner_au, snapshot.outer_au)
        edge_au = BEYOND_CORE * snapshot.outer_au
        seen = np.isfinite(snapshot.profile_j) & (np.abs(snapshot.pz_au) <= edge_au)
        pz_au, area = snapshot.pz_au[seen], _area(snapshot.pz_au[seen], snapshot.profile_j[seen])
        j, sigma = snapshot.profile_j[seen] / area, snapshot.profile_sigma[seen] / area
        sigma = np.where(np.isfinite(sigma), sigma, 0.0)
        self._curve.setData(pz_au, j)
        self._low.setData(pz_au, j - sigma)
        self._high.setData(pz_au, j + sigma)
        self._plot.setXRange(-edge_au, edge_au, padding=0)
        if j.size:
            wanted = widened(min(0.0, float(j.min())), float(j.max()), margin=LABEL_ROOM)
            self._range = settled(self._range, wanted)
            self._plot.setYRange(*self._range, padding=0)
        self.widget.say(f"EMF {mean_emf(snapshot)}", _symmetry(snapshot))
        self.widget.keep(pz_au=pz_au, j_per_au=j, j_sigma_per_au=sigma)

    def _shade(self, inner_au: float, outer_au: float) -> None:
        if self._limits_au == (inner_au, outer_au):
            return
        self._limits_au = (inner_au, outer_au)
        for item in self._windows:
            self._plot.removeItem(item)
        theme = self.widget.theme
        middle_au = (inner_au + outer_au) / 2
        self._windows = [
            shade(theme.core, -outer_au, -inner_au),
            shade(theme.valence, -inner_au, inner_au),
            shade(theme.core, inner_au, outer_au),
            marker(theme, -middle_au, "core", line=False),
            marker(theme, 0.0, "valence", line=False),
            marker(theme, middle_au, "core", line=False),
        ]
        for item in self._windows:
            self._plot.addItem(item, ignoreBounds=True)


def asymmetry(snapshot: Snapshot) -> float | None:
    """Right minus left side of the valence window over both; None without one."""
    inside = np.isfinite(snapshot.profile_j) & (np.abs(snapshot.pz_au) < snapshot.inner_au)
    right = snapshot.profile_j[inside & (snapshot.pz_au > 0)].sum()
    left = snapshot.profile_j[inside & (snapshot.pz_au < 0)].sum()
    return float((right - left) / (right + left)) if right + left > 0 else None


def _symmetry(snapshot: Snapshot) -> str:
    skew = asymmetry(snapshot)
    if skew is None:
        return ""
    off = abs(skew - USUAL_ASYMMETRY) > MOST_DEVIATION
    flag = "   CHECK ENERGY SCALE AND ANGLES" if off else ""
    return f"valence asymmetry {100 * skew:+.1f} % (usual {100 * USUAL_ASYMMETRY:+.0f} %){flag}"
