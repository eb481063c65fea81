"""The sum spectrum with the lines it should have, and what marks a spectrum."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt

from hexlive.monitor.card import Card, font
from hexlive.monitor.context import Context
from hexlive.monitor.levels import settled
from hexlive.monitor.theme import LABEL_PX, Theme
from hexlive.reconstruct.compton import peak_kev, scattered_kev
from hexlive.stream.model import Snapshot

RIGHT_ANGLE_RAD: Final = np.pi / 2
# Ka1 and Ka2 of the shielding, keV (Bearden, Rev. Mod. Phys. 39, 78, 1967).
FLUORESCENCE_KEV: Final = {"W Kα": (59.32, 57.98), "Pb Kα": (74.97, 72.81)}
BEYOND_ELASTIC: Final = 1.15
HALF_A_COUNT: Final = 0.5
ROOM_FOR_LABELS: Final = 8.0
LOWEST_QUANTILE: Final = 0.02
SHADE_ALPHA: Final = 45


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

    def __init__(self, context: Context) -> None:
        hint = (
            "Events of all pixels. The Compton peak and the W and Pb lines must sit on their "
            "markers; blue is the valence window, orange the core windows."
        )
        self.widget = Card(context.theme, "Sum spectrum", hint)
        self.plot = self.widget.plot(0, 0, "energy (keV)", "counts per bin")
        self.plot.setLogMode(y=True)
        self._curve = self.plot.plot(stepMode="center", pen=pg.mkPen(context.theme.curve))
        self._markers: list[Any] = []
        self._marked: tuple[float, ...] = ()
        self._range: tuple[float, float] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw the spectrum; bins without counts sit on the axis, since log 0 is nowhere."""
        counts, edges = snapshot.spectrum, snapshot.energy_edges_kev
        if counts.size == 0 or not np.isfinite(edges).all():
            self._curve.setData([0.0, 1.0], [HALF_A_COUNT])
            self.widget.say("no counts")
            return
        self._curve.setData(edges, np.maximum(counts.astype(np.float64), HALF_A_COUNT))
        highest_kev = min(edges[-1], BEYOND_ELASTIC * snapshot.incident_kev)
        self.plot.setXRange(edges[0], highest_kev, padding=0)
        self._range = settled(self._range, decades(counts))
        self.plot.setYRange(*self._range, padding=0)
        self.widget.say(f"{int(counts.sum()):,} counts")
        self.widget.keep(edges_kev=edges, counts=counts)
        self._mark(snapshot.incident_kev, snapshot.inner_au, snapshot.outer_au)

    def _mark(self, incident_kev: float, inner_au: float, outer_au: float) -> None:
        """Draw the lines and windows, which change only when the beam or the limits do."""
        if self._marked == (incident_kev, inner_au, outer_au):
            return
        self._marked = (incident_kev, inner_au, outer_au)
        for item in self._markers:
            self.plot.removeItem(item)
        theme = self.widget.theme
        limits_au = np.array([-outer_au, -inner_au, inner_au, outer_au])
        limits_kev = scattered_kev(limits_au, RIGHT_ANGLE_RAD, incident_kev)
        colours = (theme.core, theme.valence, theme.core)
        self._markers = [
            shade(colour, *limits_kev[i : i + 2]) for i, colour in enumerate(colours)
        ] + _line_markers(theme, incident_kev)
        for item in self._markers:
            self.plot.addItem(item, ignoreBounds=True)


def _line_markers(theme: Theme, incident_kev: float) -> list[Any]:
    compton_kev = float(peak_kev(RIGHT_ANGLE_RAD, incident_kev))
    lines = []
    for (label, energies_kev), height in zip(FLUORESCENCE_KEV.items(), (0.94, 0.85), strict=True):
        first, *others = energies_kev
        lines.append(marker(theme, first, label, height))
        lines += [marker(theme, energy_kev) for energy_kev in others]
    lines.sort(key=lambda line: hasattr(line, "label"))  # no line crosses a label drawn after it
    lines.append(marker(theme, incident_kev, f"elastic {incident_kev:g} keV", 0.85))
    lines.append(marker(theme, compton_kev, f"Compton {compton_kev:.2f} keV", 0.94))
    return lines


def decades(counts: NDArray[np.uint64]) -> tuple[float, float]:
    """Range of log10 of the counts from the lowest level worth seeing, with room for labels."""
    filled = counts[counts > 0]
    if filled.size == 0:
        return np.log10(HALF_A_COUNT), np.log10(ROOM_FOR_LABELS)
    low = max(np.quantile(filled, LOWEST_QUANTILE) / 2, HALF_A_COUNT)
    return float(np.log10(low)), float(np.log10(filled.max() * ROOM_FOR_LABELS))
