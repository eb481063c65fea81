"""Fig. 2F: EMF of each component while the cell cycles."""

from html import escape
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtWidgets import QComboBox

from hexlive.monitor.card import CURVE_WIDTH_PX, Card, font
from hexlive.monitor.context import Context
from hexlive.monitor.cycling import time_unit
from hexlive.monitor.levels import noisy, settled, trusted_range, widened
from hexlive.monitor.marks import MarkLines
from hexlive.monitor.numbers import NONE, rounded
from hexlive.monitor.parts import REGION
from hexlive.monitor.theme import LABEL_PX
from hexlive.monitor.words import SEPARATOR
from hexlive.stream.model import Snapshot
from hexlive.stream.views import MarkView, TrendRow

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


class _Course:
    """One component: its line, its points, and error bars, faint where they are much larger."""

    def __init__(self, plot: Any, name: str, colour: str) -> None:
        bright, faint = pg.mkPen(colour, width=CURVE_WIDTH_PX), pg.mkPen(colour + FAINT)
        self._bars = pg.ErrorBarItem(pen=bright), pg.ErrorBarItem(pen=faint)
        for bars in self._bars:
            plot.addItem(bars)
        self._line = plot.plot(pen=bright)
        symbols = {"symbol": "o", "symbolSize": SYMBOL_PX, "symbolBrush": colour}
        self._points = plot.plot(pen=None, name=escape(name), **symbols)

    def draw(
        self,
        at: FloatArray,
        emf: FloatArray,
        sigma: FloatArray,
        faint: NDArray[np.bool_],
        beam: float,
    ) -> None:
        """Points much noisier than the rest are not joined."""
        for chosen, bars in zip((~faint, faint), self._bars, strict=True):
            height = 2 * np.nan_to_num(sigma[chosen])
            bars.setData(x=at[chosen], y=emf[chosen], height=height, beam=beam)
        self._line.setData(at[~faint], emf[~faint])
        self._points.setData(at, emf)


class TrendPanel:
    """EMF of each component against the state of the cell, its charge, or time."""

    def __init__(self, context: Context) -> None:
        theme = context.theme
        hint = (
            "EMF of each component with one standard uncertainty, from L and H of all pixels and "
            "exposures of a state. Points much noisier than the rest are faint and not joined."
        )
        self.widget = Card(theme, "EMF of each component", hint)
        self._plot = self.widget.plot(0, 0, "state (state of charge)", "EMF (valence / core)")
        self.widget.legend(self._plot, 10, columns=4)
        self._along = QComboBox()
        for name in ALONG:
            self._along.addItem(f"against {name}", name)
        self._along.activated.connect(self._again)
        self.widget.control(self._along)
        self._drawn: tuple[str, list[TrendRow], list[MarkView]] | None = None
        self._courses: dict[str, _Course] = {}
        self._numbers: list[Any] = []
        self._ticks: list[tuple[int, str]] = []
        self._range: tuple[float, float] | None = None
        self._outside = ""
        self._marks = MarkLines(self._plot, theme)

    def show(self, snapshot: Snapshot) -> None:
        """Draw one curve per component; only when a row is new."""
        self._redraw(snapshot.trend, snapshot.marks)
        self.widget.say(self._outside if snapshot.trend else "no states yet", to_target(snapshot))

    def _again(self) -> None:
        if self._drawn is not None:
            self._redraw(*self._drawn[1:])

    def _redraw(self, trend: list[TrendRow], marks: list[MarkView]) -> None:
        along = str(self._along.currentData())
        if self._drawn == (along, trend, marks):
            return
        self._drawn = along, trend, marks
        self._marks.clear()
        for text in self._numbers:
            self._plot.removeItem(text)
        self._numbers.clear()
        rows = _placed(trend, along)
        names = np.array([row.component for row in rows], dtype=object)
        state, emf, sigma = _columns(rows)
        at, label = _abscissae(rows, along)
        span = float(np.ptp(at)) if at.size else 1.0
        faint = noisy(sigma)
        shown = list(dict.fromkeys(names))[:MOST_COMPONENTS]
        self._make(shown)
        for place, name in enumerate(shown):
            mine = names == name
            dodged = at[mine] + (DODGE * (place - (len(shown) - 1) / 2) if along == "state" else 0)
            beam = BEAM_FRACTION * (span or 1.0)
            self._courses[name].draw(dodged, emf[mine], sigma[mine], faint[mine], beam)
        low, high = self._scale(emf, sigma)
        if along == "state":
            self._tick({row.state: row.soc for row in rows}, state)
        else:
            self._number(at, state, high - 0.1 * (high - low), label)
        if along == "time":
            self._marks.draw(_marked(rows, marks))
        self.widget.keep(state=state, emf=emf, emf_sigma=sigma, component=names)

    def _make(self, names: list[str]) -> None:
        """Curves are made again only where there are others than before."""
        if names == list(self._courses):
            return
        self._plot.clear()
        theme = self.widget.theme
        self._courses = {
            name: _Course(self._plot, name, theme.component(name, place))
            for place, name in enumerate(names)
        }

    def _scale(self, emf: FloatArray, sigma: FloatArray) -> tuple[float, float]:
        """Axis for the points worth seeing, and word of the others."""
        low, high = trusted_range(emf, sigma)
        low, high = self._range = settled(self._range, (low, high + LEGEND_ROOM * (high - low)))
        self._plot.setYRange(low, high, padding=0)
        outside = int(np.sum((emf < low) | (emf > high)))
        self._outside = f"{outside} noisy point{'s' * (outside > 1)} off scale" if outside else ""
        self.widget.say(self._outside)
        return low, high

    def _tick(self, charge: dict[int, float | None], state: FloatArray) -> None:
        """A number for each state, and its state of charge below it."""
        states = range(1, max(FEWEST_STATES, *charge, 1) + 1)
        chosen = states[:: 1 + len(states) // MOST_TICKS]
        ticks = [(n, _label(n, charge.get(n))) for n in chosen]
        if ticks != self._ticks:
            self._ticks = ticks
            axis = self._plot.getAxis("bottom")
            axis.setHeight(TICK_ROWS_PX)
            axis.setTicks([ticks])
            axis.setLabel("state (state of charge)")
        self._plot.setXRange(0.5, state.max(initial=FEWEST_STATES) + 0.5, padding=0)

    def _number(self, at: FloatArray, state: FloatArray, level: float, label: str) -> None:
        """Plain ticks, and the number of each state above its points."""
        self._ticks = []
        axis = self._plot.getAxis("bottom")
        axis.setHeight(ONE_ROW_PX)
        axis.setTicks(None)
        axis.setLabel(label)
        for number in np.unique(state)[:MOST_TICKS]:
            text = pg.TextItem(f"{number:.0f}", color=self.widget.theme.muted, anchor=(0.5, 0.5))
            text.setFont(font(LABEL_PX, bold=True))
            text.setPos(float(at[state == number].mean()), level)
            self._plot.addItem(text, ignoreBounds=True)
            self._numbers.append(text)
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


def _marked(rows: list[TrendRow], marks: list[MarkView]) -> list[tuple[float, str]]:
    """Marks on the axis of time that `_abscissae` gives."""
    times_s = [row.time_s for row in rows if row.time_s is not None]
    if not times_s:
        return []
    _, unit_s = time_unit(max(times_s) - min(times_s))
    return [((mark.time_s - min(times_s)) / unit_s, mark.label) for mark in marks]


def to_target(snapshot: Snapshot) -> str:
    """Live time that each component of the present state still takes."""
    if snapshot.target is None:
        return ""
    parts = [
        f"{part.name} {_needed(part.time_to_target_s)}"
        for part in snapshot.parts
        if not part.name.startswith(REGION)
    ]
    percent = PERCENT * snapshot.target.relative_sigma
    return f"until σ(EMF)/EMF is {percent:g} %:  {SEPARATOR.join(parts)}" if parts else ""


def _needed(seconds: float | None) -> str:
    return NONE if seconds is None else "reached" if seconds <= 0 else rounded(seconds)


def _columns(rows: list[TrendRow]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """State, EMF and sigma as arrays; None becomes NaN."""
    table = np.array([(row.state, row.emf, row.emf_sigma) for row in rows], dtype=np.float64)
    state, emf, sigma = table.reshape(-1, 3).T
    return state, emf, sigma


def _label(state: int, soc: float | None) -> str:
    return f"{state}" if soc is None else f"{state}\n{100 * soc:.0f} %"
