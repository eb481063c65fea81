"""One page of the screen: panels in a grid, each drawn only when what it shows is new."""

from PySide6.QtWidgets import QGridLayout, QWidget

from hexlive.monitor.context import Context
from hexlive.monitor.menus import add_menu
from hexlive.monitor.panels import COUNTED, Make, Panel, Place, counted
from hexlive.monitor.theme import MARGIN_PX
from hexlive.stream.model import Snapshot


class Page(QWidget):
    """Panels in equal rows and columns, whatever size their contents would like to have."""

    def __init__(self, places: dict[Make, Place], context: Context) -> None:
        super().__init__()
        self.panels: list[Panel] = [make(context) for make in places]
        self._drawn: Snapshot | None = None
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(MARGIN_PX)
        for panel, place in zip(self.panels, places.values(), strict=True):
            add_menu(panel.widget)
            grid.addWidget(panel.widget, place.row, place.column, place.rows, place.columns)
        for row in range(grid.rowCount()):
            grid.setRowStretch(row, 1)
        for column in range(grid.columnCount()):
            grid.setColumnStretch(column, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw every panel, unless this snapshot is on show already."""
        if snapshot is self._drawn:
            return
        same = self._drawn is not None and counted(snapshot) == counted(self._drawn)
        self._drawn = snapshot
        for panel in self.panels:
            if not (same and type(panel) in COUNTED):
                panel.show(snapshot)
