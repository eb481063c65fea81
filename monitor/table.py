"""Table 1: EMF, roughness and volume of each state, and the counters of the run as tables."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.counters import counter_rows
from hexlive.monitor.numbers import NONE, with_sigma
from hexlive.monitor.topography import UM3_PER_MM3, in_mm3
from hexlive.stream.model import Snapshot

COMPONENTS: Final = ("anode", "electrolyte", "cathode")
STATE_COLUMNS: Final = (
    "state", "SoC (%)", "EMF anode", "EMF electrolyte", "EMF cathode",
    "Ra (µm)", "Rq (µm)", "anode (mm³)", "voids (mm³)",
)  # fmt: skip
MOST_ROWS: Final = 200


class Grid(QTableWidget):
    """A table to read: rows of words, rewritten only where they differ.

    A row of which only the first word is there has all of the width for it.
    """

    def __init__(self, columns: tuple[str, ...], wide: Iterable[int]) -> None:
        super().__init__(0, len(columns))
        self.setHorizontalHeaderLabels(list(columns))
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in wide:
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._rows: list[tuple[str, ...]] = []

    def write(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Show these rows."""
        rows = list(rows[:MOST_ROWS])
        if rows == self._rows:
            return
        self._rows = rows
        self.setRowCount(len(rows))
        self.clearSpans()
        for i, row in enumerate(rows):
            if len(row) > 1 and not any(row[1:]):
                self.setSpan(i, 0, 1, len(row))
            for j, text in enumerate(row):
                item = QTableWidgetItem(text)
                if j:
                    right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    item.setTextAlignment(right)
                self.setItem(i, j, item)


class StatesTable:
    """Table 1 of the paper, as far as the run has come."""

    def __init__(self, context: Context) -> None:
        hint = "EMF with its standard uncertainty; roughness and volumes from the scan of a state."
        self.widget = Card(context.theme, "States", hint)
        self._grid = Grid(STATE_COLUMNS, range(len(STATE_COLUMNS)))
        self.widget.put(self._grid)

    def show(self, snapshot: Snapshot) -> None:
        """Write one row per state."""
        rows = state_rows(snapshot)
        self._grid.write(rows)
        self.widget.say(f"{len(rows)} state{'s' * (len(rows) != 1)}")
        columns = zip(*rows, strict=True) if rows else ([] for _ in STATE_COLUMNS)
        names = (name.replace(" ", "_") for name in STATE_COLUMNS)
        self.widget.keep(**dict(zip(names, map(words, columns), strict=True)))


def state_rows(snapshot: Snapshot) -> list[tuple[str, ...]]:
    """What is known of each state, as words."""
    scans = {scan.state: scan for scan in snapshot.scans}
    emf = {(row.state, row.component): row for row in snapshot.trend}
    charge = {row.state: row.soc for row in snapshot.trend}
    states = sorted({*charge, *(state for state in scans if state is not None)})
    return [
        (
            f"{state}",
            _figure(charge.get(state), ".0f", 0.01),
            *(
                with_sigma(row.emf, row.emf_sigma, percent=False) if row else NONE
                for row in (emf.get((state, name)) for name in COMPONENTS)
            ),
            *(
                (
                    with_sigma(scan.ra_um, scan.ra_sigma_um, percent=False),
                    with_sigma(scan.rq_um, scan.rq_sigma_um, percent=False),
                    in_mm3(scan.anode_volume_um3, scan.anode_volume_sigma_um3),
                    _figure(scan.void_volume_um3, ".3g", UM3_PER_MM3),
                )
                if (scan := scans.get(state))
                else (NONE,) * 4
            ),
        )
        for state in states
    ]


class CountersTable:
    """Every counter of the run: what came, what was lost, refused, or dropped, and why."""

    def __init__(self, context: Context) -> None:
        hint = "expected = received + lost; hits = in events + outside the axis + dropped."
        self.widget = Card(context.theme, "Counters", hint)
        self._grid = Grid(("what", "number", "share"), [0])
        self.widget.put(self._grid)

    def show(self, snapshot: Snapshot) -> None:
        """Write one row per counter."""
        hits = float(snapshot.hits.sum()) if snapshot.hits.size else 0.0
        rows = list(counter_rows(snapshot.health, hits))
        self._grid.write(rows)
        self.widget.say("")
        self.widget.keep(what=words(row[0] for row in rows), number=words(row[1] for row in rows))


def _figure(value: float | None, form: str, unit: float = 1.0) -> str:
    return NONE if value is None else format(value / unit, form)


def words(texts: Iterable[str]) -> NDArray[Any]:
    """A column for export."""
    return np.array(list(texts), dtype=object)
