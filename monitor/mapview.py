"""One map on the detector's pixels: colours with a bar, grey for NaN, outlines, a reading."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtWidgets import QGraphicsRectItem

from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.levels import balanced_levels, robust_levels, settled, thinned
from hexlive.monitor.numbers import MANY

BAR_PX: Final = 14
BAR_AXIS_PX: Final = 64
FINEST_LEVEL: Final = 1e-9
TICKS: Final = 5
TICK_STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DIVERGING: Final = "CET-CBD1"  # blue to yellow through grey: safe for the colour-blind
Reading = Callable[[int, int], str]


class MapView:
    """An image of ``(rows, columns)`` with row 0 at the top.

    Dragging the ends of the colour bar sets the levels of this map; they stay until the lock of
    all maps is taken off.

    Parameters
    ----------
    reading
        Says what there is at a row and column, for the pixel under the mouse.
    column
        Of the card, where it has several maps.
    """

    def __init__(
        self,
        card: Card,
        colours: str,
        label: str,
        axes: bool = True,
        reading: Reading | None = None,
        column: int = 0,
    ) -> None:
        names = ("column (pixel)", "row (pixel)") if axes else ("", "")
        self.plot = card.plot(0, column, *names)
        self.plot.showGrid(x=False, y=False)
        self.plot.invertY(True)
        self.plot.setAspectLocked(True)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setStyle(hideOverlappingLabels=False)  # the first and the last
            self.plot.getAxis(side).setTicks([[]])
        self._card, self._colours, self._used = card, colours, colours
        self._void = QGraphicsRectItem()
        self._void.setBrush(pg.mkBrush(card.theme.void))
        self._void.setPen(pg.mkPen(None))
        self._image = pg.ImageItem(axisOrder="row-major")
        self._outline = pg.PlotCurveItem(pen=pg.mkPen(card.theme.mask, width=1))
        self.plot.addItem(self._void, ignoreBounds=True)
        self.plot.addItem(self._image)
        self.plot.addItem(self._outline, ignoreBounds=True)
        self._label, self._bar = label, self._colour_bar(label)
        self._levels: tuple[float, float] | None = None
        self._held = False
        self._shape: tuple[int, ...] = ()
        self._grain: tuple[int, ...] = ()
        self._masked: NDArray[np.bool_] | None = None
        self._reading = reading
        if reading is not None:
            card.graphics.scene().sigMouseMoved.connect(self._moved)

    def _colour_bar(self, label: str) -> Any:
        bar = pg.ColorBarItem(
            colorMap=pg.colormap.get(self._colours),
            width=BAR_PX,
            colorMapMenu=False,
            rounding=FINEST_LEVEL,
        )
        self._card.style_axis(bar.getAxis("right"), label)
        bar.getAxis("right").setWidth(BAR_AXIS_PX)
        _shorten_ticks(bar.getAxis("right"))
        bar.setImageItem(self._image, insert_in=self.plot)
        bar.getAxis("right").setStyle(showValues=False)
        bar.sigLevelsChangeFinished.connect(self._hold)
        return bar

    def draw(
        self,
        values: NDArray[Any],
        context: Context,
        weights: NDArray[Any] | None = None,
        centre: float | None = None,
        area: tuple[int, ...] | None = None,
        levels: tuple[float, float] | None = None,
    ) -> None:
        """Show a map.

        Parameters
        ----------
        weights
            Pixels of little weight have little say in the range of colours.
        centre
            Of diverging colours; None: the map's own colours.
        area
            Rows and columns that the image covers, where it is coarser than the detector.
        levels
            Of the colours, unless the user holds others; None: those that the values ask for.
        """
        self._bar.getAxis("right").setStyle(showValues=bool(np.isfinite(values).any()))
        if values.size == 0:
            self._image.clear()
            return
        self._use(self._colours if centre is None else DIVERGING)
        rows, columns = area or values.shape
        place, seen = QRectF(0, 0, columns, rows), thinned(values)
        levels = self._chosen(seen, context, weights, centre, levels)
        self._image.setImage(seen.astype(np.float32), autoLevels=False, levels=levels)
        if levels != self._bar.levels():
            self._bar.setLevels(levels)
        if self._grain != (*seen.shape, rows, columns):
            self._grain = (*seen.shape, rows, columns)
            self._image.setRect(place)
        if (rows, columns) != self._shape:
            self._shape = (rows, columns)
            self._void.setRect(place)
            self.plot.setRange(place, padding=0)
            self.plot.getAxis("left").setTicks([_ticks(rows)])
            self.plot.getAxis("bottom").setTicks([_ticks(columns)])

    def outline(self, masked: NDArray[np.bool_] | None) -> None:
        """Draw the border of these pixels; None: of none."""
        if masked is None or not masked.any():
            self._masked = None
            self._outline.clear()
        elif self._masked is None or not np.array_equal(masked, self._masked):
            self._masked = masked
            self._outline.setData(*border(masked), connect="pairs")

    def label(self, text: str) -> None:
        """Say what the colours are of."""
        if text != self._label:
            self._label = text
            self._card.style_axis(self._bar.getAxis("right"), text)

    def _use(self, colours: str) -> None:
        if colours != self._used:
            self._used = colours
            self._bar.setColorMap(pg.colormap.get(colours))
            self._levels, self._held = None, False

    def _chosen(
        self,
        seen: NDArray[Any],
        context: Context,
        weights: NDArray[Any] | None,
        centre: float | None,
        levels: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Levels: those held while the lock is on, else what the values ask for."""
        if self._levels is not None and (context.locked or self._held):
            return self._levels
        if levels is None:
            levels = robust_levels(seen, None if weights is None else thinned(weights))
        wanted = levels if centre is None else balanced_levels(levels, centre)
        self._levels = settled(self._levels, wanted)
        return self._levels

    def _hold(self, bar: Any) -> None:
        """The user has set the levels of this map."""
        self._levels, self._held = bar.levels(), True

    def release(self) -> None:
        """Let the levels follow the values again."""
        self._held = False

    def _moved(self, place: QPointF) -> None:
        if self._reading is None or not self._shape:
            return
        inside = self.plot.getViewBox().sceneBoundingRect().contains(place)
        point = self.plot.getViewBox().mapSceneToView(place)
        column, row = int(np.floor(point.x())), int(np.floor(point.y()))
        on_map = inside and 0 <= row < self._shape[0] and 0 <= column < self._shape[1]
        self._card.point_out(self._reading(row, column) if on_map else "")


def _shorten_ticks(axis: Any) -> None:
    """Write thousands as k from 10,000 on: a number that does not fit beside a bar is left out."""
    usual = axis.tickStrings

    def strings(values: list[float], scale: float, spacing: float) -> list[str]:
        if max(map(abs, values), default=0.0) * scale < MANY:
            return list(usual(values, scale, spacing))
        return [f"{value * scale / 1000:.15g}k" for value in values]

    axis.tickStrings = strings  # the bar makes its axis itself


def _ticks(count: int) -> list[tuple[int, str]]:
    """A few round pixel numbers; none beyond the edge, where the plot is wider than the map."""
    step = max(1, round(count / TICKS))
    step = next((n for n in TICK_STEPS if n >= step), step)
    return [(place, f"{place}") for place in range(0, count + 1, step)]


def border(masked: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges between masked pixels and others, as pairs of points: x and y."""
    padded = np.pad(masked, 1)
    down, across = (
        np.argwhere(padded[1:] != padded[:-1]),
        np.argwhere(padded[:, 1:] != padded[:, :-1]),
    )
    x = np.concatenate([down[:, [1, 1]] + [-1, 0], across[:, [1, 1]]]).ravel()
    y = np.concatenate([down[:, [0, 0]], across[:, [0, 0]] + [-1, 0]]).ravel()
    return x.astype(np.float64), y.astype(np.float64)
