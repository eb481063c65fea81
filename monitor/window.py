"""The screen: all panels in a grid, and the window that redraws them when news come in."""

from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QGridLayout,
    QHBoxLayout,
    QMainWindow,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from hexlive.monitor.client import Client, Freshness
from hexlive.monitor.panels import PANELS
from hexlive.monitor.status import Badge, StatusLine
from hexlive.monitor.theme import DARK, MARGIN_PX, Theme
from hexlive.monitor.words import age, banner
from hexlive.stream.model import Snapshot

REDRAW_MS: Final = 100
PILL_WIDTH_PX: Final = 330
STATUS_HEIGHT_PX: Final = 62
DESIGN_WIDTH_PX: Final = 1920
DESIGN_HEIGHT_PX: Final = 1080


class Screen(QWidget):
    """Banner, age of data, status line and panels; knows nothing of where snapshots come from."""

    def __init__(self, theme: Theme = DARK) -> None:
        super().__init__()
        self.theme = theme
        # Only plain widgets draw the background of a style sheet by themselves.
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(theme.style_sheet())
        self.banner = Badge(theme, Qt.AlignmentFlag.AlignLeft)
        self.pill = Badge(theme, Qt.AlignmentFlag.AlignHCenter)
        self.pill.setFixedWidth(PILL_WIDTH_PX)
        self.pill.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.status = StatusLine(theme)
        self.status.widget.setFixedHeight(STATUS_HEIGHT_PX)
        self.panels = [make(theme) for make in PANELS]
        top = QHBoxLayout()
        top.addWidget(self.banner, 1)
        top.addWidget(self.pill)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX)
        layout.setSpacing(MARGIN_PX)
        layout.addLayout(top)
        layout.addWidget(self.status.widget)
        layout.addLayout(self._grid(), 1)

    def _grid(self) -> QGridLayout:
        """Panels in equal rows and columns, whatever size their contents would like to have."""
        grid = QGridLayout()
        grid.setSpacing(MARGIN_PX)
        for panel, place in zip(self.panels, PANELS.values(), strict=True):
            grid.addWidget(panel.widget, place.row, place.column, place.rows, place.columns)
        for row in range(grid.rowCount()):
            grid.setRowStretch(row, 1)
        for column in range(grid.columnCount()):
            grid.setColumnStretch(column, 1)
        return grid

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Redraw every panel."""
        self.status.show(snapshot)
        for panel in self.panels:
            panel.show(snapshot)

    def show_time(
        self, snapshot: Snapshot | None, freshness: Freshness, age_s: float | None, address: str
    ) -> None:
        """Say how old the data are and what is going on."""
        self.pill.show_phrase(age(freshness, age_s))
        self.banner.show_phrase(banner(snapshot, freshness, address))


def picture(screen: Screen, size: tuple[int, int]) -> QPixmap:
    """The screen as an image of ``size`` (width, height) pixels.

    It is laid out at the width it was designed for and scaled, so nothing overlaps at any size.
    """
    width, height = size
    screen.resize(DESIGN_WIDTH_PX, round(DESIGN_WIDTH_PX * height / width))
    screen.grab()  # plots find their layout while they are drawn the first time
    QApplication.processEvents()
    image = QPixmap(width, height)
    image.setDevicePixelRatio(width / DESIGN_WIDTH_PX)
    screen.render(image)
    return image


class MonitorWindow(QMainWindow):
    """Polls the mailbox ten times a second; draws only what is new, except the age of data.

    Attributes
    ----------
    shown
        The snapshot on the screen.
    n_redraws
        Snapshots drawn so far.
    """

    def __init__(self, client: Client, theme: Theme = DARK) -> None:
        super().__init__()
        self.setWindowTitle(f"hexlive {client.address}")
        self.resize(DESIGN_WIDTH_PX, DESIGN_HEIGHT_PX)
        self.view = Screen(theme)
        self.setCentralWidget(self.view)
        self.shown: Snapshot | None = None
        self.n_redraws = 0
        self._client = client
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(REDRAW_MS)
        self.tick()

    def tick(self) -> None:
        """Take the newest snapshot, if there is one."""
        snapshot = self._client.latest()
        if snapshot is not None:
            self.shown = snapshot
            self.n_redraws += 1
            self.view.show_snapshot(snapshot)
        client = self._client
        self.view.show_time(self.shown, client.freshness, client.age_s, client.address)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop polling: the client may be closed now."""
        self._timer.stop()
        super().closeEvent(event)
