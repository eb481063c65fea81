"""Fig. 2F: EMF of each component while the cell cycles."""

from html import escape
from typing import Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtWidgets import QComboBox

from hexlive.monitor.card import CURVE_WIDTH_PX, Card, font
from hexlive.monitor.context import Context
from hexlive.monitor.cycling import time_unit
from hexlive.monitor.levels import noisy, trusted_range, widened
from hexlive.monitor.theme import LABEL_PX
from hexlive.stream.model import Snapshot, TrendRow

FloatArray = NDArray[np.float64]

ALONG: Final = ("state", "state of charge", "time")
MOST_COMPONENTS: Final = 8
FEWEST_STATES: Final = 7
MOST_TICKS: Final = 20
DODGE: Final = 0.08
SYMBOL_PX: Final = 11
FAINT: Final = "a0"
LEGEND_ROOM: Final = 0.22
TICK_ROWS_PX: Final = 64
ONE_ROW_PX: Final = 44
BEAM_FRACTION: Final = 0.012
PERCENT: Final = 100.0


class TrendPanel:
    """EMF of each component against the state of the cell, its charge, or time."""

    def __init__(self, context: Context) -> None:
        theme = context.theme
        hint = (
            "EMF of each component with one standard uncertainty, from L and H of all pixels and "
            "exposures of a state. Points much noisier than the rest are faint and not joined."
        )
        self.widget = Card(theme, "EMF", hint)
        self._plot = self.widget.plot(0, 0, "state (state of charge)", "EMF (valence / core)")
        self._plot.addLegend(
            offset=(10, 4), labelTextSize=f"{LABEL_PX}px", labelTextColor=theme.text, colCount=4
        )
        self._along = QComboBox()
        for name in ALONG:
            self._along.addItem(f"against {name}", name)
        self._along.activated.connect(self._again)
        self.widget.control(self._along)
        self._drawn: tuple[str, list[TrendRow]] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw one curve per component; only when a row is new."""
        self._redraw(snapshot.trend)

    def _again(self) -> None:
        if self._drawn is not None:
            self._redraw(self._drawn[1])

    def _redraw(self, trend: list[TrendRow]) -> None:
        along = str(self._along.currentData())
        if self._drawn == (along, trend):
            return
        self._drawn = along, trend
        self._plot.clear()
        rows = _placed(trend, along)
        names = np.array([row.component for row in rows], dtype=object)
        state, emf, sigma = _columns(rows)
        at, label = _abscissae(rows, along)
        span = float(np.ptp(at)) if at.size else 1.0
        faint = noisy(sigma)
        shown = list(dict.fromkeys(names))[:MOST_COMPONENTS]
        for place, name in enumerate(shown):
            mine = names == name
            dodged = at[mine] + (DODGE * (place - (len(shown) - 1) / 2) if along == "state" else 0)
            colour = self.widget.theme.component(name, place)
            beam = BEAM_FRACTION * (span or 1.0)
            self._draw(name, colour, dodged, emf[mine], sigma[mine], faint[mine], beam)
        low, high = self._scale(emf, sigma)
        if along == "state":
            self._tick({row.state: row.soc for row in rows}, state)
        else:
            self._number(at, state, high - 0.1 * (high - low), label)
        self.widget.keep(state=state, emf=emf, emf_sigma=sigma, component=names.astype("S"))

    def _draw(
        self,
        name: str,
        colour: str,
        at: FloatArray,
        emf: FloatArray,
        sigma: FloatArray,
        faint: NDArray[np.bool_],
        beam: float,
    ) -> None:
        """A curve with error bars; points much noisier than the rest are faint, not joined."""
        bright = pg.mkPen(colour, width=CURVE_WIDTH_PX)
        for chosen, pen in ((faint, pg.mkPen(colour + FAINT)), (~faint, bright)):
            height = 2 * np.nan_to_num(sigma[chosen])
            bars = pg.ErrorBarItem(x=at[chosen], y=emf[chosen], height=height, beam=beam, pen=pen)
            self._plot.addItem(bars)
        self._plot.plot(at[~faint], emf[~faint], pen=bright)
        symbols = {"symbol": "o", "symbolSize": SYMBOL_PX, "symbolBrush": colour}
        self._plot.plot(at, emf, pen=None, name=escape(name), **symbols)

    def _scale(self, emf: FloatArray, sigma: FloatArray) -> tuple[float, float]:
        """Axis for the points worth seeing, and word of the others."""
        low, high = trusted_range(emf, sigma)
        high += LEGEND_ROOM * (high - low)
        self._plot.setYRange(low, high, padding=0)
        outside = int(np.sum((emf < low) | (emf > high)))
        self.widget.say(f"{outside} noisy point{'s' * (outside > 1)} off scale" if outside else "")
        return low, high

    def _tick(self, charge: dict[int, float | None], state: FloatArray) -> None:
        """A number for each state, and its state of charge below it."""
        states = range(1, max(FEWEST_STATES, *charge, 1) + 1)
        chosen = states[:: 1 + len(states) // MOST_TICKS]
        axis = self._plot.getAxis("bottom")
        axis.setHeight(TICK_ROWS_PX)
        axis.setTicks([[(n, _label(n, charge.get(n))) for n in chosen]])
        axis.setLabel("state (state of charge)")
        self._plot.setXRange(0.5, state.max(initial=FEWEST_STATES) + 0.5, padding=0)

    def _number(self, at: FloatArray, state: FloatArray, level: float, label: str) -> None:
        """Plain ticks, and the number of each state above its points."""
        axis = self._plot.getAxis("bottom")
        axis.setHeight(ONE_ROW_PX)
        axis.setTicks(None)
        axis.setLabel(label)
        for number in np.unique(state)[:MOST_TICKS]:
            text = pg.TextItem(f"{number:.0f}", color=self.widget.theme.muted, anchor=(0.5, 0.5))
            text.setFont(font(LABEL_PX, bold=True))
            text.setPos(float(at[state == number].mean()), level)
            self._plot.addItem(text, ignoreBounds=True)
        if at.size:
            self._plot.setXRange(*widened(float(at.min()), float(at.max()), margin=0.08), padding=0)


def _placed(trend: list[TrendRow], along: str) -> list[TrendRow]:
    """Rows that have a place on the axis, in the order of states."""
    field = {"state": "state", "state of charge": "soc", "time": "time_s"}[along]
    rows = (row for row in trend if row.emf is not None and getattr(row, field) is not None)
    return sorted(rows, key=lambda row: row.state)


def _abscissae(rows: list[TrendRow], along: str) -> tuple[FloatArray, str]:
    """Where each row stands, and the label of the axis."""
    if along == "state":
        return np.array([row.state for row in rows], np.float64), ""
    if along == "state of charge":
        charge = np.array([row.soc for row in rows], np.float64)
        return PERCENT * charge, "state of charge (%); numbers: states"
    time_s = np.array([row.time_s for row in rows], np.float64)
    time_s -= time_s.min(initial=np.inf) if time_s.size else 0.0
    unit, unit_s = time_unit(time_s.max(initial=0.0))
    return time_s / unit_s, f"time since the first state ({unit}); numbers: states"


def _columns(rows: list[TrendRow]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """State, EMF and sigma as arrays; None becomes NaN."""
    table = np.array([(row.state, row.emf, row.emf_sigma) for row in rows], dtype=np.float64)
    state, emf, sigma = table.reshape(-1, 3).T
    return state, emf, sigma


def _label(state: int, soc: float | None) -> str:
    return f"{state}" if soc is None else f"{state}\n{100 * soc:.0f} %"
