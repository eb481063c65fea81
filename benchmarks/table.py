"""A table of figures: a row per measurement, one unit per column."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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
    """

    key: str
    heading: str
    unit: str = ""
    digits: int = 0

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
        What the reader must know besides: limits, noise, what was absent.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Cell]]
    notes: Sequence[str] = field(default_factory=list)

    def text(self) -> str:
        """The table for a terminal."""
        blocks = [self._block(column) for column in self.columns]
        lines = [(" " * GAP).join(cells).rstrip() for cells in zip(*blocks, strict=True)]
        return "\n".join([self.title, "", *lines, "", *self.notes])

    def record(self) -> dict[str, Any]:
        """The table for JSON."""
        columns = [{"key": c.key, "heading": c.heading, "unit": c.unit} for c in self.columns]
        return {
            "title": self.title,
            "columns": columns,
            "rows": list(self.rows),
            "notes": list(self.notes),
        }

    def _block(self, column: Column) -> list[str]:
        """One column as lines of equal width, words to the left and figures to the right."""
        cells = [row[column.key] for row in self.rows]
        lines = [column.heading, column.unit, *map(column.text, cells)]
        width = max(map(len, lines))
        words = any(isinstance(cell, str) for cell in cells)
        return [line.ljust(width) if words else line.rjust(width) for line in lines]
