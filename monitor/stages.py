"""Fig. 4: the anode in the colours of the scan in which it first was where it is."""

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.slice_view import SliceView
from hexlive.stream.model import Snapshot
from hexlive.stream.views import CtView

# Gray, yellow, dark blue, green and red of Huang et al. (2024) for I to V, then two more; the blue
# is lighter than theirs, so that it can be told from a dark screen. With the text that is read on
# them.
COLOURS: Final = (
    ("#808080", "#ffffff"),
    ("#ffd700", "#14181d"),
    ("#2a3fd0", "#ffffff"),
    ("#1a8a2e", "#ffffff"),
    ("#e0202a", "#ffffff"),
    ("#8a2be2", "#ffffff"),
    ("#00bfff", "#14181d"),
)
OPAQUE: Final = 255
MARGIN: Final = 0.04
CELLS: Final = {"stages_xy": (0, 0, 1), "stages_xz": (0, 1, 1)}
TITLES: Final = {"stages_xy": "x-y where most has changed", "stages_xz": "x-z through the middle"}


class StagesPanel:
    """Slices of the anode through all scans so far, laid upon the first."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Each place has the colour of the first scan in which the anode was there: what grew "
            "since the first is not gray. The scans are laid upon each other by the outline."
        )
        self.widget = Card(context.theme, "Anode since scan", hint)
        self._views = {
            name: SliceView(self.widget, cells, TITLES[name]) for name, cells in CELLS.items()
        }
        self._table = colour_table(context.theme.panel)
        self._chips: list[QLabel] = []
        self._drawn: int | None = None
        self.widget.say("two scans are needed", "")

    def show(self, snapshot: Snapshot) -> None:
        """Draw the stages, once per scan."""
        ct = snapshot.ct
        if ct is None or ct.stages_voxel_um is None or self._drawn == ct.scan:
            return
        self._drawn = ct.scan
        pictures = {name: picture(ct, name) for name in CELLS}
        for name, image in pictures.items():
            if image.size:
                view = self._views[name]
                view.draw(cut_out(image), ct.stages_voxel_um, None, (0, len(self._table)))
                view.image.setLookupTable(self._table)
        self._explain(ct.stage_names[: len(COLOURS)])
        self.widget.say("", grown(pictures["stages_xy"], ct.stage_names))
        self.widget.keep(**pictures)

    def _explain(self, names: list[str]) -> None:
        """A chip of its colour for each scan."""
        while len(self._chips) < len(names):
            fill, text = COLOURS[len(self._chips)]
            chip = QLabel()
            chip.setTextFormat(Qt.TextFormat.PlainText)
            chip.setStyleSheet(
                f"background: {fill}; color: {text}; border-radius: 3px; padding: 1px 8px;"
            )
            self._chips.append(chip)
            self.widget.control(chip)
        for place, chip in enumerate(self._chips):
            chip.setVisible(place < len(names))
            chip.setText(names[place][:8] if place < len(names) else "")


def picture(ct: CtView, name: str) -> NDArray[np.uint8]:
    """Stages of a slice; what there is no colour for counts as never anode."""
    stages = getattr(ct, name)
    if stages is None:
        return np.empty((0, 0), np.uint8)
    known: NDArray[np.uint8] = np.where(stages <= len(COLOURS), stages, 0).astype(np.uint8)
    return known


def cut_out(stages: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part with anode in it, and a little around."""
    if not stages.any():
        return stages
    parts = []
    for axis in range(2):
        (there,) = np.nonzero(stages.any(axis=1 - axis))
        room = max(1, round(MARGIN * (there[-1] - there[0] + 1)))
        parts.append(slice(max(0, there[0] - room), there[-1] + room + 1))
    return stages[parts[0], parts[1]]


def colour_table(ground: str) -> NDArray[np.uint8]:
    """``(stages + 1, 4) uint8``; 0, where the anode never was, is the ground."""
    colours: list[Any] = [ground, *(fill for fill, _ in COLOURS)]
    return np.array([[*pg.mkColor(each).getRgb()[:3], OPAQUE] for each in colours], np.uint8)


def grown(stages: NDArray[np.uint8], names: list[str]) -> str:
    """Share of the slice's anode that appeared after the first scan."""
    anode = int((stages > 0).sum())
    if not anode or not names:
        return ""
    later = 100 * float((stages > 1).sum()) / anode
    return f"{later:.1f} % of the anode in this slice appeared after {names[0][:8]}"
