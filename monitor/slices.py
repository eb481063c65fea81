"""The CT scan: orthoslices of the reconstructed cell, with scale bars and linked cursors."""

from typing import Any, Final

import pyqtgraph as pg
from PySide6.QtWidgets import QComboBox

from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.levels import robust_levels, thinned
from hexlive.monitor.slice_roi import SliceRoi
from hexlive.monitor.slice_view import SliceView
from hexlive.monitor.words import SEPARATOR, roughness, scan_facts, scan_progress
from hexlive.stream.model import Snapshot
from hexlive.stream.views import CtView

CELLS: Final = {"xy": (0, 0, 2), "xz": (0, 1, 1), "yz": (1, 1, 1)}
WINDOWS: Final = {"2 to 98 %": 0.02, "0.1 to 99.9 %": 0.001, "10 to 90 %": 0.1, "all": 0.0}


class CtPanel:
    """Fig. 3B and 3C: central slices of the latest scan, and where that scan stands."""

    def __init__(self, context: Context) -> None:
        hint = "Linear attenuation per pixel in three planes through the middle of the cell."
        self.widget = Card(context.theme, "CT (attenuation per pixel)", hint)
        self.views = {
            name: SliceView(self.widget, cells, f"{name[0]}-{name[1]} slice")
            for name, cells in CELLS.items()
        }
        self._windows = QComboBox()
        self._windows.addItems(list(WINDOWS))
        self._windows.activated.connect(self._again)
        self.widget.control(self._windows)
        self._ct: CtView | None = None
        self._drawn: tuple[object, ...] | None = None
        self.widget.say("no scan", "")

    def show(self, snapshot: Snapshot) -> None:
        """Draw the slices that are new, and say how far the scan is."""
        ct = snapshot.ct
        if ct is None:
            return
        self._ct = ct
        facts = SEPARATOR.join(filter(None, (scan_facts(ct), roughness(ct))))
        self.widget.say(f"scan {ct.scan}: {scan_progress(ct)}", facts)
        there = (ct.volume_file, *(getattr(ct, name) is not None for name in CELLS))
        drawn = (ct.scan, ct.status, ct.n_images, there, self._windows.currentText())
        if self._drawn == drawn:
            return
        self._drawn = drawn
        cut = WINDOWS[self._windows.currentText()]
        for name, view in self.views.items():
            image = getattr(ct, name)
            if image is not None and image.size:
                view.draw(image, ct.pixel_um, ct.scan, robust_levels(thinned(image), cut=cut))
        if ct.xy is not None:
            arrays = {name: getattr(ct, name) for name in CELLS}
            self.widget.keep(**{name: array for name, array in arrays.items() if array is not None})

    @property
    def facts(self) -> str:
        """How the scan was reconstructed."""
        return "" if self._ct is None else scan_facts(self._ct)

    def _again(self) -> None:
        if self._ct is None:
            return
        self._drawn = None
        cut = WINDOWS[self._windows.currentText()]
        for view in self.views.values():
            if view.image.image is not None:
                view.image.setLevels(robust_levels(view.image.image, cut=cut))


class LinkedSlices:
    """The same, with one cursor through all three slices."""

    def __init__(self, context: Context) -> None:
        self._panel = CtPanel(context)
        self.widget = self._panel.widget
        self.widget.retitle(
            "CT slices (attenuation per pixel)",
            "Drag a dashed line: it is the same place in all slices. ROI: mean and scatter in a "
            "rectangle of the x-y slice.",
        )
        self._at_um: dict[str, float] = {}
        self._lines: list[tuple[str, Any]] = []
        self._roi = SliceRoi(self._panel.views["xy"], context.theme.core, self._say)
        self.widget.control(self._roi.box)
        pen = pg.mkPen(context.theme.valence, width=1, style=pg.QtCore.Qt.PenStyle.DashLine)
        for name, view in self._panel.views.items():
            for axis, angle in ((name[0], 90), (name[1], 0)):
                line = pg.InfiniteLine(angle=angle, movable=True, pen=pen)
                line.sigPositionChanged.connect(
                    lambda moved, axis=axis: self._move(axis, float(moved.value()))
                )
                line.hide()
                view.plot.addItem(line, ignoreBounds=True)
                self._lines.append((axis, line))

    def show(self, snapshot: Snapshot) -> None:
        """Draw the slices; the cursor begins in the middle, where they are cut."""
        self._panel.show(snapshot)
        if not self._at_um and self._panel.views["xz"].size_um[0]:
            width_um, depth_um = self._panel.views["xy"].size_um
            for axis, length_um in zip("xyz", (width_um, depth_um, 0.0), strict=True):
                self._move(axis, length_um / 2)
            self._move("z", self._panel.views["xz"].size_um[1] / 2)
        elif self._at_um:
            self._say()

    def _move(self, axis: str, at_um: float) -> None:
        if self._at_um.get(axis) == at_um:
            return
        self._at_um[axis] = at_um
        for name, line in self._lines:
            if name == axis:
                line.setValue(at_um)
                line.show()
        self._say()

    def _say(self) -> None:
        place = "   ".join(f"{axis} {at_um:,.0f} µm" for axis, at_um in self._at_um.items())
        read = []
        for name, view in self._panel.views.items():
            value = view.value(self._at_um.get(name[0], -1.0), self._at_um.get(name[1], -1.0))
            read += [] if value is None else [f"{name} {value:.4g}"]
        said = (self._panel.facts, f"cursor: {place}", "   ".join(read), self._roi.reading)
        self.widget.point_out("      ".join(filter(None, said)))
