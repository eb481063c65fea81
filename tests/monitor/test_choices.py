"""What the user chooses: a window, pixels, a map, locked levels, an earlier exposure, a theme."""

import re
import time
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from PySide6.QtCore import QByteArray, QSettings, Qt
from pytestqt.qtbot import QtBot

from hexlive.monitor.context import Context
from hexlive.monitor.health import event_line
from hexlive.monitor.history import Event, History
from hexlive.monitor.main_window import MonitorWindow
from hexlive.monitor.maps import EmfMap
from hexlive.monitor.mapview import border
from hexlive.monitor.theme import DARK
from hexlive.monitor.window import Screen
from hexlive.monitor.windows import WindowMap, WindowSpectrum, pixels, roi_counts, window_bands
from hexlive.reconstruct.emf import REASONS
from hexlive.stream.model import Snapshot


@pytest.fixture
def context(qtbot: QtBot) -> Context:
    return Context(DARK)


def exposure(snapshot: Snapshot, number: int, **changes: Any) -> Snapshot:
    segment = replace(snapshot.segment, number=number, state=number)
    return replace(snapshot, segment=segment, **changes)


def test_the_window_map_counts_what_is_in_the_window(
    qtbot: QtBot, context: Context, snapshot: Snapshot
) -> None:
    panel = WindowMap(context)
    qtbot.addWidget(panel.widget)
    panel.show(snapshot)
    context.choose(window_kev=(58.2, 60.7))
    expected = snapshot.bands.counts[..., 58:61].sum(axis=-1)
    np.testing.assert_array_equal(panel.widget.data["window_counts"], expected)


def test_dragging_the_window_in_the_spectrum_moves_the_map(
    qtbot: QtBot, context: Context, snapshot: Snapshot
) -> None:
    spectrum, window = WindowSpectrum(context), WindowMap(context)
    for panel in (spectrum, window):
        qtbot.addWidget(panel.widget)
        panel.show(snapshot)
    spectrum._region.setRegion((114.0, 116.0))
    expected = snapshot.bands.counts[..., 114:116].sum(axis=-1)
    np.testing.assert_array_equal(window.widget.data["window_counts"], expected)


def test_the_spectrum_of_a_roi_is_the_sum_of_its_pixels(snapshot: Snapshot) -> None:
    counts = roi_counts(snapshot.bands, (10, 12, 5, 8))
    np.testing.assert_array_equal(counts, snapshot.bands.counts[10:12, 5:8].sum(axis=(0, 1)))


@pytest.mark.parametrize(
    ("corner", "size", "roi"),
    [
        ((1.2, 2.0), (3.0, 4.0), (1, 4, 2, 6)),
        ((-5.0, -5.0), (7.0, 99.0), (0, 2, 0, 8)),
        ((50.0, 0.0), (2.0, 2.0), None),
    ],
)
def test_a_roi_is_cut_to_the_map(corner: Any, size: Any, roi: Any) -> None:
    assert pixels(corner, size, (6, 8)) == roi


@pytest.mark.parametrize("window_kev", [(5.0, 5.0), (-9.0, -3.0), (90.0, 99.0), (0.0, 10.0)])
def test_a_window_has_at_least_one_band(window_kev: tuple[float, float]) -> None:
    first, end = window_bands(np.arange(11.0), window_kev)
    assert 0 <= first < end <= 10


def test_locked_levels_stay_and_follow_again(
    qtbot: QtBot, context: Context, snapshot: Snapshot
) -> None:
    panel = EmfMap(context)
    qtbot.addWidget(panel.widget)
    panel.show(snapshot)
    before = panel._view._levels
    context.choose(locked=True)
    panel.show(replace(snapshot, emf=snapshot.emf * 3))
    assert panel._view._levels == before
    context.choose(locked=False)
    assert panel._view._levels[1] == pytest.approx(3 * before[1])


@pytest.mark.parametrize("mode", ["relative", "superpixels", "adaptive", "recent"])
def test_each_map_can_be_chosen(
    qtbot: QtBot, context: Context, snapshot: Snapshot, mode: str
) -> None:
    panel = EmfMap(context)
    qtbot.addWidget(panel.widget)
    panel.show(snapshot)
    context.choose(mode=mode)
    pair = snapshot.relative.map if mode == "relative" else getattr(snapshot, mode)
    assert panel.widget.data["emf"] is pair.value or np.array_equal(
        panel.widget.data["emf"], pair.value, equal_nan=True
    )


def test_the_border_of_one_pixel_is_its_four_sides() -> None:
    masked = np.zeros((4, 5), bool)
    masked[2, 3] = True
    x, y = border(masked)
    assert len(x) == 8
    assert (x.min(), x.max(), y.min(), y.max()) == (3, 4, 2, 3)


def test_borders_of_masked_pixels_come_and_go(
    qtbot: QtBot, context: Context, snapshot: Snapshot
) -> None:
    panel = EmfMap(context)
    qtbot.addWidget(panel.widget)
    mask = np.zeros(snapshot.emf.shape, np.uint8)
    mask[3, 4] = REASONS.index("masked")
    panel.show(replace(snapshot, undefined=mask))
    for outlined in (False, True):
        context.choose(outlined=outlined)
        assert (panel._view._masked is not None) == outlined


def test_an_earlier_exposure_can_be_looked_at_and_left(qtbot: QtBot, snapshot: Snapshot) -> None:
    screen = Screen()
    qtbot.addWidget(screen)
    for number in (1, 2, 3):
        screen.show_snapshot(exposure(snapshot, number))
    screen.footer.step(-2)
    screen.show_time(snapshot, "fresh", 1.0, "")
    assert screen.past.segment.number == 2
    assert screen.banner.said.startswith("HISTORY")
    screen.show_snapshot(exposure(snapshot, 3))
    assert screen.past is not None
    screen.footer.go_to_present()
    assert screen.past is None


def test_an_alarm_of_the_present_is_in_sight_in_the_past(qtbot: QtBot, snapshot: Snapshot) -> None:
    screen = Screen()
    qtbot.addWidget(screen)
    health = replace(snapshot.health, frames_missing=5)
    lossy = exposure(snapshot, 2, health=health)
    for each in (exposure(snapshot, 1), lossy):
        screen.show_snapshot(each)
    screen.footer.step(-2)
    screen.show_time(lossy, "fresh", 1.0, "")
    assert screen.banner.said.startswith("LOST")
    assert "HISTORY" in screen.banner.said


def test_an_event_is_one_line_from_its_beginning_to_its_end(snapshot: Snapshot) -> None:
    history, snapshot = History(), replace(snapshot, marks=[])
    doubtful = replace(snapshot, doubts=["The geometry is off."])
    for time_s, each in enumerate((snapshot, doubtful, doubtful, snapshot)):
        history.take(replace(each, created_s=float(time_s)))
    (event,) = history.events
    assert (event.since_s, event.until_s, event.text) == (1.0, 3.0, "The geometry is off.")


def test_history_is_bounded(snapshot: Snapshot) -> None:
    history = History()
    for number in range(1, 100):
        history.take(exposure(snapshot, number, doubts=[f"{number}"]))
    assert len(history.exposures) == 32
    assert all(each.ct is None for each in history.exposures.values())


def test_keys_turn_pages_and_change_the_theme(
    qtbot: QtBot, snapshot: Snapshot, tmp_path: Any, make_mailbox: Any
) -> None:
    settings = QSettings(str(tmp_path / "monitor.ini"), QSettings.Format.IniFormat)
    window = MonitorWindow(make_mailbox(snapshot), settings)
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_3)
    assert window.view.page == "Spectra"
    qtbot.keyClick(window, Qt.Key.Key_M)
    assert window.view.context.mode == "relative"
    qtbot.keyClick(window, Qt.Key.Key_B)
    assert not window.view.context.outlined
    qtbot.keyClick(window, Qt.Key.Key_T)
    assert not window.view.context.outlined
    assert (window.view.theme.background, window.view.page) == ("#e8ebef", "Spectra")
    window.close()
    again = MonitorWindow(make_mailbox(snapshot), settings)
    qtbot.addWidget(again)
    assert (again.view.page, again.view.context.mode) == ("Spectra", "relative")
    assert again.view.theme.background == "#e8ebef"
    again.close()


@pytest.mark.parametrize("junk", ["", "of another version", 7, b"\x01\xd9\xd0\xcb junk"])
def test_what_another_version_remembered_is_passed_over(
    qtbot: QtBot, snapshot: Snapshot, tmp_path: Any, make_mailbox: Any, junk: object
) -> None:
    settings = QSettings(str(tmp_path / "monitor.ini"), QSettings.Format.IniFormat)
    for key in ("theme", "page", "mode", "geometry", "a key of old"):
        settings.setValue(key, QByteArray(junk) if isinstance(junk, bytes) else junk)
    window = MonitorWindow(make_mailbox(snapshot), settings)
    qtbot.addWidget(window)
    assert (window.view.page, window.view.context.mode) == ("Overview", "EMF")
    window.close()


def test_an_event_of_another_day_says_which() -> None:
    line = event_line(Event(1.7e9, "alarm", "Lost 3 frames.", until_s=1.7e9 + 60))
    assert re.fullmatch(r"1[45] \w+ [\d:]{8} to 1[45] \w+ [\d:]{8}   Lost 3 frames\.", line)
    assert re.fullmatch(r"[\d:]{8}   now", event_line(Event(time.time(), "plain", "now")))
