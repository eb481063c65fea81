"""The window: redraws what is new, never queues, and tells the truth about time."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from pyqtgraph import AxisItem
from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGraphicsItem, QGraphicsView, QWidget
from pytestqt.qtbot import QtBot

from hexlive.monitor.card import PlainLabel
from hexlive.monitor.client import Client
from hexlive.monitor.main_window import REDRAW_MS, MonitorWindow
from hexlive.monitor.panels import PAGES
from hexlive.monitor.status import SMALLEST_BANNER_PX
from hexlive.monitor.theme import BANNER_PX, DARK, MARGIN_PX
from hexlive.monitor.window import Screen, picture
from hexlive.stream.model import Snapshot

PATIENCE_MS = 10_000


@pytest.fixture
def mailbox(make_mailbox: Callable[[], Any]) -> Any:
    return make_mailbox()


@pytest.fixture
def window(qtbot: QtBot, mailbox: Any) -> MonitorWindow:
    window = MonitorWindow(mailbox)
    qtbot.addWidget(window)
    window.show()
    return window


def pill(window: MonitorWindow) -> str:
    return window.view.pill.said


def banner(window: MonitorWindow) -> str:
    return window.view.banner.said


def test_before_the_first_snapshot_it_waits(window: MonitorWindow) -> None:
    assert pill(window) == "WAITING"
    assert banner(window) == "Waiting for a pipeline at tcp://127.0.0.1:1"


def test_it_redraws_only_what_is_new(
    window: MonitorWindow, mailbox: Any, snapshot: Snapshot
) -> None:
    mailbox.snapshot = snapshot
    for _ in range(5):
        window.tick()
    assert window.n_redraws == 1


def test_the_age_runs_on_while_nothing_comes(
    window: MonitorWindow, mailbox: Any, snapshot: Snapshot
) -> None:
    mailbox.snapshot, mailbox.freshness, mailbox.age_s = snapshot, "fresh", 1.0
    window.tick()
    assert pill(window) == "FRESH 1 s"
    mailbox.freshness, mailbox.age_s = "old", 65.0
    window.tick()
    assert pill(window) == "OLD 1 min 05 s"
    assert banner(window).startswith("NO NEW DATA")
    assert window.n_redraws == 1


def test_lost_frames_turn_the_banner_red(
    window: MonitorWindow, mailbox: Any, snapshot: Snapshot
) -> None:
    health = replace(snapshot.health, frames_expected=1000, frames_received=988, frames_missing=12)
    mailbox.snapshot, mailbox.freshness = replace(snapshot, health=health), "fresh"
    window.tick()
    assert banner(window).startswith("LOST 1.2 %")
    red, _ = window.view.theme.levels["alarm"]
    assert red in window.view.banner.styleSheet()


def test_a_long_note_does_not_widen_the_window(
    window: MonitorWindow, mailbox: Any, snapshot: Snapshot
) -> None:
    width = window.width()
    mailbox.snapshot = replace(snapshot, status="error", note="word " * 10_000)
    mailbox.freshness = "error"
    window.tick()
    assert window.view.banner.text().endswith("…")
    assert window.minimumSizeHint().width() < width
    assert window.width() == width


@pytest.mark.parametrize("page", PAGES)
def test_nothing_overlaps_at_full_hd(qtbot: QtBot, snapshot: Snapshot, page: str) -> None:
    screen = Screen()
    qtbot.addWidget(screen)
    screen.show_snapshot(snapshot)
    screen.turn_to(page)
    picture(screen, (1920, 1080))
    parts = [screen.banner, screen.pill, screen.status.widget, screen.footer]
    areas = [area_on(screen, part) for part in (*parts, *(p.widget for p in screen.panels))]
    assert all(screen.rect().contains(area) for area in areas)
    for i, area in enumerate(areas):
        assert not any(area.intersects(other) for other in areas[i + 1 :])


def area_on(screen: Screen, part: QWidget) -> QRect:
    return QRect(part.mapTo(screen, QPoint()), part.size())


@pytest.mark.parametrize("size", [(1280, 720), (1000, 1000), (3840, 2160)])
def test_a_picture_has_the_size_asked_for(
    qtbot: QtBot, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    screen = Screen()
    qtbot.addWidget(screen)
    screen.show_snapshot(snapshot)
    image = picture(screen, size)
    assert (image.width(), image.height()) == size


def test_a_smaller_picture_is_drawn_and_not_scaled(qtbot: QtBot, snapshot: Snapshot) -> None:
    """Axes keep what they have painted; scaled down, their minus signs went."""
    screen = Screen()
    qtbot.addWidget(screen)
    screen.show_snapshot(snapshot)
    kept = picture(screen, (1280, 720)).toImage()
    axes = [
        item
        for view in screen.findChildren(QGraphicsView)
        for item in view.items()
        if isinstance(item, AxisItem) and item.cacheMode() != QGraphicsItem.CacheMode.NoCache
    ]
    assert axes
    for axis in axes:
        axis.setCacheMode(QGraphicsItem.CacheMode.NoCache)
    assert kept == picture(screen, (1280, 720)).toImage()


def test_no_figure_is_cut(qtbot: QtBot, snapshot: Snapshot) -> None:
    """A number without its end is another number."""
    health = replace(
        snapshot.health,
        backlog_ms=123_456.0,
        frames_expected=94_500_000,
        frames_received=93_366_000,
        frames_missing=1_134_000,
        rejected={"length": 1_234_567},
    )
    screen = Screen()
    qtbot.addWidget(screen)
    screen.show_snapshot(replace(snapshot, health=health))
    picture(screen, (1920, 1080))
    figures = screen.status.widget.findChildren(PlainLabel, "number")
    assert [figure.text() for figure in figures] == [figure.said for figure in figures]
    assert {"1,134,000 (1.2 %)", "123,456 ms"} <= {figure.said for figure in figures}


def test_a_long_banner_is_written_smaller_before_it_is_cut(
    qtbot: QtBot, snapshot: Snapshot
) -> None:
    sentence = "Frames come twice: it looks as if two senders share one series."
    health = replace(snapshot.health, suspicions=(sentence,))
    screen = Screen()
    qtbot.addWidget(screen)
    sizes_px = []
    for each in (snapshot, replace(snapshot, health=health)):
        screen.show_snapshot(each)
        screen.show_time(each, "fresh", 1.0, "")
        picture(screen, (1920, 1080))
        sizes_px.append(screen.banner.font().pixelSize())
    assert screen.banner.text() == screen.banner.said
    assert sizes_px[0] == BANNER_PX > sizes_px[1] >= SMALLEST_BANNER_PX


def test_captions_of_spectra_are_not_cut(qtbot: QtBot, snapshot: Snapshot) -> None:
    parts = [replace(part, emf=1.19254, emf_sigma=0.00204) for part in snapshot.parts]
    screen = Screen()
    qtbot.addWidget(screen)
    screen.show_snapshot(replace(snapshot, parts=parts))
    screen.turn_to("Spectra")
    picture(screen, (1920, 1080))
    captions = [
        label
        for panel in screen.panels
        for label in panel.widget.findChildren(PlainLabel, "caption")
    ]
    assert any("1.1925±0.0020" in caption.said for caption in captions)
    assert [caption.text() for caption in captions] == [caption.said for caption in captions]


def test_it_can_draw_twenty_times_a_second(window: MonitorWindow) -> None:
    assert window._timer.interval() == REDRAW_MS
    assert REDRAW_MS * 20 <= 1000


def test_a_flood_is_drawn_at_the_pace_of_the_window(
    qtbot: QtBot, publisher: Any, snapshot: Snapshot
) -> None:
    snapshot = replace(snapshot, bands=None, ct=None)
    with Client(publisher.address) as client:
        window = MonitorWindow(client)
        qtbot.addWidget(window)
        window.show()
        began_s = time.monotonic()

        def flooded() -> bool:
            for _ in range(20):
                publisher.send(snapshot)
            return client.overwritten > 100

        def settled() -> bool:
            publisher.send(replace(snapshot, sequence=77))
            return window.shown is not None and window.shown.sequence == 77

        qtbot.waitUntil(flooded, timeout=PATIENCE_MS)
        qtbot.waitUntil(settled, timeout=PATIENCE_MS)
        assert 1 <= window.n_redraws <= 1e3 / REDRAW_MS * (time.monotonic() - began_s) + 2
        assert pill(window).startswith("FRESH")
        window.close()


def test_two_monitors_see_the_same_run(qtbot: QtBot, publisher: Any, snapshot: Snapshot) -> None:
    with Client(publisher.address) as one, Client(publisher.address) as two:
        windows = [MonitorWindow(one), MonitorWindow(two)]
        for window in windows:
            qtbot.addWidget(window)

        def both() -> bool:
            publisher.send(replace(snapshot, status="stopped"))
            return all(pill(window) == "STOPPED" for window in windows)

        qtbot.waitUntil(both, timeout=PATIENCE_MS)
        for window in windows:
            window.close()


def test_a_closed_window_polls_no_more(
    window: MonitorWindow, mailbox: Any, snapshot: Snapshot, qtbot: QtBot
) -> None:
    window.close()
    mailbox.snapshot = snapshot
    qtbot.wait(250)
    assert mailbox.snapshot is snapshot


def test_the_gaps_between_panels_are_dark_in_the_window_too(window: MonitorWindow) -> None:
    window.show()
    panels = [panel.widget for panel in window.view.panels]
    first = min(panels, key=lambda widget: (widget.y(), widget.x()))
    gap = first.mapTo(window, first.rect().topRight() + QPoint(MARGIN_PX // 2, 20))
    assert window.grab().toImage().pixelColor(gap) == QColor(DARK.background)
