"""The CT scan: horizontal and vertical slice of the reconstructed cell, with scale bars."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF

from hexlive.monitor.card import Card, font
from hexlive.monitor.levels import length_label, robust_levels, scale_bar_um, thinned
from hexlive.monitor.theme import LABEL_PX, Theme
from hexlive.monitor.words import scan_facts, scan_progress
from hexlive.stream.model import Snapshot

BAR_WIDTH_PX: Final = 4
MARGIN: Final = 0.05


class SliceView:
    """A grey-scale slice in its true proportions; lengths in µm."""

    def __init__(self, card: Card, cells: tuple[int, int, int], label: str) -> None:
        row, column, rows = cells
        self._plot = card.graphics.addPlot(row, column, rowspan=rows)
        for side in ("left", "bottom"):
            self._plot.hideAxis(side)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setAspectLocked(True)
        self._plot.invertY(True)
        self._label, self._style = label, {"color": card.theme.text, "size": f"{LABEL_PX}px"}
        self._plot.setTitle(label, **self._style)
        self._image = pg.ImageItem(axisOrder="row-major")
        self._bar = pg.PlotCurveItem(pen=pg.mkPen(card.theme.core, width=BAR_WIDTH_PX))
        self._length = pg.TextItem(color=card.theme.core, anchor=(0.5, 1.0), fill="#000000a0")
        self._length.setFont(font(LABEL_PX, bold=True))
        self._length.hide()
        for item in (self._image, self._bar, self._length):
            self._plot.addItem(item)

    def draw(self, image: NDArray[Any], pixel_um: float, scan: int) -> None:
        """Show a slice of ``(rows, columns)`` whose pixels are ``pixel_um`` wide."""
        self._plot.setTitle(f"{self._label} of scan {scan}", **self._style)
        rows, columns = image.shape
        area = QRectF(0, 0, columns * pixel_um, rows * pixel_um)
        seen = thinned(image).astype(np.float32)
        self._image.setImage(seen, autoLevels=False, levels=robust_levels(seen))
        self._image.setRect(area)
        self._plot.setRange(area, padding=0)
        length_um = scale_bar_um(area.width())
        left, level = area.width() * MARGIN, area.height() * (1 - MARGIN)
        self._bar.setData([left, left + length_um], [level, level])
        self._length.setText(length_label(length_um))
        self._length.show()
        self._length.setPos(left + length_um / 2, level)


class CtPanel:
    """Fig. 3B and 3C: x-y and x-z slice of the latest scan, and where that scan stands."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "CT (attenuation per pixel)")
        self._xy = SliceView(self.widget, (0, 0, 2), "x-y slice")
        self._xz = SliceView(self.widget, (0, 1, 1), "x-z slice")
        self._yz = SliceView(self.widget, (1, 1, 1), "y-z slice")
        self._drawn: tuple[int, str] | None = None
        self.widget.say("no scan", "")

    def show(self, snapshot: Snapshot) -> None:
        """Draw the slices, once per reconstruction, and say how far the scan is."""
        ct = snapshot.ct
        if ct is None:
            return
        self.widget.say(f"scan {ct.scan}: {scan_progress(ct)}", scan_facts(ct))
        if self._drawn == (ct.scan, ct.status):
            return
        self._drawn = (ct.scan, ct.status)
        for view, image in ((self._xy, ct.xy), (self._xz, ct.xz), (self._yz, ct.yz)):
            if image is not None and image.size:
                view.draw(image, ct.pixel_um, ct.scan)
