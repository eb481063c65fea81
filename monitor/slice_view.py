"""One slice of a volume in its true proportions, with a scale bar."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF

from hexlive.monitor.card import Card, font
from hexlive.monitor.levels import length_label, scale_bar_um, thinned
from hexlive.monitor.theme import LABEL_PX

BAR_WIDTH_PX: Final = 4
MARGIN: Final = 0.05


class SliceView:
    """A slice in its true proportions; lengths in µm.

    Attributes
    ----------
    plot
        To put cursors into.
    """

    def __init__(self, card: Card, cells: tuple[int, int, int], label: str) -> None:
        row, column, rows = cells
        self.plot = card.graphics.addPlot(row, column, rowspan=rows)
        for side in ("left", "bottom"):
            self.plot.hideAxis(side)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setAspectLocked(True)
        self.plot.invertY(True)
        self._label, self._style = label, {"color": card.theme.text, "size": f"{LABEL_PX}px"}
        self.plot.setTitle(label, **self._style)
        self.image = pg.ImageItem(axisOrder="row-major")
        self._bar = pg.PlotCurveItem(pen=pg.mkPen(card.theme.core, width=BAR_WIDTH_PX))
        self._length = pg.TextItem(color="#ffffff", anchor=(0.5, 1.0), fill="#000000a0")
        self._length.setFont(font(LABEL_PX, bold=True))
        self._length.hide()
        self._pixels: NDArray[Any] = np.empty((0, 0))
        self._pixel_um = 1.0
        for item in (self.image, self._bar, self._length):
            self.plot.addItem(item)

    def draw(
        self,
        image: NDArray[Any],
        pixel_um: float,
        scan: int | None,
        levels: tuple[float, float],
    ) -> None:
        """Show a slice of ``(rows, columns)`` whose pixels are ``pixel_um`` wide.

        Parameters
        ----------
        scan
            For the title; None: it is of several.
        """
        title = self._label if scan is None else f"{self._label} of scan {scan}"
        self.plot.setTitle(title, **self._style)
        self._pixels, self._pixel_um = image, pixel_um
        rows, columns = image.shape
        area = QRectF(0, 0, columns * pixel_um, rows * pixel_um)
        seen = thinned(image).astype(np.float32)
        self.image.setImage(seen, autoLevels=False, levels=levels)
        self.image.setRect(area)
        self.plot.setRange(area, padding=0)
        length_um = scale_bar_um(area.width())
        left, level = area.width() * MARGIN, area.height() * (1 - MARGIN)
        self._bar.setData([left, left + length_um], [level, level])
        self._length.setText(length_label(length_um))
        self._length.show()
        self._length.setPos(left + length_um / 2, level)

    def value(self, across_um: float, down_um: float) -> float | None:
        """What the slice holds at a place; None outside."""
        row, column = int(down_um / self._pixel_um), int(across_um / self._pixel_um)
        rows, columns = self._pixels.shape
        inside = 0 <= row < rows and 0 <= column < columns
        return float(self._pixels[row, column]) if inside else None

    def within(
        self, corner_um: tuple[float, float], size_um: tuple[float, float]
    ) -> NDArray[np.floating]:
        """What the slice holds in a rectangle, from its least across and down."""
        first, end = (
            [max(round(length_um / self._pixel_um), 0) for length_um in place]
            for place in (corner_um, np.add(corner_um, size_um))
        )
        return self._pixels[first[1] : end[1], first[0] : end[0]]

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height."""
        rows, columns = self._pixels.shape
        return columns * self._pixel_um, rows * self._pixel_um
