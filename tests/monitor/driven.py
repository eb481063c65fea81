"""A session at the screen, as a person has one: keys and mouse, and a picture of each step.

Run by itself (``python driven.py FOLDER``) it opens the window on the display that there is, and
takes its pictures from that display.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from hexlive.monitor.compare import ComparePanel
from hexlive.monitor.main_window import MonitorWindow
from hexlive.monitor.windows import WindowMap
from hexlive.stream.model import Snapshot

SETTLE_MS = 300
DRAG_PX = QPoint(60, 40)
STEPS = 8
LEFT = Qt.MouseButton.LeftButton
Grab = Callable[[MonitorWindow], QPixmap]


class Mailbox:
    """A client with the snapshots that are put into it."""

    address, freshness, age_s, advice = "tcp://127.0.0.1:1", "fresh", 1.0, None
    invalid, refused = {}, 0

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def latest(self) -> Snapshot | None:
        snapshot, self.snapshot = self.snapshot, None
        return snapshot


class Session:
    """A window, and someone who uses it.

    Parameters
    ----------
    folder
        For the pictures; the working folder too, where the window saves its own.
    """

    def __init__(self, folder: Path, grab: Grab) -> None:
        self._folder, self._grab, self._mailbox = folder, grab, Mailbox()
        self.window = MonitorWindow(self._mailbox)
        self.window.resize(1900, 1040)
        self.window.show()
        self.window.activateWindow()
        QTest.qWaitForWindowActive(self.window)

    def receive(self, snapshot: Snapshot) -> None:
        """A snapshot comes in."""
        self._mailbox.snapshot = snapshot
        self.window.tick()
        QTest.qWait(SETTLE_MS)

    def press(self, key: str) -> None:
        """A key of the list of keys."""
        QTest.keyClick(self.window, Qt.Key[f"Key_{key}"])
        QTest.qWait(SETTLE_MS)

    def drag_roi(self) -> tuple[object, object]:
        """Drag the rectangle of the window map; what it covered before and after."""
        (panel,) = (p for p in self.window.view.panels if isinstance(p, WindowMap))
        graphics, roi = panel.widget.graphics, panel._roi
        before = self.window.view.context.roi
        middle = roi.mapToScene(roi.boundingRect().center())
        start = graphics.mapFromScene(middle)
        viewport = graphics.viewport()
        QTest.mouseMove(viewport, start)
        QTest.mousePress(viewport, LEFT, Qt.KeyboardModifier.NoModifier, start)
        for step in range(1, STEPS + 1):
            QTest.mouseMove(viewport, start + DRAG_PX * step / STEPS)
            QTest.qWait(20)
        QTest.mouseRelease(viewport, LEFT, Qt.KeyboardModifier.NoModifier, start + DRAG_PX)
        QTest.qWait(SETTLE_MS)
        return before, self.window.view.context.roi

    def picture(self, name: str) -> None:
        """Keep what is on the screen, once it changes no more."""
        before, image = QImage(), self._grab(self.window).toImage()
        while image != before:
            QTest.qWait(SETTLE_MS)
            before, image = image, self._grab(self.window).toImage()
        assert image.save(str(self._folder / f"{name}.png"))


def drive(folder: Path, grab: Grab, snapshot: Snapshot) -> None:
    """Watch an exposure, cut a ROI, compare two states, look back, save, leave."""
    session = Session(folder, grab)
    window, view = session.window, session.window.view
    segment = snapshot.segment
    earlier = replace(segment, number=11, state=4, soc=1.0)
    session.receive(replace(snapshot, segment=earlier, emf=snapshot.emf * 1.1))
    session.receive(snapshot)
    session.picture("1-overview")
    session.press("3")
    before, after = session.drag_roi()
    assert None not in (before, after)
    assert before != after
    assert view.panels[0].widget.data["roi_counts"].sum() > 0
    session.picture("2-roi")
    session.press("6")
    (compare,) = (p for p in view.panels if isinstance(p, ComparePanel))
    assert [combo.currentIndex() for combo in compare._combos] == [0, 1]
    assert compare.widget.data["difference"].shape == snapshot.emf.shape
    session.picture("3-compare")
    session.press("1")
    for _ in range(2):  # past the present exposure, which is in the history too
        session.press("Left")
    assert view.past is not None
    assert view.past.segment.state == 4
    assert view.banner.said.startswith("HISTORY")
    session.picture("4-history")
    session.press("Home")
    assert view.past is None
    session.press("T")
    session.picture("5-light")
    session.press("S")
    assert list(folder.glob("hexlive-*.png")), "the window saved no picture"
    window.close()


def of_window(window: MonitorWindow) -> QPixmap:
    """What the window draws."""
    return window.grab()


def of_display(window: MonitorWindow) -> QPixmap:
    """What the display shows."""
    return window.screen().grabWindow(0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import example_snapshot

    # conftest asks for no screen; here there is one.
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    application = QApplication(sys.argv[:1])
    target = Path(sys.argv[1])
    os.chdir(target)
    drive(target, of_display, example_snapshot())
