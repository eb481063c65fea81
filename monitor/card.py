"""The frame around every panel: a title, a value, plots that all look alike, a caption.

Text goes into plain-text labels only: words that came over the network are never read as markup.
"""

import html
from typing import Any, Final

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy

from hexlive.monitor.theme import LABEL_PX, MARGIN_PX, TICK_PX, Theme

GRID_ALPHA: Final = 0.15
CURVE_WIDTH_PX: Final = 2


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


def font(size_px: int, bold: bool = False) -> QFont:
    """The default font at a size in pixels."""
    chosen = QFont()
    chosen.setPixelSize(size_px)
    chosen.setBold(bold)
    return chosen


class Card(QFrame):
    """A panel's widget: title left, value right, plots below, a caption at the bottom."""

    def __init__(self, theme: Theme, title: str) -> None:
        super().__init__()
        self.theme = theme
        self.setObjectName("card")
        self._title = QLabel(title)
        self._title.setObjectName("title")
        self._value = PlainLabel("value", Qt.AlignmentFlag.AlignRight)
        self._caption = PlainLabel("caption")
        self._caption.hide()
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setBackground(theme.panel)
        self.graphics.ci.layout.setContentsMargins(0, 0, 0, 0)
        layout = QGridLayout(self)
        layout.setContentsMargins(MARGIN_PX + 4, MARGIN_PX, MARGIN_PX, MARGIN_PX)
        layout.setVerticalSpacing(4)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._title, 0, 0)
        layout.addWidget(self._value, 0, 1)
        layout.addWidget(self.graphics, 1, 0, 1, 2)
        layout.addWidget(self._caption, 2, 0, 1, 2)

    def say(self, value: str, caption: str | None = None) -> None:
        """Set the value beside the title and the caption below the plots."""
        self._value.say(value)
        if caption is not None:
            self._caption.say(caption)
            self._caption.show()

    def plot(self, row: int, column: int, x: str, y: str) -> Any:
        """Add a plot whose axes carry these labels, with units, and return its PlotItem."""
        plot = self.graphics.addPlot(row, column)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.showGrid(x=True, y=True, alpha=GRID_ALPHA)
        for side, label in (("bottom", x), ("left", y)):
            self.style_axis(plot.getAxis(side), label)
        return plot

    def style_axis(self, axis: Any, label: str) -> None:
        """Give an axis its label and the theme's text."""
        axis.enableAutoSIPrefix(False)
        axis.setPen(pg.mkPen(self.theme.muted))
        axis.setTextPen(pg.mkPen(self.theme.text))
        axis.setStyle(tickFont=font(TICK_PX), maxTickLevel=1)
        axis.setLabel(label, color=self.theme.muted, **{"font-size": f"{LABEL_PX}px"})
