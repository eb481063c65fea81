"""Which panels there are and where each stands on the screen.

A new panel is one class with a ``widget`` and ``show(snapshot)``, and one line in `PANELS`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from PySide6.QtWidgets import QWidget

from hexlive.monitor.maps import CountsMap, EmfMap, SigmaMap
from hexlive.monitor.slices import CtPanel
from hexlive.monitor.spectra import ProfilePanel, SpectrumPanel
from hexlive.monitor.theme import Theme
from hexlive.monitor.trends import CyclingPanel, TrendPanel
from hexlive.stream.model import Snapshot


class Panel(Protocol):
    """One picture of the screen."""

    @property
    def widget(self) -> QWidget:
        """What to put on the screen."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot; whatever arrays it holds, of any size."""


class Place(NamedTuple):
    """Cells of the grid that a panel covers."""

    row: int
    column: int
    rows: int
    columns: int


PANELS: Final[dict[Callable[[Theme], Panel], Place]] = {
    EmfMap: Place(0, 0, 2, 10),
    SigmaMap: Place(0, 10, 1, 5),
    CountsMap: Place(1, 10, 1, 5),
    SpectrumPanel: Place(0, 15, 2, 11),
    ProfilePanel: Place(0, 26, 2, 10),
    TrendPanel: Place(2, 0, 2, 12),
    CyclingPanel: Place(2, 12, 2, 9),
    CtPanel: Place(2, 21, 2, 15),
}
