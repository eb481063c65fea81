"""Pictures of the screen without a display, one or again and again: the code of the window."""

from pathlib import Path

from hexlive.monitor.client import Freshness
from hexlive.monitor.look import Look
from hexlive.monitor.panels import PAGES
from hexlive.monitor.saving import png, save_bytes
from hexlive.monitor.theme import THEMES
from hexlive.monitor.window import Screen, picture
from hexlive.stream.model import Snapshot


class Easel:
    """A screen that nobody sees; needs a QApplication, and the main thread."""

    def __init__(self, look: Look) -> None:
        self._size = look.size
        self.screen = Screen(THEMES[look.theme.value])
        pages = {name.lower(): name for name in PAGES}
        self.screen.turn_to(pages[look.page.value])

    def draw(
        self,
        snapshot: Snapshot | None,
        path: Path,
        freshness: Freshness,
        age_s: float | None,
        address: str = "",
        hindered: str = "",
    ) -> None:
        """Draw a snapshot, or that there is none yet, into a PNG that is whole or absent.

        Raises
        ------
        SavingError
            The file cannot be written.
        """
        if snapshot is not None:
            self.screen.show_snapshot(snapshot)
        self.screen.show_time(snapshot, freshness, age_s, address, hindered)
        save_bytes(png(picture(self.screen, self._size)), path)
