"""Fig. 1E: voltage and current of the cell while it cycles."""

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
LABEL_ROOM: Final = 0.15
AXIS_WIDTH_PX: Final = 58
TIME_UNITS_S: Final = {"h": 3600.0, "min": 60.0, "s": 1.0}
FEWEST_UNITS: Final = 2.0
MILLI: Final = 1e-3


class CyclingPanel:
    """Fig. 1E: voltage and current of the cell, with the states marked on the voltage."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Voltage and current of the cycler; numbers: where each state was first exposed; "
            "dashed: marks that somebody set."
        )
        theme = context.theme
        self.widget = Card(theme, "Cycling", hint)
        self._volt = self.widget.plot(0, 0, "", "voltage (V)")
        self._current = self.widget.plot(1, 0, "time (h)", "current (mA)")
        self._volt.getAxis("bottom").setStyle(showValues=False)
        self._current.setXLink(self._volt)
        for plot in (self._volt, self._current):
            plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        self._volt_curve = self._volt.plot(pen=pg.mkPen(theme.valence, width=CURVE_WIDTH_PX))
        self._current_curve = self._current.plot(pen=pg.mkPen(theme.core, width=CURVE_WIDTH_PX))
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
            self._volt_curve.clear()
            self._current_curve.clear()
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
        self._volt_curve.setData(elapsed, volt)
        self._current_curve.setData(elapsed, ampere / MILLI)
        self._current.getAxis("bottom").setLabel(f"time ({unit})")
        self._volt.setYRange(*widened(volt.min(), volt.max(), margin=LABEL_ROOM), padding=0)
        for state, when_s in states.items():
            if when_s is not None and time_s[0] <= when_s <= time_s[-1]:
                place = (when_s - time_s[0]) / unit_s, float(np.interp(when_s, time_s, volt))
                self._add_state(str(state), *place)
        self.widget.keep(time_s=time_s, voltage_volt=volt, current_ampere=ampere)
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


def time_unit(span_s: float) -> tuple[str, float]:
    """The largest unit of which a span has a few, and its seconds."""
    fitting = (pair for pair in TIME_UNITS_S.items() if span_s >= FEWEST_UNITS * pair[1])
    return next(fitting, ("s", TIME_UNITS_S["s"]))
