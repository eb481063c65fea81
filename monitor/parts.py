"""Fig. 2C and 2D: spectra and profiles of the regions and components of the present state."""

from html import escape
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from hexlive.monitor.card import CURVE_WIDTH_PX, Card
from hexlive.monitor.context import Context
from hexlive.monitor.levels import settled, widened
from hexlive.monitor.numbers import with_sigma
from hexlive.monitor.spectra import RIGHT_ANGLE_RAD, marker
from hexlive.reconstruct.compton import peak_kev
from hexlive.stream.model import Snapshot
from hexlive.stream.views import PartView

REGION: Final = "region "
AROUND_PEAK_KEV: Final = 12.0
BEYOND_CORE: Final = 1.8
BAND_ALPHA: Final = 60
LEGEND_ROOM: Final = 0.2
FEWEST_BINS: Final = 2


class _Curves:
    """Named curves with bands of one sigma; made once, hidden where a part is absent."""

    def __init__(self, card: Card, x: str, y: str) -> None:
        self.plot = card.plot(0, 0, x, y)
        card.legend(self.plot, -10)
        self._theme = card.theme
        self._drawn: dict[str, tuple[Any, Any, Any]] = {}
        self._range: tuple[float, float] | None = None

    def draw(self, x: NDArray[Any], curves: dict[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Draw values and their uncertainties over ``x``, and scale the axis to them."""
        for name in self._drawn.keys() - curves.keys():
            for item in self._drawn[name]:
                item.setData([], [])
        for name, (values, sigma) in curves.items():
            if name not in self._drawn:
                self._drawn[name] = self._made(name)
            curve, low, high = self._drawn[name]
            known = np.isfinite(values)
            bar = np.nan_to_num(sigma)
            curve.setData(x[known], values[known])
            low.setData(x[known], (values - bar)[known])
            high.setData(x[known], (values + bar)[known])
        known = [values[np.isfinite(values)] for values, _ in curves.values()]
        everything = np.concatenate(known) if known else np.empty(0)
        if everything.size:
            low_y, high_y = widened(float(everything.min()), float(everything.max()), margin=0.05)
            wanted = low_y, high_y + LEGEND_ROOM * (high_y - low_y)
            self._range = settled(self._range, wanted)
            self.plot.setYRange(*self._range, padding=0)

    def _made(self, name: str) -> tuple[Any, Any, Any]:
        place = len(self._drawn)
        regions = self._theme.regions
        is_region = name.startswith(REGION)
        colour = regions[place % len(regions)] if is_region else self._theme.component(name, place)
        band = pg.mkColor(colour)
        band.setAlpha(BAND_ALPHA)
        low, high = pg.PlotCurveItem(), pg.PlotCurveItem()
        self.plot.addItem(pg.FillBetweenItem(low, high, brush=band))
        pen = pg.mkPen(colour, width=CURVE_WIDTH_PX)
        return self.plot.plot(pen=pen, name=escape(name)), low, high


class RegionSpectra:
    """Fig. 2C: spectra of the regions, per second of live time."""

    def __init__(self, context: Context) -> None:
        hint = "Spectra of the exposures at the three heights, per second of live time."
        self.widget = Card(context.theme, "Region spectra", hint)
        self._curves = _Curves(self.widget, "energy (keV)", "counts per s and bin")
        self._peak = marker(context.theme, 0.0)
        self._curves.plot.addItem(self._peak, ignoreBounds=True)

    def show(self, snapshot: Snapshot) -> None:
        """Draw those that were exposed, around the Compton peak."""
        named = [part for part in snapshot.parts if part.name.startswith(REGION)]
        _draw_spectra(self.widget, self._curves, self._peak, snapshot, named)


class ComponentSpectra:
    """Fig. 2D: spectra of the components, which are differences of regions."""

    def __init__(self, context: Context) -> None:
        hint = "A = I3, S = I2 - f2 I3, C = I1 - f1 I3 - S, per second and mm3; bands: one sigma."
        self.widget = Card(context.theme, "Component spectra", hint)
        self._curves = _Curves(self.widget, "energy (keV)", "counts per s, mm³ and bin")
        self._peak = marker(context.theme, 0.0)
        self._curves.plot.addItem(self._peak, ignoreBounds=True)

    def show(self, snapshot: Snapshot) -> None:
        """Draw those whose regions were all exposed."""
        named = [part for part in snapshot.parts if not part.name.startswith(REGION)]
        _draw_spectra(self.widget, self._curves, self._peak, snapshot, named)


class ComponentProfiles:
    """Fig. 2E: Compton profiles of the components, of unit area."""

    def __init__(self, context: Context) -> None:
        hint = "J(pz) of each component, area 1 over the drawn range; bands: one sigma."
        self.widget = Card(context.theme, "Component profiles", hint)
        self._curves = _Curves(
            self.widget, "pz (atomic units; pz > 0: above the Compton peak)", "J(pz) (per a.u.)"
        )

    def show(self, snapshot: Snapshot) -> None:
        """Draw those whose regions were all exposed."""
        parts = [part for part in snapshot.parts if not part.name.startswith(REGION)]
        seen = np.abs(snapshot.pz_au) <= BEYOND_CORE * snapshot.outer_au
        pz_au, curves = snapshot.pz_au[seen], {}
        for part in parts:
            j, sigma = part.profile[:, seen]
            area = float(np.nansum(np.gradient(pz_au) * j)) if pz_au.size >= FEWEST_BINS else 1.0
            scale = 1 / area if area > 0 else 1.0
            curves[part.name] = j * scale, sigma * scale
        self._curves.draw(pz_au, curves)
        edge_au = BEYOND_CORE * snapshot.outer_au
        self._curves.plot.setXRange(-edge_au, edge_au, padding=0)
        self.widget.say("" if parts else "no components yet", _emfs(parts))
        self.widget.keep(pz_au=pz_au, **_named(curves))


def _draw_spectra(
    card: Card, curves: _Curves, peak: Any, snapshot: Snapshot, parts: list[PartView]
) -> None:
    peak_at_kev = float(peak_kev(RIGHT_ANGLE_RAD, snapshot.incident_kev))
    edges = snapshot.energy_edges_kev
    centres = (edges[1:] + edges[:-1]) / 2
    seen = np.abs(centres - peak_at_kev) <= AROUND_PEAK_KEV
    drawn = {part.name: (part.spectrum[0, seen], part.spectrum[1, seen]) for part in parts}
    curves.draw(centres[seen], drawn)
    peak.setValue(peak_at_kev)
    curves.plot.setXRange(peak_at_kev - AROUND_PEAK_KEV, peak_at_kev + AROUND_PEAK_KEV, padding=0)
    card.say("" if parts else "not exposed yet", _emfs(parts))
    card.keep(energy_kev=centres[seen], **_named(drawn))


def _named(curves: dict[str, tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Values and uncertainties by name, for export."""
    arrays = {}
    for name, (values, sigma) in curves.items():
        word = name.replace(" ", "_")
        arrays[word], arrays[f"{word}_sigma"] = values, sigma
    return arrays


def _emfs(parts: list[PartView]) -> str:
    """EMF of each part, which has to fit on a line; regions by numbers that the legend names."""
    regions = any(part.name.startswith(REGION) for part in parts)
    found = "   ".join(
        f"{part.name.removeprefix(REGION)}{':' * regions} "
        f"{with_sigma(part.emf, part.emf_sigma, percent=False)}"
        for part in parts
    )
    found = found.replace(" ± ", "±")
    return f"EMF  {found}" if regions else found
