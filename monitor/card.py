"""The frame around every panel: a title, a value, plots that all look alike, a caption.

Text goes into plain-text labels only: words that came over the network are never read as markup.
"""

import html
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetrics, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsItem,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QWidget,
)

from hexlive.monitor.theme import LABEL_PX, MARGIN_PX, TICK_PX, TITLE_PX, Theme

NOTHING: Final = "no data yet"
SMALLEST_PX: Final = 12
GRID_ALPHA: Final = 0.15
LEGEND_ALPHA: Final = 200
CURVE_WIDTH_PX: Final = 2
HEAD_SPACING_PX: Final = 8
HALF_A_TICK_PX: Final = 8


class PlainLabel(QLabel):
    """Text as it is, cut with an ellipsis where it does not fit; the tooltip has all of it.

    Attributes
    ----------
    said
        The whole text.
    """

    def __init__(self, name: str, alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft) -> None:
        super().__init__()
        self.said = ""
        self.setObjectName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(alignment | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def say(self, text: str) -> None:
        """Show a text; nothing is drawn where it is there already."""
        if text != self.said:
            self.said = text
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut the text to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.ensurePolished()
        room = self.contentsRect().width()
        cut = self.fontMetrics().elidedText(self.said, Qt.TextElideMode.ElideRight, room)
        self.setText(cut)
        self.setToolTip(html.escape(self.said) if cut != self.said else "")


class Shrinking(PlainLabel):
    """A label that is written smaller where its text is long, and cut only if that is not enough.

    A number without its end is another number.

    Parameters
    ----------
    largest_px, smallest_px
        Sizes of the text.
    """

    def __init__(
        self,
        name: str,
        alignment: Qt.AlignmentFlag,
        largest_px: int,
        smallest_px: int = SMALLEST_PX,
        bold: bool = False,
    ) -> None:
        super().__init__(name, alignment)
        self._sizes_px, self._bold = range(largest_px, smallest_px, -1), bold
        self._smallest_px, self._size_px = smallest_px, largest_px

    def restyle(self) -> None:
        """Take the style sheet of the present size."""
        self.setStyleSheet(self.sheet(self._size_px))

    def sheet(self, size_px: int) -> str:
        """Style sheet with text of this size."""
        return f"font-size: {size_px}px;"

    def _fit(self) -> None:
        room = self.contentsRect().width()
        fitting = (size_px for size_px in self._sizes_px if self._width_px(size_px) <= room)
        size_px = next(fitting, self._smallest_px)
        if size_px != self._size_px:
            self._size_px = size_px
            self.restyle()
        super()._fit()

    def _width_px(self, size_px: int) -> int:
        return QFontMetrics(font(size_px, self._bold)).horizontalAdvance(self.said)


def font(size_px: int, bold: bool = False) -> QFont:
    """The default font at a size in pixels."""
    chosen = QFont()
    chosen.setPixelSize(size_px)
    chosen.setBold(bold)
    return chosen


class Card(QFrame):
    """A panel's widget: title left, value right, plots below, a caption at the bottom.

    Attributes
    ----------
    title
        Of the panel.
    data
        What is drawn, by name with unit, for export.

    Parameters
    ----------
    hint
        What the panel shows and how to read it: the tooltip of the title.
    """

    def __init__(self, theme: Theme, title: str, hint: str = "") -> None:
        super().__init__()
        self.theme, self.title = theme, title
        self.data: dict[str, NDArray[Any]] = {}
        self.setObjectName("card")
        self._title = QLabel(title)
        self._title.setObjectName("title")
        self._title.setToolTip(html.escape(hint))
        self._said, self._n_controls = "", 0
        self._value = Shrinking("value", Qt.AlignmentFlag.AlignRight, TITLE_PX)
        self._value.say(NOTHING)
        self._caption = PlainLabel("caption")
        self._caption.hide()
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setBackground(theme.panel)
        self.graphics.ci.layout.setContentsMargins(0, HALF_A_TICK_PX, 0, 0)
        self._head = QHBoxLayout()
        self._head.setSpacing(HEAD_SPACING_PX)
        self._head.addWidget(self._title)
        self._head.addWidget(self._value, 1)
        self._body = QGridLayout(self)
        self._body.setContentsMargins(MARGIN_PX + 4, MARGIN_PX, MARGIN_PX, MARGIN_PX)
        self._body.setVerticalSpacing(4)
        self._body.addLayout(self._head, 0, 0)
        self._body.addWidget(self.graphics, 1, 0)
        self._body.addWidget(self._caption, 2, 0)

    def say(self, value: str, caption: str | None = None) -> None:
        """Set the value beside the title and the caption below the plots."""
        self._value.say(value)
        if caption is not None:
            self._said = caption
            self._caption.say(caption)
            self._caption.show()

    def point_out(self, reading: str) -> None:
        """Show a reading in place of the caption; empty: the caption again."""
        self._caption.say(reading or self._said)
        self._caption.show()

    def keep(self, **arrays: Any) -> None:
        """Remember what is drawn; names end in the unit."""
        self.data = {name: np.asarray(values) for name, values in arrays.items()}

    def retitle(self, title: str, more: str) -> None:
        """Give the panel another title, and its hint one more sentence."""
        self.title = title
        self._title.setText(title)
        self._title.setToolTip(f"{self._title.toolTip()} {html.escape(more)}")

    def control(self, widget: QWidget) -> None:
        """Put a choice between the title and the value."""
        self._head.insertWidget(1 + self._n_controls, widget)
        self._n_controls += 1

    def append(self, widget: QWidget) -> None:
        """Put something at the right end of the head."""
        self._head.addWidget(widget)

    def put(self, widget: QWidget) -> None:
        """Show a widget in place of the plots."""
        self.graphics.hide()
        self._body.addWidget(widget, 1, 0)

    def plot(self, row: int, column: int, x: str, y: str) -> Any:
        """Add a plot whose axes carry these labels, with units, and return its PlotItem."""
        plot = self.graphics.addPlot(row, column)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.showGrid(x=True, y=True, alpha=GRID_ALPHA)
        for side, label in (("bottom", x), ("left", y)):
            self.style_axis(plot.getAxis(side), label)
        return plot

    def legend(self, plot: Any, left: int, columns: int = 1) -> None:
        """Give a plot a legend, which stays readable where curves run behind it.

        Parameters
        ----------
        left
            Distance from the left edge, pixels; negative: from the right.
        """
        ground = pg.mkColor(self.theme.panel)
        ground.setAlpha(LEGEND_ALPHA)
        plot.addLegend(
            offset=(left, 4),
            brush=ground,
            labelTextSize=f"{LABEL_PX}px",
            labelTextColor=self.theme.text,
            colCount=columns,
        )

    def style_axis(self, axis: Any, label: str) -> None:
        """Give an axis its label and the theme's text."""
        axis.enableAutoSIPrefix(False)
        # Ticks and grid change rarely, but are painted again with every curve.
        axis.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        axis.setPen(pg.mkPen(self.theme.muted))
        axis.setTextPen(pg.mkPen(self.theme.text))
        axis.setStyle(tickFont=font(TICK_PX), maxTickLevel=1)
        axis.setLabel(label, color=self.theme.muted, **{"font-size": f"{LABEL_PX}px"})
