"""The window: polls the mailbox, obeys the keyboard, and remembers how it was left."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QByteArray, QSettings, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QMessageBox

from hexlive.monitor.client import Client
from hexlive.monitor.commander import Commander
from hexlive.monitor.context import MODES
from hexlive.monitor.controls import Controls
from hexlive.monitor.figures import shortened
from hexlive.monitor.look import FULL_HD
from hexlive.monitor.panels import PAGES
from hexlive.monitor.saving import SavingError, png, save_bytes
from hexlive.monitor.theme import THEMES, Level
from hexlive.monitor.window import Screen
from hexlive.monitor.words import hindrance
from hexlive.stream.control import Answer
from hexlive.stream.model import Snapshot

REDRAW_MS: Final = 50
ANSWER_MS: Final = 15_000
KEYS: Final = {
    "1 to 7": "turn to a page",
    "M": "next EMF map: since start, relative, superpixels, adaptive, last seconds",
    "L": "lock the colour levels of all maps, or let them follow",
    "B": "borders of masked pixels, or none",
    "Left, Right": "earlier exposures, and back",
    "Home": "back to what is going on now",
    "T": "dark or light",
    "F11": "full screen",
    "S": "save a picture of the window into the working folder",
    "?": "this list",
}


class MonitorWindow(QMainWindow):
    """Polls the mailbox 20 times a second; draws only what is new, except the age of data.

    So a run that publishes ten per second is drawn in full: two clocks of the same pace beat.

    Parameters
    ----------
    commander
        Sends commands to the run; None: there are none on the screen.
    settings
        Where theme, page and size are remembered; None: nowhere.

    Attributes
    ----------
    shown
        The newest snapshot.
    n_redraws
        Snapshots drawn so far.
    """

    def __init__(
        self,
        client: Client,
        settings: QSettings | None = None,
        commander: Commander | None = None,
    ) -> None:
        super().__init__()
        self.setWindowTitle(f"hexlive {client.address}")
        self.resize(*FULL_HD)
        self._client, self._settings, self._commander = client, settings, commander
        self.shown: Snapshot | None = None
        self.n_redraws = 0
        self._theme = "dark"
        self.view = Screen(THEMES[self._theme])
        self._restore()
        self._install()
        self._bind_keys()
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
        self.view.take_advice(client.advice)
        if self._commander is not None and (answer := self._commander.answer()) is not None:
            self._show_answer(answer)
        hindered = hindrance(client.invalid, client.refused)
        self.view.show_time(self.shown, client.freshness, client.age_s, client.address, hindered)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop polling, since the client may be closed now, and remember the layout."""
        self._timer.stop()
        if self._settings is not None:
            self._settings.setValue("geometry", self.saveGeometry())
            self._settings.setValue("theme", self._theme)
            self._settings.setValue("page", self.view.page)
            self._settings.setValue("mode", self.view.context.mode)
        super().closeEvent(event)

    def change_theme(self) -> None:
        """From dark to light, or back; the screen is built again, with all that was chosen."""
        self._theme = "light" if self._theme == "dark" else "dark"
        page, before = self.view.page, self.view
        self.view = Screen(THEMES[self._theme], before.context)
        self._install()
        if self.shown is not None:
            self.view.show_snapshot(self.shown)
        self.view.turn_to(page)

    def save_picture(self) -> None:
        """Write the window as it is into the working folder."""
        path = Path(time.strftime("hexlive-%Y%m%d-%H%M%S.png"))
        try:
            save_bytes(png(self.grab()), path)
        except SavingError as error:
            QMessageBox.warning(self, "hexlive", str(error))
            return
        self.statusBar().showMessage(f"saved {path.resolve()}", 5000)

    def show_keys(self) -> None:
        """List the keys."""
        rows = "".join(
            f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>"
            for key, what in KEYS.items()
        )
        box = QMessageBox(self)
        box.setWindowTitle("hexlive: keys")
        box.setText(f"<table>{rows}</table>")
        box.open()

    def _install(self) -> None:
        """Show the screen, with commands where the run takes them."""
        self.setCentralWidget(self.view)
        if self._commander is not None:
            self.view.footer.attach(Controls(self._commander, lambda: self.shown))

    def _show_answer(self, answer: Answer) -> None:
        words = f"{'Done' if answer.done else 'Not done'}: {shortened(answer.sentence)}"
        level: Level = "plain" if answer.done else "warning"
        self.view.context.history.say(words, time.time(), level)
        self.statusBar().showMessage(words, ANSWER_MS)

    def _restore(self) -> None:
        """Take up theme, page, map and size as they were left; what is not known is passed over."""
        if self._settings is None:
            return
        theme, page, mode = (str(self._settings.value(key)) for key in ("theme", "page", "mode"))
        if theme in THEMES and theme != self._theme:
            self._theme = theme
            self.view = Screen(THEMES[theme])
        if page in PAGES:
            self.view.turn_to(page)
        if mode in MODES:
            self.view.context.choose(mode=mode)
        geometry = self._settings.value("geometry")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)

    def _bind_keys(self) -> None:
        actions: dict[str, Callable[[], object]] = {
            "M": self._next_mode,
            "L": self._toggle_lock,
            "B": self._toggle_borders,
            "Left": lambda: self.view.footer.step(-1),
            "Right": lambda: self.view.footer.step(1),
            "Home": lambda: self.view.footer.go_to_present(),
            "T": self.change_theme,
            "F11": self._toggle_full_screen,
            "S": self.save_picture,
            "?": self.show_keys,
        }
        for number, page in enumerate(PAGES, 1):
            actions[f"{number}"] = partial(self._turn_to, page)
        for key, action in actions.items():
            QShortcut(QKeySequence(key), self).activated.connect(action)

    def _turn_to(self, page: str) -> None:
        self.view.turn_to(page)

    def _next_mode(self) -> None:
        context = self.view.context
        context.choose(mode=MODES[(MODES.index(context.mode) + 1) % len(MODES)])

    def _toggle_lock(self) -> None:
        self.view.context.choose(locked=not self.view.context.locked)

    def _toggle_borders(self) -> None:
        self.view.context.choose(outlined=not self.view.context.outlined)

    def _toggle_full_screen(self) -> None:
        self.showNormal() if self.isFullScreen() else self.showFullScreen()
