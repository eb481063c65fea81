"""An energy window that the user drags, the map of its counts, and the spectrum of a ROI.

The snapshot carries spectra of every pixel in bands of about 1 keV: so the window is cut here, and
a monitor asks nothing of the run.
"""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtWidgets import QCheckBox

from hexlive.monitor.card import CURVE_WIDTH_PX, Card
from hexlive.monitor.context import Context, Roi, Window
from hexlive.monitor.mapview import MapView
from hexlive.monitor.numbers import NONE
from hexlive.monitor.spectra import HALF_A_COUNT, SpectrumPanel
from hexlive.stream.model import Snapshot
from hexlive.stream.views import BandsView

WINDOW_ALPHA: Final = 70
ROI_PX: Final = 3
HOVER_PX: Final = 5
START_FRACTION: Final = 0.25  # of the map lies on each side of the first ROI


class WindowSpectrum:
    """Sum spectrum, spectrum of the ROI, and the energy window of the window map to drag."""

    def __init__(self, context: Context) -> None:
        theme = context.theme
        self._context, self._base = context, SpectrumPanel(context)
        self.widget = self._base.widget
        self.widget.retitle("Sum and ROI spectrum", "Drag the green window, or its edges.")
        brush = pg.mkColor(theme.components["cathode"])
        brush.setAlpha(WINDOW_ALPHA)
        self._region = pg.LinearRegionItem(context.window_kev, brush=brush, swapMode="sort")
        self._region.sigRegionChanged.connect(self._dragged)
        self._base.plot.addItem(self._region, ignoreBounds=True)
        pen = pg.mkPen(theme.components["electrolyte"], width=CURVE_WIDTH_PX)
        self._roi = self._base.plot.plot(stepMode="center", pen=pen)
        self._snapshot: Snapshot | None = None
        context.changed.connect(self._again)

    def show(self, snapshot: Snapshot) -> None:
        """Draw both spectra."""
        self._snapshot = snapshot
        self._base.show(snapshot)
        roi, bands = self._context.roi, snapshot.bands
        if roi is None or bands is None or bands.counts.size == 0:
            self._roi.setData([0.0, 1.0], [HALF_A_COUNT])
            return
        edges = snapshot.energy_edges_kev
        bins_per_band = np.diff(bands.edges_kev) / (edges[1] - edges[0])
        counts = roi_counts(bands, roi)
        self._roi.setData(bands.edges_kev, np.maximum(counts / bins_per_band, HALF_A_COUNT))
        rows, columns = f"{roi[0]} to {roi[1] - 1}", f"{roi[2]} to {roi[3] - 1}"
        self.widget.say(
            f"ROI {counts.sum():,} counts", f"blue: ROI, rows {rows}, columns {columns}"
        )
        self.widget.keep(**self.widget.data, roi_edges_kev=bands.edges_kev, roi_counts=counts)

    def _again(self) -> None:
        self._region.setRegion(self._context.window_kev)
        if self._snapshot is not None:
            self.show(self._snapshot)

    def _dragged(self) -> None:
        low, high = self._region.getRegion()
        self._context.choose(window_kev=(float(low), float(high)))


class WindowMap:
    """Counts of each pixel in the energy window, and the ROI whose spectrum is shown."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Events of each pixel inside the energy window, which has the edges of 1 keV bands. "
            "Drag the rectangle: the spectrum of its pixels is drawn beside the sum."
        )
        self.widget = Card(context.theme, "Window map", hint)
        self._context = context
        self._view = MapView(self.widget, "cividis", "counts")
        colour = context.theme.regions[-1]  # neither yellow nor blue, as the map is
        pens = {"pen": pg.mkPen(colour, width=ROI_PX), "hoverPen": pg.mkPen(colour, width=HOVER_PX)}
        self._roi: Any = pg.RectROI((0, 0), (1, 1), **pens)
        self._roi.sigRegionChanged.connect(self._moved)
        self._roi.hide()
        self._view.plot.addItem(self._roi, ignoreBounds=True)
        self._use = QCheckBox("ROI")
        self._use.setChecked(True)
        self._use.toggled.connect(self._moved)
        self.widget.control(self._use)
        self._snapshot: Snapshot | None = None
        context.changed.connect(self._again)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the counts in the window."""
        self._snapshot = snapshot
        bands = snapshot.bands
        if bands is None or bands.counts.size == 0:
            self._view.draw(np.empty((0, 0)), self._context)
            self.widget.say(NONE, "")
            return
        first, end = window_bands(bands.edges_kev, self._context.window_kev)
        counts = bands.counts[..., first:end].sum(axis=-1)
        self._view.draw(counts, self._context)
        low_kev, high_kev = bands.edges_kev[first], bands.edges_kev[end]
        self.widget.say(
            f"{low_kev:.1f} to {high_kev:.1f} keV", f"{counts.sum():,} counts in window"
        )
        self.widget.keep(window_counts=counts)
        if not self._roi.isVisible() and self._use.isChecked():
            self._place(counts.shape)

    def _place(self, shape: tuple[int, ...]) -> None:
        """Lay the first ROI over the middle of the map."""
        rows, columns = shape
        self._roi.setPos((START_FRACTION * columns, START_FRACTION * rows), update=False)
        self._roi.setSize(((1 - 2 * START_FRACTION) * columns, (1 - 2 * START_FRACTION) * rows))
        self._roi.show()
        self._moved()

    def _again(self) -> None:
        if self._snapshot is not None:
            self.show(self._snapshot)

    def _moved(self) -> None:
        self._roi.setVisible(self._use.isChecked())
        if not self._use.isChecked() or self._snapshot is None:
            self._context.choose_roi(None)
            return
        corner, size = self._roi.pos(), self._roi.size()
        self._context.choose_roi(
            pixels((corner.y(), corner.x()), (size.y(), size.x()), self._snapshot.emf.shape)
        )


def pixels(
    corner: tuple[float, float], size: tuple[float, float], shape: tuple[int, ...]
) -> Roi | None:
    """Pixels that a rectangle covers; None where it lies outside the map."""
    bounds = []
    for low, length, count in zip(corner, size, shape, strict=True):
        first, end = round(max(low, 0.0)), round(min(low + length, count))
        if first >= end:
            return None
        bounds += [first, end]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def roi_counts(bands: BandsView, roi: Roi) -> NDArray[Any]:
    """Spectrum of a ROI, ``(bands,)``; the ROI may be of a larger detector."""
    first_row, end_row, first_column, end_column = roi
    chosen = bands.counts[first_row:end_row, first_column:end_column]
    total: NDArray[Any] = chosen.sum(axis=(0, 1), dtype=np.uint64)
    return total


def window_bands(edges_kev: NDArray[np.float64], window_kev: Window) -> tuple[int, int]:
    """First and end band of a window, at least one band wide."""
    last = edges_kev.size - 1
    first, end = (int(np.argmin(np.abs(edges_kev - limit))) for limit in window_kev)
    first = min(first, last - 1)
    return first, max(end, first + 1)
