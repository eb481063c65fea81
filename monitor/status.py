"""The top of the screen: banner, age of data, and the line of figures."""

import html
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from hexlive.monitor.card import PlainLabel, Shrinking, font
from hexlive.monitor.figures import Phrase, Tile, tiles
from hexlive.monitor.theme import BANNER_PX, MARGIN_PX, VALUE_PX, Level, Theme
from hexlive.stream.model import Snapshot

BADGE_HEIGHT_PX: Final = 58
BADGE_PADDING_PX: Final = 14
TILE_STRETCH: Final = {
    "frame rate": 5,
    "received / expected": 11,
    "lost": 6,
    "live time": 5,
    "clusters 1 / 2 / >2 pixels": 7,
}
OTHER_TILES: Final = 4
SMALLEST_BANNER_PX: Final = 18


class Badge(Shrinking):
    """A filled label: the banner, the age of the data."""

    def __init__(self, theme: Theme, alignment: Qt.AlignmentFlag) -> None:
        super().__init__("badge", alignment, BANNER_PX, SMALLEST_BANNER_PX, bold=True)
        self._theme = theme
        self._level: Level = "idle"
        self.setFixedHeight(BADGE_HEIGHT_PX)
        self.setContentsMargins(BADGE_PADDING_PX, 0, BADGE_PADDING_PX, 0)
        self.restyle()

    def show_phrase(self, phrase: Phrase) -> None:
        """Show a phrase in the colour of its level."""
        if phrase.level != self._level:
            self._level = phrase.level
            self.restyle()
        self.say(phrase.text)

    def sheet(self, size_px: int) -> str:
        """Filled in the colour of the level."""
        return self._theme.badge(self._level, size_px)


class _Figure(Shrinking):
    """A figure: a number without its end is another."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("number", Qt.AlignmentFlag.AlignLeft, VALUE_PX, bold=True)
        self._colours, self._colour = theme.figures, theme.figures["plain"]
        self.setFixedHeight(QFontMetrics(font(VALUE_PX, bold=True)).height())

    def paint(self, level: Level) -> None:
        """Take the colour of a level."""
        self._colour = self._colours[level]
        self.restyle()

    def sheet(self, size_px: int) -> str:
        """In the colour of the level."""
        return f"color: {self._colour}; font-size: {size_px}px;"


class _TileView(QFrame):
    """A small label above a large figure."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("card")
        self._level: Level | None = None
        self._label = PlainLabel("caption")
        self._value = _Figure(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN_PX + 4, 4, MARGIN_PX, 4)
        layout.setSpacing(0)
        layout.addWidget(self._label)
        layout.addWidget(self._value)

    def say(self, tile: Tile) -> None:
        self._label.say(tile.label)
        self._value.say(tile.value.text)
        if tile.value.level != self._level:
            self._level = tile.value.level
            self._value.paint(self._level)
        self.setToolTip(html.escape(tile.hint))


class StatusLine:
    """Rate, backlog, losses, rejections, occupancy, clusters, live time, recording."""

    def __init__(self, theme: Theme) -> None:
        self.widget = QWidget()
        self._theme = theme
        self._layout = QHBoxLayout(self.widget)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(MARGIN_PX)
        self._views: list[_TileView] = []

    def show(self, snapshot: Snapshot) -> None:
        """Write every figure; those that need attention are coloured."""
        line = tiles(snapshot)
        while len(self._views) < len(line):
            self._views.append(_TileView(self._theme))
            stretch = TILE_STRETCH.get(line[len(self._views) - 1].label, OTHER_TILES)
            self._layout.addWidget(self._views[-1], stretch)
        for view, tile in zip(self._views, line, strict=True):
            view.say(tile)
