"""The maps: EMF with its uncertainty, and the counts behind it, on the detector's pixels."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QGraphicsRectItem

from hexlive.monitor.card import Card
from hexlive.monitor.levels import robust_levels, thinned
from hexlive.monitor.theme import Theme
from hexlive.stream.model import Snapshot

BAR_PX: Final = 14
BAR_AXIS_PX: Final = 64
BAR_TICKS_PX: Final = 44
NO_VALUE: Final = "–"


class MapView:
    """An image of ``(rows, columns)`` with row 0 at the top, a colour bar, and grey for NaN."""

    def __init__(self, card: Card, colours: str, label: str, axes: bool = True) -> None:
        names = ("column (pixel)", "row (pixel)") if axes else ("", "")
        self._plot = card.plot(0, 0, *names)
        self._plot.showGrid(x=False, y=False)
        self._plot.invertY(True)
        self._plot.setAspectLocked(True)
        self._void = QGraphicsRectItem()
        self._void.setBrush(pg.mkBrush(card.theme.void))
        self._void.setPen(pg.mkPen(None))
        self._image = pg.ImageItem(axisOrder="row-major")
        self._plot.addItem(self._void, ignoreBounds=True)
        self._plot.addItem(self._image)
        self._bar = pg.ColorBarItem(
            colorMap=pg.colormap.get(colours), width=BAR_PX, interactive=False, colorMapMenu=False
        )
        card.style_axis(self._bar.getAxis("right"), label)
        self._bar.getAxis("right").setWidth(BAR_AXIS_PX if label else BAR_TICKS_PX)
        self._bar.setImageItem(self._image, insert_in=self._plot)
        self._shape: tuple[int, ...] = ()

    def draw(self, values: NDArray[Any], weights: NDArray[Any] | None = None) -> None:
        """Show a map; pixels of little weight have little say in the range of colours."""
        if values.size == 0:
            self._image.clear()
            return
        rows, columns = values.shape
        area = QRectF(0, 0, columns, rows)
        seen = thinned(values)
        levels = robust_levels(seen, None if weights is None else thinned(weights))
        self._image.setImage(seen.astype(np.float32), autoLevels=False, levels=levels)
        self._image.setRect(area)
        self._bar.setLevels(levels)
        if values.shape != self._shape:
            self._shape = values.shape
            self._void.setRect(area)
            self._plot.setRange(area, padding=0)


class EmfMap:
    """Fig. 3A: the map of the electron momentum factor, and its mean over the region."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "EMF map")
        self._view = MapView(self.widget, "viridis", "EMF (valence / core)")

    def show(self, snapshot: Snapshot) -> None:
        """Draw the map and say its mean."""
        self._view.draw(snapshot.emf, snapshot.compton_counts)
        self.widget.say(mean_emf(snapshot))


class SigmaMap:
    """How uncertain each pixel's EMF is, in percent."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "σ(EMF), %")
        self._view = MapView(self.widget, "magma", "", axes=False)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the relative uncertainty where EMF is defined and positive."""
        positive = np.isfinite(snapshot.emf_sigma) & (snapshot.emf > 0)
        relative = np.full(snapshot.emf.shape, np.nan)
        np.divide(snapshot.emf_sigma, snapshot.emf, out=relative, where=positive)
        relative *= 100
        self._view.draw(relative, snapshot.compton_counts)
        typical = np.median(relative[positive]) if positive.any() else None
        self.widget.say(NO_VALUE if typical is None else f"median {typical:.2g} %")


class CountsMap:
    """Compton intensity: counts in \\|pz\\| < outer limit."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "Counts")
        self._view = MapView(self.widget, "cividis", "", axes=False)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the counts and say what a typical pixel has."""
        counts = snapshot.compton_counts
        self._view.draw(counts)
        finite = counts[np.isfinite(counts)]
        self.widget.say(f"median {np.median(finite):.4g}" if finite.size else NO_VALUE)


def mean_emf(snapshot: Snapshot) -> str:
    """Mean EMF of the region with its uncertainty, in absolute terms and in percent."""
    mean, sigma = snapshot.emf_mean, snapshot.emf_mean_sigma
    if mean is None:
        return NO_VALUE
    if sigma is None:
        return f"{mean:.4g}"
    percent = f"  ({abs(100 * sigma / mean):.2g} %)" if mean else ""
    return f"{mean:.{decimals(sigma)}f} ± {sigma:.{decimals(sigma)}f}{percent}"


def decimals(sigma: float) -> int:
    """Decimals that show two digits of an uncertainty, between 1 and 6."""
    if sigma <= 0:
        return 4
    return int(np.clip(1 - np.floor(np.log10(sigma)), 1, 6))
