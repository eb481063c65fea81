"""What changes while the cell cycles: EMF of each component, voltage and current."""

from html import escape
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from hexlive.monitor.card import CURVE_WIDTH_PX, Card, font
from hexlive.monitor.levels import noisy, trusted_range, widened
from hexlive.monitor.theme import LABEL_PX, Theme
from hexlive.stream.model import Snapshot, TrendRow

FloatArray = NDArray[np.float64]

MOST_COMPONENTS: Final = 8
FEWEST_STATES: Final = 7
MOST_TICKS: Final = 20
DODGE: Final = 0.08
SYMBOL_PX: Final = 11
BEAM: Final = 0.1
FAINT: Final = "a0"
LEGEND_ROOM: Final = 0.18
LABEL_ROOM: Final = 0.15
TICK_ROWS_PX: Final = 64
AXIS_WIDTH_PX: Final = 58
TIME_UNITS_S: Final = {"h": 3600.0, "min": 60.0, "s": 1.0}
FEWEST_UNITS: Final = 2.0
MILLI: Final = 1e-3


class TrendPanel:
    """Fig. 2F: EMF of each component against the state of the cell."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "EMF against state")
        self._plot = self.widget.plot(0, 0, "state (state of charge)", "EMF (valence / core)")
        self._plot.getAxis("bottom").setHeight(TICK_ROWS_PX)
        self._plot.addLegend(
            offset=(10, 4), labelTextSize=f"{LABEL_PX}px", labelTextColor=theme.text, colCount=4
        )
        self._drawn: list[TrendRow] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw one curve per component; only when a row is new."""
        if snapshot.trend == self._drawn:
            return
        self._drawn = snapshot.trend
        self._plot.clear()
        rows = sorted(
            (row for row in snapshot.trend if row.emf is not None), key=lambda row: row.state
        )
        names = np.array([row.component for row in rows], dtype=object)
        state, emf, sigma = _columns(rows)
        faint = noisy(sigma)
        shown = list(dict.fromkeys(names))[:MOST_COMPONENTS]
        for place, name in enumerate(shown):
            mine = names == name
            dodged = state[mine] + DODGE * (place - (len(shown) - 1) / 2)
            self._draw(name, self._colour(name, place), dodged, emf[mine], sigma[mine], faint[mine])
        self._scale(state, emf, sigma)
        self._tick({row.state: row.soc for row in rows})

    def _colour(self, name: str, place: int) -> str:
        theme = self.widget.theme
        return theme.components.get(name, theme.others[place % len(theme.others)])

    def _draw(
        self,
        name: str,
        colour: str,
        state: FloatArray,
        emf: FloatArray,
        sigma: FloatArray,
        faint: NDArray[np.bool_],
    ) -> None:
        """A curve with error bars; points much noisier than the rest are faint, not joined."""
        bright = pg.mkPen(colour, width=CURVE_WIDTH_PX)
        for chosen, pen in ((faint, pg.mkPen(colour + FAINT)), (~faint, bright)):
            self._plot.addItem(
                pg.ErrorBarItem(
                    x=state[chosen],
                    y=emf[chosen],
                    height=2 * np.nan_to_num(sigma[chosen]),
                    beam=BEAM,
                    pen=pen,
                )
            )
        self._plot.plot(state[~faint], emf[~faint], pen=bright)
        symbols = {"symbol": "o", "symbolSize": SYMBOL_PX, "symbolBrush": colour}
        self._plot.plot(state, emf, pen=None, name=escape(name), **symbols)

    def _scale(self, state: FloatArray, emf: FloatArray, sigma: FloatArray) -> None:
        """Axes for the points worth seeing, and word of the others."""
        self._plot.setXRange(0.5, state.max(initial=FEWEST_STATES) + 0.5, padding=0)
        low, high = trusted_range(emf, sigma)
        self._plot.setYRange(low, high + LEGEND_ROOM * (high - low), padding=0)
        outside = int(np.sum((emf < low) | (emf > high)))
        self.widget.say(f"{outside} noisy point{'s' * (outside > 1)} off scale" if outside else "")

    def _tick(self, charge: dict[int, float | None]) -> None:
        """A number for each state, and its state of charge below it."""
        states = range(1, max(FEWEST_STATES, *charge, 1) + 1)
        chosen = states[:: 1 + len(states) // MOST_TICKS]
        self._plot.getAxis("bottom").setTicks([[(n, _label(n, charge.get(n))) for n in chosen]])


class CyclingPanel:
    """Fig. 1E: voltage and current of the cell, with the states marked on the voltage."""

    def __init__(self, theme: Theme) -> None:
        self.widget = Card(theme, "Cycling")
        self._volt = self.widget.plot(0, 0, "", "voltage (V)")
        self._current = self.widget.plot(1, 0, "time (h)", "current (mA)")
        self._volt.getAxis("bottom").setStyle(showValues=False)
        self._current.setXLink(self._volt)
        for plot in (self._volt, self._current):
            plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        self._volt_curve = self._volt.plot(pen=pg.mkPen(theme.valence, width=CURVE_WIDTH_PX))
        self._current_curve = self._current.plot(pen=pg.mkPen(theme.core, width=CURVE_WIDTH_PX))
        self._states: list[Any] = []
        self._drawn: object = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw both curves against the time since the first row."""
        if self._drawn == (snapshot.cycler, snapshot.trend):
            return
        self._drawn = (snapshot.cycler, snapshot.trend)
        for item in self._states:
            self._volt.removeItem(item)
        self._states.clear()
        rows = np.array(sorted(snapshot.cycler), dtype=np.float64).reshape(-1, 4)
        if len(rows) == 0:
            self._volt_curve.clear()
            self._current_curve.clear()
            self.widget.say("no cycler")
            return
        self._draw(rows, {row.state: row.time_s for row in snapshot.trend})

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
        self.widget.say(
            f"{volt[-1]:.3f} V   {ampere[-1] / MILLI:.3g} mA   {capacity_ah[-1] / MILLI:.3g} mAh"
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


def _columns(rows: list[TrendRow]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """State, EMF and sigma as arrays; None becomes NaN."""
    table = np.array([(row.state, row.emf, row.emf_sigma) for row in rows], dtype=np.float64)
    state, emf, sigma = table.reshape(-1, 3).T
    return state, emf, sigma


def _label(state: int, soc: float | None) -> str:
    return f"{state}" if soc is None else f"{state}\n{100 * soc:.0f} %"
