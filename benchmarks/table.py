"""A table of figures: a row per measurement, one unit per column."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from hexlive.benchmarks.turns import noise_note

Cell = str | float | None
ABSENT: Final = "n/a"
GAP: Final = 2  # spaces between columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What one column holds.

    Attributes
    ----------
    key
        Name in the rows and in JSON; ends in the unit.
    heading, unit
        The two lines above the figures.
    digits
        Decimals to print.
    given
        Chosen, not measured; words always are.
    """

    key: str
    heading: str
    unit: str = ""
    digits: int = 0
    given: bool = False

    def text(self, cell: Cell) -> str:
        """The cell as it is printed; None is a figure that was not measured."""
        if cell is None:
            return ABSENT
        return cell if isinstance(cell, str) else f"{cell:,.{self.digits}f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The figures of one suite.

    Attributes
    ----------
    title
        What was measured, on what data.
    columns
        From left to right.
    rows
        One dictionary per measurement, by the keys of the columns.
    notes
        What the reader must know besides: limits, what was absent.
    spreads_percent
        How far the turns of each measurement lie apart; None: there were no turns.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Cell]]
    notes: Sequence[str] = field(default_factory=list)
    spreads_percent: Sequence[Cell] | None = None

    @property
    def remarks(self) -> list[str]:
        """The notes, and how steady the machine was."""
        if self.spreads_percent is None:
            return list(self.notes)
        return [*self.notes, noise_note(self._spreads())]

    def text(self) -> str:
        """The table for a terminal."""
        blocks = [self._block(column) for column in self.columns]
        lines = [(" " * GAP).join(cells).rstrip() for cells in zip(*blocks, strict=True)]
        return "\n".join([self.title, "", *lines, "", *self.remarks])

    def record(self) -> dict[str, Any]:
        """The table for JSON."""
        return {
            "title": self.title,
            "columns": [asdict(column) for column in self.columns],
            "rows": list(self.rows),
            "notes": self.remarks,
            "noise_percent": max(self._spreads(), default=None),
        }

    def _spreads(self) -> list[float]:
        return [spread for spread in self.spreads_percent or () if isinstance(spread, float)]

    def _block(self, column: Column) -> list[str]:
        """One column as lines of equal width, words to the left and figures to the right."""
        cells = [row[column.key] for row in self.rows]
        lines = [column.heading, column.unit, *map(column.text, cells)]
        width = max(map(len, lines))
        words = any(isinstance(cell, str) for cell in cells)
        return [line.ljust(width) if words else line.rjust(width) for line in lines]
