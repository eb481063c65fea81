"""What the panels of a screen have in common: the theme, and what the user has chosen."""

from typing import Final

from PySide6.QtCore import QObject, Signal

from hexlive.monitor.history import History
from hexlive.monitor.theme import Theme

Window = tuple[float, float]
Roi = tuple[int, int, int, int]

MODES: Final = ("EMF", "relative", "superpixels", "adaptive", "recent")


class Context(QObject):
    """Choices that several panels follow; none of them ever reaches the run.

    Attributes
    ----------
    mode
        Which EMF map is shown, of `MODES`.
    window_kev
        Energy window of the window map, low and high.
    roi
        Pixels of the ROI spectrum: first and end row, first and end column; None: no ROI.
    locked
        Whether maps keep their colour levels.
    outlined
        Whether masked pixels have a border.
    history
        What was seen so far.
    changed
        Emitted after a choice.
    """

    changed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.mode = MODES[0]
        self.window_kev: Window = (92.0, 96.0)
        self.roi: Roi | None = None
        self.locked = False
        self.outlined = True
        self.history = History()

    def choose(
        self,
        *,
        mode: str | None = None,
        window_kev: Window | None = None,
        locked: bool | None = None,
        outlined: bool | None = None,
    ) -> None:
        """Change what is stated and tell everyone, where that is new."""
        new = (
            self.mode if mode is None else mode,
            self.window_kev if window_kev is None else window_kev,
            self.locked if locked is None else locked,
            self.outlined if outlined is None else outlined,
        )
        if new != (self.mode, self.window_kev, self.locked, self.outlined):
            self.mode, self.window_kev, self.locked, self.outlined = new
            self.changed.emit()

    def choose_roi(self, roi: Roi | None) -> None:
        """Choose pixels, or none."""
        if roi != self.roi:
            self.roi = roi
            self.changed.emit()

    def adopt(self, other: "Context") -> None:
        """Take over the choices of another screen."""
        self.mode, self.window_kev = other.mode, other.window_kev
        self.roi, self.locked, self.history = other.roi, other.locked, other.history
        self.outlined = other.outlined
