"""The health of the run in its course: gain drift, rates, and the log of what was alarming."""

import time
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QListWidget

from hexlive.monitor.card import CURVE_WIDTH_PX, Card
from hexlive.monitor.context import Context
from hexlive.monitor.cycling import share_x, time_unit
from hexlive.monitor.history import Event
from hexlive.monitor.numbers import NONE, signed
from hexlive.monitor.table import words
from hexlive.stream.model import Snapshot
from hexlive.stream.views import Pair

SYMBOL_PX: Final = 6
MILLI: Final = 1e-3
AXIS_WIDTH_PX: Final = 88
MOST_LINES: Final = 8
NO_BACKLOG: Final = "no backlog: these frames do not come as they are taken"
NOTHING: Final = "Nothing so far: no alarm, no doubt, no note."


class DriftPanel:
    """Change of the gain, and where each fluorescence line lies."""

    def __init__(self, context: Context) -> None:
        hint = (
            "From the W and Pb lines of the collimators, in every spectrum. 0.1 % of gain biases "
            "EMF by 1 %. Lower plot: centre of each line minus its first, in eV."
        )
        theme = context.theme
        self.widget = Card(theme, "Gain drift", hint)
        self._gain = self.widget.plot(0, 0, "", "gain change (%)")
        self._lines = self.widget.plot(1, 0, "time (min)", "line centre change (eV)")
        self.widget.legend(self._lines, 10, columns=4)
        for plot in (self._gain, self._lines):
            plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        self._drawn: list[Pair] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw both, when there is a new point."""
        if self._drawn == snapshot.gain_percent:
            return
        self._drawn = snapshot.gain_percent
        rows = _rows(snapshot.gain_percent)
        for plot in (self._gain, self._lines):
            plot.clear()
        if not rows.size:
            self.widget.say("no points yet", "")
            return
        start_s = rows[0, 0]
        unit, unit_s = time_unit(float(np.ptp(rows[:, 0])))
        self._lines.getAxis("bottom").setLabel(f"time ({unit})")
        self._gain.addItem(pg.InfiniteLine(0.0, angle=0, pen=pg.mkPen(self.widget.theme.muted)))
        at = (rows[:, 0] - start_s) / unit_s
        share_x((self._gain, self._lines), at)
        _draw(self._gain, at, rows[:, 1:], self.widget.theme.curve)
        for place, line in enumerate(snapshot.lines[:MOST_LINES]):
            self._draw_line(line.name, _rows(line.points), start_s, unit_s, place)
        change, sigma = rows[-1, 1:]
        said = f"{signed(change, 3)} ± {sigma:.3f} %" if np.isfinite(change) else NONE
        self.widget.say(said, snapshot.gain_alarm)
        self.widget.keep(time_s=rows[:, 0], gain_percent=rows[:, 1], gain_sigma_percent=rows[:, 2])

    def _draw_line(
        self, name: str, points: NDArray[np.float64], start_s: float, unit_s: float, place: int
    ) -> None:
        known = np.isfinite(points[:, 1])
        if known.any():
            change_ev = (points[:, 1:] - [points[known][0, 1], 0.0]) / MILLI
            colours = self.widget.theme.others
            at, colour = (points[:, 0] - start_s) / unit_s, colours[place % len(colours)]
            _draw(self._lines, at, change_ev, colour, escape(name))


def _rows(points: Sequence[Pair]) -> NDArray[np.float64]:
    """Points as ``(n, 3)``; None becomes NaN."""
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _draw(
    plot: Any, at: NDArray[Any], values: NDArray[Any], colour: str, name: str | None = None
) -> None:
    """A curve with error bars."""
    known = np.isfinite(values[:, 0])
    y, sigma = values[known].T
    pen = pg.mkPen(colour, width=CURVE_WIDTH_PX)
    plot.addItem(
        pg.ErrorBarItem(x=at[known], y=y, height=2 * np.nan_to_num(sigma), pen=pg.mkPen(colour))
    )
    plot.plot(
        at[known], y, pen=pen, name=name, symbol="o", symbolSize=SYMBOL_PX, symbolBrush=colour
    )


class RatesPanel:
    """Frame rate, backlog and occupancy since this monitor is attached."""

    def __init__(self, context: Context) -> None:
        hint = "Frames per second, age of the newest frame when counted, and pixels hit per frame."
        self._context, theme = context, context.theme
        self.widget = Card(theme, "Rates", hint)
        labels = ("frames per s", "backlog (ms)", "occupancy (%)")
        self._plots = [self.widget.plot(n, 0, "", label) for n, label in enumerate(labels)]
        colours = (theme.curve, theme.core, theme.valence)
        self._curves = [
            plot.plot(pen=pg.mkPen(colour, width=CURVE_WIDTH_PX))
            for plot, colour in zip(self._plots, colours, strict=True)
        ]
        for plot in self._plots:
            plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        for plot in self._plots[:-1]:
            plot.getAxis("bottom").setStyle(showValues=False)

    def show(self, snapshot: Snapshot) -> None:
        """Draw what the history has."""
        samples = np.array(self._context.history.samples, dtype=np.float64).reshape(-1, 4)
        if not len(samples):
            self.widget.say(NONE)
            return
        unit, unit_s = time_unit(float(np.ptp(samples[:, 0])))
        ago = (samples[:, 0] - samples[-1, 0]) / unit_s
        share_x(self._plots, ago)
        self._plots[-1].getAxis("bottom").setLabel(f"time before the newest snapshot ({unit})")
        for curve, values in zip(self._curves, samples[:, 1:].T, strict=True):
            known = np.isfinite(values)
            curve.setData(ago[known], values[known])
        timed = np.isfinite(samples[:, 2]).any()
        self.widget.say(f"{samples[-1, 1]:,.0f} frames/s", "" if timed else NO_BACKLOG)
        names = ("time_s", "rate_hz", "backlog_ms", "occupancy_percent")
        self.widget.keep(**dict(zip(names, samples.T, strict=True)))


class LogPanel:
    """Alarms, targets, doubts, marks: since when, until when. What alarms now is first."""

    def __init__(self, context: Context) -> None:
        hint = "What was worth a warning while this monitor was attached, in the local time."
        self._context = context
        self.widget = Card(context.theme, "Log", hint)
        self._list = QListWidget()
        self._list.setWordWrap(True)
        self.widget.put(self._list)
        self._drawn: list[str] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Write the events, where one is new or has ended."""
        newest_first = list(reversed(self._context.history.events))
        events = sorted(newest_first, key=lambda event: not alarming(event))
        lines = [event_line(event) for event in events] or [NOTHING]
        going_on = sum(map(alarming, events))
        self.widget.say(f"{going_on} to act on" if going_on else "nothing to act on")
        if lines == self._drawn:
            return
        self._drawn = lines
        self.widget.keep(
            since_s=[event.since_s for event in events],
            until_s=[event.until_s or np.nan for event in events],
            level=words(event.level for event in events),
            text=words(event.text for event in events),
        )
        self._list.clear()
        theme = self.widget.theme
        self._list.addItems(lines)
        for row, event in enumerate(events):
            over = event.until_s not in (None, event.since_s)
            colour = theme.muted if over else theme.figures[event.level]
            self._list.item(row).setForeground(QColor(colour))


def alarming(event: Event) -> bool:
    """Whether somebody should do something about it now."""
    return event.until_s is None and event.level in ("alarm", "warning")


def event_line(event: Event) -> str:
    """One line of the log."""
    moment = event.until_s in (None, event.since_s)
    until = "" if moment else f" to {_clock(event.until_s or 0.0)}"
    return f"{_clock(event.since_s)}{until}   {event.text}"


def _clock(time_s: float) -> str:
    """Local time, with the day where it is another than today."""
    moment, now = time.localtime(time_s), time.localtime()
    return time.strftime("%H:%M:%S" if moment[:3] == now[:3] else "%d %b %H:%M:%S", moment)
