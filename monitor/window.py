"""The screen: banner, figures and pages of panels; and the picture of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QGraphicsItem,
    QGraphicsView,
    QHBoxLayout,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from hexlive.monitor.client import Freshness
from hexlive.monitor.context import Context
from hexlive.monitor.footer import Footer
from hexlive.monitor.look import FULL_HD
from hexlive.monitor.page import Page
from hexlive.monitor.panels import PAGES, Panel
from hexlive.monitor.status import Badge, StatusLine
from hexlive.monitor.theme import DARK, MARGIN_PX, Theme
from hexlive.monitor.words import age, banner, past
from hexlive.stream.model import AdviceList, Snapshot

PILL_WIDTH_PX: Final = 330
STATUS_HEIGHT_PX: Final = 62
DESIGN_WIDTH_PX: Final = FULL_HD[0]


class Screen(QWidget):
    """Banner, age of data, status line and pages; knows nothing of where snapshots come from.

    Only the page on show is drawn; another is drawn when it is turned to.

    Attributes
    ----------
    context
        What the user has chosen.
    past
        The exposure of the history on show; None: what is going on now.
    """

    def __init__(self, theme: Theme = DARK, context: Context | None = None) -> None:
        super().__init__()
        self.theme = theme
        self.context = Context(theme)
        if context is not None:
            self.context.adopt(context)
        # Only plain widgets draw the background of a style sheet by themselves.
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(theme.style_sheet())
        self.banner = Badge(theme, Qt.AlignmentFlag.AlignLeft)
        self.pill = Badge(theme, Qt.AlignmentFlag.AlignHCenter)
        self.pill.setFixedWidth(PILL_WIDTH_PX)
        self.pill.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.status = StatusLine(theme)
        self.status.widget.setFixedHeight(STATUS_HEIGHT_PX)
        self.pages = {name: Page(panels, self.context) for name, panels in PAGES.items()}
        self._stack = QStackedWidget()
        for page in self.pages.values():
            self._stack.addWidget(page)
        self.footer = Footer(list(self.pages), self.context)
        self.footer.page_chosen.connect(self.turn_to)
        self.footer.moment_chosen.connect(self.go_back_to)
        self.past: Snapshot | None = None
        self._now: Snapshot | None = None
        self._lay_out()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.banner, 1)
        top.addWidget(self.pill)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX)
        layout.setSpacing(MARGIN_PX)
        layout.addLayout(top)
        layout.addWidget(self.status.widget)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.footer)

    @property
    def page(self) -> str:
        """The page on show."""
        return list(self.pages)[self._stack.currentIndex()]

    @property
    def panels(self) -> list[Panel]:
        """The panels of the page on show."""
        return self.pages[self.page].panels

    def turn_to(self, page: str) -> None:
        """Show another page."""
        self._stack.setCurrentWidget(self.pages[page])
        self.footer.mark(page)
        self._draw()

    def go_back_to(self, moment: Snapshot | None) -> None:
        """Show an earlier exposure; None: the present again."""
        self.past = moment
        self._draw()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Remember a snapshot, and draw it where nothing older is looked at."""
        self.context.history.take(snapshot)
        self._now = snapshot
        self.status.show(snapshot)
        self.footer.offer()
        if self.past is None:
            self._draw()

    def take_advice(self, advice: AdviceList | None) -> None:
        """Note what the run advises in the log."""
        if advice is not None:
            self.context.history.take_advice(advice)

    def show_time(
        self,
        snapshot: Snapshot | None,
        freshness: Freshness,
        age_s: float | None,
        address: str,
        hindered: str = "",
    ) -> None:
        """Say how old the data are and what is going on."""
        self.pill.show_phrase(age(freshness, age_s))
        now = banner(snapshot, freshness, address, hindered)
        self.banner.show_phrase(now if self.past is None else past(self.past, now))

    def _draw(self) -> None:
        shown = self.past or self._now
        if shown is not None:
            self.pages[self.page].show_snapshot(shown)


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
    with _painted_afresh(screen):
        screen.render(image)
    return image


@contextmanager
def _painted_afresh(screen: Screen) -> Iterator[None]:
    """What items keep is of the size of the window: scaled, an axis loses its minus signs."""
    none = QGraphicsItem.CacheMode.NoCache
    views = screen.findChildren(QGraphicsView)
    kept = {item: item.cacheMode() for view in views for item in view.items()}
    kept = {item: mode for item, mode in kept.items() if mode != none}
    for item in kept:
        item.setCacheMode(none)
    yield
    for item, mode in kept.items():
        item.setCacheMode(mode)
