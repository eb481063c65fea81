"""Fig. 1E: voltage and current of the cell while it cycles."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from hexlive.monitor.card import CURVE_WIDTH_PX, Card, font
from hexlive.monitor.context import Context
from hexlive.monitor.levels import widened
from hexlive.monitor.marks import MarkLines
from hexlive.monitor.theme import LABEL_PX
from hexlive.stream.model import Snapshot
from hexlive.stream.views import MarkView

FloatArray = NDArray[np.float64]

SYMBOL_PX: Final = 11
LABEL_ROOM: Final = 0.2
STRETCH: Final = (3, 2, 2)  # the voltage carries the states
X_MARGIN: Final = 0.03
AXIS_WIDTH_PX: Final = 58
TIME_UNITS_S: Final = {"h": 3600.0, "min": 60.0, "s": 1.0}
FEWEST_UNITS: Final = 2.0
MILLI: Final = 1e-3


class CyclingPanel:
    """Fig. 1E: voltage and current of the cell, with the states marked on the voltage.

    Parameters
    ----------
    charge
        Draw the charge that the cycler counts as well.
    """

    def __init__(self, context: Context, charge: bool = False) -> None:
        hint = (
            "Voltage, current and charge of the cycler; numbers: where each state was first "
            "exposed; dashed: marks that somebody set."
        )
        theme = context.theme
        self.widget = Card(theme, "Cycling", hint)
        self._volt = self.widget.plot(0, 0, "", "voltage (V)")
        self._current = self.widget.plot(1, 0, "time (h)", "current (mA)")
        plots, colours = [self._volt, self._current], [theme.valence, theme.core]
        if charge:
            plots.append(self.widget.plot(2, 0, "time (h)", "charge (mAh)"))
            colours.append(theme.text)
        self._curves = [
            plot.plot(pen=pg.mkPen(colour, width=CURVE_WIDTH_PX))
            for plot, colour in zip(plots, colours, strict=True)
        ]
        for row, plot in enumerate(plots):
            plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
            self.widget.graphics.ci.layout.setRowStretchFactor(row, STRETCH[row])
        self._plots = plots
        for plot in plots[:-1]:
            plot.getAxis("bottom").setStyle(showValues=False)
            plot.getAxis("bottom").setLabel("")
        self._states: list[Any] = []
        self._marks = MarkLines(self._volt, theme)
        self._drawn: object = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw both curves against the time since the first row."""
        states = {row.state: row.time_s for row in snapshot.trend}
        drawn = (snapshot.cycler, states, snapshot.marks)
        if self._drawn == drawn:
            return
        self._drawn = drawn
        for item in self._states:
            self._volt.removeItem(item)
        self._states.clear()
        rows = np.array(sorted(snapshot.cycler), dtype=np.float64).reshape(-1, 4)
        self._marks.clear()
        if len(rows) == 0:
            for curve in self._curves:
                curve.clear()
            self.widget.say("no cycler")
            return
        self._draw(rows, states)
        self._mark(rows[:, 0], snapshot.marks)

    def _mark(self, time_s: FloatArray, marks: list[MarkView]) -> None:
        begin_s, end_s = time_s[0], time_s[-1]
        _, unit_s = time_unit(end_s - begin_s)
        self._marks.draw(
            [
                ((mark.time_s - begin_s) / unit_s, mark.label)
                for mark in marks
                if begin_s <= mark.time_s <= end_s
            ]
        )

    def _draw(self, rows: FloatArray, states: dict[int, float | None]) -> None:
        time_s, volt, ampere, capacity_ah = rows.T
        unit, unit_s = time_unit(time_s[-1] - time_s[0])
        elapsed = (time_s - time_s[0]) / unit_s
        drawn = (volt, ampere / MILLI, capacity_ah / MILLI)
        for curve, values in zip(self._curves, drawn, strict=False):
            curve.setData(elapsed, values)
        share_x(self._plots, elapsed)
        self._plots[-1].getAxis("bottom").setLabel(f"time ({unit})")
        self._volt.setYRange(*widened(volt.min(), volt.max(), margin=LABEL_ROOM), padding=0)
        for state, when_s in states.items():
            if when_s is not None and time_s[0] <= when_s <= time_s[-1]:
                place = (when_s - time_s[0]) / unit_s, float(np.interp(when_s, time_s, volt))
                self._add_state(str(state), *place)
        self.widget.keep(
            time_s=time_s, voltage_volt=volt, current_ampere=ampere, capacity_ah=capacity_ah
        )
        self.widget.say(
            f"{volt[-1]:.3f} V   {ampere[-1] / MILLI:z.3g} mA   {capacity_ah[-1] / MILLI:z.3g} mAh"
        )

    def _add_state(self, label: str, elapsed: float, volt: float) -> None:
        colour = self.widget.theme.text
        point = pg.ScatterPlotItem([elapsed], [volt], size=SYMBOL_PX, brush=colour)
        text = pg.TextItem(label, color=colour, anchor=(0.5, 1.1))
        text.setFont(font(LABEL_PX, bold=True))
        text.setPos(elapsed, volt)
        for item in (point, text):
            self._volt.addItem(item, ignoreBounds=True)
            self._states.append(item)


def share_x(plots: Sequence[Any], x: FloatArray) -> None:
    """Give plots above each other the same range.

    Linked axes follow the places of the plots on the screen, which may not have any yet.
    """
    for plot in plots:
        plot.setXRange(*widened(float(x.min()), float(x.max()), margin=X_MARGIN), padding=0)


def cycling_with_charge(context: Context) -> CyclingPanel:
    """The same, with its third curve."""
    return CyclingPanel(context, charge=True)


def time_unit(span_s: float) -> tuple[str, float]:
    """The largest unit of which a span has a few, and its seconds."""
    fitting = (pair for pair in TIME_UNITS_S.items() if span_s >= FEWEST_UNITS * pair[1])
    return next(fitting, ("s", TIME_UNITS_S["s"]))
