"""A rectangle in the x-y slice of a CT, and what the attenuation in it is."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QCheckBox

from hexlive.monitor.numbers import with_sigma
from hexlive.monitor.slice_view import SliceView
from hexlive.monitor.windows import HOVER_PX, ROI_PX

FIRST_SHARE: Final = 0.2  # of the slice, in its middle


class SliceRoi:
    """A rectangle that is dragged in one slice; off until it is asked for.

    Parameters
    ----------
    changed
        Called when there is something else to read.

    Attributes
    ----------
    box
        Turns it on.
    """

    def __init__(self, view: SliceView, colour: str, changed: Callable[[], None]) -> None:
        self._view, self._changed = view, changed
        self.box = QCheckBox("ROI")
        self.box.toggled.connect(self._toggled)
        pens = {"pen": pg.mkPen(colour, width=ROI_PX), "hoverPen": pg.mkPen(colour, width=HOVER_PX)}
        self._rectangle: Any = pg.RectROI((0, 0), (1, 1), **pens)
        self._rectangle.sigRegionChanged.connect(lambda _: changed())
        self._rectangle.hide()
        self._placed = False
        view.plot.addItem(self._rectangle, ignoreBounds=True)

    @property
    def reading(self) -> str:
        """Mean of the voxels in it with their scatter; empty: there is none."""
        if not self._rectangle.isVisible():
            return ""
        corner, size = self._rectangle.pos(), self._rectangle.size()
        values = self._view.within((corner.x(), corner.y()), (size.x(), size.y()))
        values = values[np.isfinite(values)]
        if not values.size:
            return "ROI: outside"
        mean, scatter = float(values.mean()), float(values.std())
        return f"ROI {with_sigma(mean, scatter, percent=False)}"

    def _toggled(self, on: bool) -> None:
        if on and not self._placed and (width_um := self._view.size_um[0]):
            length_um = FIRST_SHARE * width_um
            self._rectangle.setPos((width_um - length_um) / 2, (width_um - length_um) / 2)
            self._rectangle.setSize((length_um, length_um))
            self._placed = True
        self._rectangle.setVisible(on and self._placed)
        self._changed()
