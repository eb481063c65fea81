"""The spectra: sum spectrum with the lines it should have, and the Compton profile."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt

from hexlive.monitor.card import CURVE_WIDTH_PX, Card, font
from hexlive.monitor.levels import widened
from hexlive.monitor.maps import mean_emf
from hexlive.monitor.theme import LABEL_PX, Theme
from hexlive.reconstruct.compton import peak_kev, scattered_kev
from hexlive.stream.model import Snapshot

RIGHT_ANGLE_RAD: Final = np.pi / 2
# Ka1 and Ka2 of the shielding, keV (Bearden, Rev. Mod. Phys. 39, 78, 1967).
FLUORESCENCE_KEV: Final = {"W Kα": (59.32, 57.98), "Pb Kα": (74.97, 72.81)}
BEYOND_ELASTIC: Final = 1.15
BEYOND_CORE: Final = 1.8
HALF_A_COUNT: Final = 0.5
ROOM_FOR_LABELS: Final = 8.0
LOWEST_QUANTILE: Final = 0.02
SHADE_ALPHA: Final = 45
BAND_ALPHA: Final = 90


def shade(colour: str, low: float, high: float) -> Any:
    """A window between two abscissae, behind the curves."""
    brush = pg.mkColor(colour)
    brush.setAlpha(SHADE_ALPHA)
    region = pg.LinearRegionItem((low, high), movable=False, brush=brush, pen=pg.mkPen(None))
    region.setZValue(-10)
    return region


def marker(theme: Theme, x: float, label: str = "", height: float = 0.94, line: bool = True) -> Any:
    """A vertical line at ``x``; its label stands at a fraction of the height of the plot."""
    options = {
        "position": height,
        "color": theme.text,
        "fill": theme.panel,
        "anchors": [(0.5, 0.5), (0.5, 0.5)],
    }
    pen = pg.mkPen(theme.muted, style=Qt.PenStyle.DashLine) if line else pg.mkPen(None)
    item = pg.InfiniteLine(x, angle=90, pen=pen, label=label or None, labelOpts=options)
    if label:
        item.label.setFont(font(LABEL_PX))
    return item


class SpectrumPanel:
    """Fig. 2C: the sum spectrum, and where its lines should be."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "Sum spectrum")
        self._plot = self.widget.plot(0, 0, "energy (keV)", "counts per bin")
        self._plot.setLogMode(y=True)
        self._curve = self._plot.plot(stepMode="center", pen=pg.mkPen(theme.curve))
        self._markers: list[Any] = []
        self._marked: tuple[float, ...] = ()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the spectrum; bins without counts sit on the axis, since log 0 is nowhere."""
        counts, edges = snapshot.spectrum, snapshot.energy_edges_kev
        if counts.size == 0 or not np.isfinite(edges).all():
            self._curve.setData([0.0, 1.0], [HALF_A_COUNT])
            self.widget.say("no counts")
            return
        self._curve.setData(edges, np.maximum(counts.astype(np.float64), HALF_A_COUNT))
        highest_kev = min(edges[-1], BEYOND_ELASTIC * snapshot.incident_kev)
        self._plot.setXRange(edges[0], highest_kev, padding=0)
        self._plot.setYRange(*decades(counts), padding=0)
        self.widget.say(f"{int(counts.sum()):,} counts")
        self._mark(snapshot.incident_kev, snapshot.inner_au, snapshot.outer_au)

    def _mark(self, incident_kev: float, inner_au: float, outer_au: float) -> None:
        """Draw the lines and windows, which change only when the beam or the limits do."""
        if self._marked == (incident_kev, inner_au, outer_au):
            return
        self._marked = (incident_kev, inner_au, outer_au)
        for item in self._markers:
            self._plot.removeItem(item)
        theme = self.widget.theme
        limits_au = np.array([-outer_au, -inner_au, inner_au, outer_au])
        limits_kev = scattered_kev(limits_au, RIGHT_ANGLE_RAD, incident_kev)
        colours = (theme.core, theme.valence, theme.core)
        self._markers = [
            shade(colour, *limits_kev[i : i + 2]) for i, colour in enumerate(colours)
        ] + _line_markers(theme, incident_kev)
        for item in self._markers:
            self._plot.addItem(item, ignoreBounds=True)


def _line_markers(theme: Theme, incident_kev: float) -> list[Any]:
    compton_kev = float(peak_kev(RIGHT_ANGLE_RAD, incident_kev))
    lines = [
        marker(theme, compton_kev, f"Compton {compton_kev:.2f} keV", 0.94),
        marker(theme, incident_kev, f"elastic {incident_kev:g} keV", 0.85),
    ]
    for (label, energies_kev), height in zip(FLUORESCENCE_KEV.items(), (0.94, 0.85), strict=True):
        first, *others = energies_kev
        lines.append(marker(theme, first, label, height))
        lines += [marker(theme, energy_kev) for energy_kev in others]
    return lines


def _area(pz_au: NDArray[np.float64], j: NDArray[np.float64]) -> float:
    """Integral of J, or one where it has none to divide by."""
    area = float(np.sum(np.gradient(pz_au) * j)) if j.size > 1 else 0.0
    return area if area > 0 else 1.0


def decades(counts: NDArray[np.uint64]) -> tuple[float, float]:
    """Range of log10 of the counts from the lowest level worth seeing, with room for labels."""
    filled = counts[counts > 0]
    if filled.size == 0:
        return np.log10(HALF_A_COUNT), np.log10(ROOM_FOR_LABELS)
    low = max(np.quantile(filled, LOWEST_QUANTILE) / 2, HALF_A_COUNT)
    return float(np.log10(low)), float(np.log10(filled.max() * ROOM_FOR_LABELS))


class ProfilePanel:
    """Fig. 2E: the Compton profile with the valence and the core window shaded."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "Compton profile")
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
            self._plot.setYRange(*widened(min(0.0, float(j.min())), float(j.max()), margin=0.12))
        self.widget.say(f"EMF {mean_emf(snapshot)}")

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
