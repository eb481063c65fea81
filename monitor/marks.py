"""Marks that people set, as labelled lines in plots over time."""

from typing import Any, Final

from hexlive.monitor.spectra import marker
from hexlive.monitor.theme import Theme

MOST_MARKS: Final = 12  # the newest; more would hide what they mark
LONGEST_LABEL: Final = 24
HEIGHTS: Final = (0.08, 0.2, 0.32)  # low, where curves of a charging cell seldom are


class MarkLines:
    """Vertical lines with labels; they have no say in the range of the plot."""

    def __init__(self, plot: Any, theme: Theme) -> None:
        self._plot, self._theme = plot, theme
        self._lines: list[Any] = []

    def draw(self, marks: list[tuple[float, str]]) -> None:
        """Draw marks at abscissae instead of those before."""
        self.clear()
        for place, (at, label) in enumerate(marks[-MOST_MARKS:]):
            short = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
            # The label is a format of the position.
            words = short.replace("{", "{{").replace("}", "}}")
            line = marker(self._theme, at, words, HEIGHTS[place % len(HEIGHTS)])
            self._plot.addItem(line, ignoreBounds=True)
            self._lines.append(line)

    def clear(self) -> None:
        """Take the lines away."""
        for line in self._lines:
            self._plot.removeItem(line)
        self._lines.clear()
