"""How uneven EMF is across the cell, exposure by exposure."""

from typing import Final

from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.history import exposure_name
from hexlive.monitor.numbers import NONE, with_sigma
from hexlive.monitor.table import Grid, words
from hexlive.stream.model import Snapshot

COLUMNS: Final = (
    "exposure", "mean EMF", "spread beyond counting", "spread (% of mean)", "centre / edge",
    "left / right", "disk (mm)",
)  # fmt: skip


class UnevenTable:
    """Spread of EMF, its centre against its edge, its left against its right."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Inside the disk of the region. Spread: standard deviation of EMF between pixels "
            "without that of counting. Centre and edge halve the area; left: low columns. "
            "Each with one standard uncertainty."
        )
        self._context = context
        self.widget = Card(context.theme, "Lateral heterogeneity", hint)
        self._grid = Grid(COLUMNS, range(1, len(COLUMNS)))
        self.widget.put(self._grid)

    def show(self, snapshot: Snapshot) -> None:
        """Write one row per exposure of the history, the newest first."""
        exposures = list(self._context.history.exposures.values()) or [snapshot]
        rows = [row(each) for each in reversed(exposures)]
        self._grid.write(rows)
        self.widget.say("")
        columns = zip(*rows, strict=True)
        self.widget.keep(**dict(zip(COLUMNS, map(words, columns), strict=True)))


def row(exposure: Snapshot) -> tuple[str, ...]:
    """What is known of one exposure, as words."""
    uneven = exposure.uneven
    mean = with_sigma(exposure.emf_mean, exposure.emf_mean_sigma, percent=False)
    if uneven is None:
        return exposure_name(exposure), mean, *[NONE] * (len(COLUMNS) - 2)
    std, emf = uneven.std, exposure.emf_mean
    share = f"{100 * std / emf:.2g}" if std is not None and emf else NONE
    return (
        exposure_name(exposure),
        mean,
        with_sigma(uneven.std, uneven.std_sigma, percent=False),
        share,
        with_sigma(uneven.centre_edge, uneven.centre_edge_sigma, percent=False),
        with_sigma(uneven.left_right, uneven.left_right_sigma, percent=False),
        f"{uneven.diameter_mm:g}",
    )
