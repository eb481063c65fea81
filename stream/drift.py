"""The drift monitor: where fluorescence lines lie in the course of a run."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.drift import DriftSettings, GainChange, LineCentres, line_centres
from hexlive.reconstruct.lines import find_line
from hexlive.stream.model import Frames, Message, Segment, Start

PERCENT: Final = 100.0
# A new gain means new weights for every pixel, 0.3 s of work; smaller steps move no EMF visibly.
SMALLEST_STEP: Final = 1e-4
POINT_COLUMNS: Final = ("time_s", "segment", "first_frame", "n_frames", "applied")
ROW_UNITS: Final = {"time": "s", "centre_kev": "keV", "centre_sigma_kev": "keV"}

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class DriftPoint:
    """One interval; spectra are the sums over all pixels, then over four quadrants.

    Attributes
    ----------
    time_s
        Time stamp of the middle of the interval.
    centres
        ``(lines, 5)``.
    change
        ``(5,)``: relative to the first point.
    applied
        By which the energy axis of the analysis was divided after this point.
    """

    time_s: float
    segment: int
    first_frame: int
    n_frames: int
    centres: LineCentres
    change: GainChange
    applied: float = 1.0


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """All points so far.

    Attributes
    ----------
    alarm
        What is wrong with the newest point, one sentence; empty where nothing is.
    gain
        By which the energy axis of the analysis is divided at present; 1 without correction.
    """

    settings: DriftSettings
    points: tuple[DriftPoint, ...]
    alarm: str
    gain: float

    def history(self) -> list[tuple[float, float | None, float | None]]:
        """Time (s), change of the gain (%), standard error (%); None where a line was not seen."""
        rows = ((p.time_s, p.change.relative[0], p.change.sigma[0]) for p in self.points)
        return [(time_s, _percent(change), _percent(sigma)) for time_s, change, sigma in rows]


class DriftReducer:
    """Follows the lines, one point per interval and exposure.

    Goes before the reducer that counts: at the end of an exposure it still finds its counts.

    Parameters
    ----------
    edges_kev
        ``(bins + 1,)``: of the spectra.
    spectra
        Gives the counts of the exposure so far, ``(rows, columns, bins)``.
    valid
        ``(rows, columns) bool``: pixels to sum.
    on_gain
        Told the gain to divide by, where ``settings.correct`` is set.
    """

    busy = False

    def __init__(
        self,
        settings: DriftSettings,
        edges_kev: FloatArray,
        spectra: Callable[[], NDArray[np.uint32]],
        valid: NDArray[np.bool_],
        on_gain: Callable[[float], None] = lambda gain: None,
    ) -> None:
        self._settings, self._spectra, self._on_gain = settings, spectra, on_gain
        self._lines = [find_line(name) for name in settings.lines]
        self._edges_kev = edges_kev
        self._areas = list(_areas(valid))
        self._frame_rate_hz = np.inf  # until the series says it
        self._points: list[DriftPoint] = []
        self._alarm, self._gain, self._segment = "", 1.0, 0
        self._n_frames = self._first_frame = 0
        self._exposed: Segment | None = None
        self._start_exposure()

    def add(self, message: Message) -> None:
        """Count frames; at the end of an interval or exposure, fit the lines."""
        match message:
            case Frames():
                if self._n_frames >= self._settings.interval_s * self._frame_rate_hz:
                    self._close()
                if not self._n_frames:
                    self._first_frame, self._first_s = message.first_frame, message.timestamp_s
                self._n_frames += len(message.frames)
                self._last_s = message.timestamp_s + len(message.frames) / self._frame_rate_hz
            case Segment() if message.names(self._exposed):
                self._exposed = message
            case Segment(number=number):
                self._close()
                self._exposed, self._segment = message, number
                self._start_exposure()
            case Start(frame_rate_hz=rate_hz):
                self._frame_rate_hz = rate_hz

    def snapshot(self) -> DriftResult:
        """All points so far."""
        return DriftResult(
            settings=self._settings,
            points=tuple(self._points),
            alarm=self._alarm,
            gain=self._gain,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint: the columns of all points, and the interval that has begun."""
        points = self._points
        columns = {name: [getattr(point, name) for point in points] for name in POINT_COLUMNS}
        centres = {
            name: [getattr(point.centres, name) for point in points]
            for name in ("centre_kev", "sigma_kev")
        }
        return {name: np.array(values) for name, values in (columns | centres).items()} | {
            "before": self._before.copy(),
            "interval": np.array([self._segment, self._first_frame, self._n_frames]),
            "interval_s": np.array([self._first_s, self._last_s]),
            "gain": np.array(self._gain),
        }

    def restore(
        self, state: Mapping[str, NDArray[Any]], exposed: Segment, frame_rate_hz: float
    ) -> None:
        """Go on from a checkpoint."""
        columns = [state[name].tolist() for name in POINT_COLUMNS]
        centres = [
            LineCentres(centre_kev=centre_kev, sigma_kev=sigma_kev)
            for centre_kev, sigma_kev in zip(state["centre_kev"], state["sigma_kev"], strict=True)
        ]
        self._points = [
            DriftPoint(
                **dict(zip(POINT_COLUMNS, values, strict=True)),
                centres=centre,
                change=centre.gain_change(centres[0]),
            )
            for *values, centre in zip(*columns, centres, strict=True)
        ]
        self._before, self._exposed = state["before"], exposed
        self._frame_rate_hz = frame_rate_hz
        segment, first_frame, n_frames = state["interval"]
        self._segment, self._first_frame = int(segment), int(first_frame)
        self._n_frames = int(n_frames)
        self._first_s, self._last_s = map(float, state["interval_s"])
        self._gain = float(state["gain"])
        if self._points:
            self._judge(self._points[-1])

    def finish(self) -> None:
        """The last interval ends here."""
        self._close()

    def clear(self) -> None:
        """Nothing goes on elsewhere."""

    def _start_exposure(self) -> None:
        self._before = np.zeros((len(self._areas), self._edges_kev.size - 1), np.int64)
        self._n_frames, self._first_frame = 0, 0
        self._first_s = self._last_s = 0.0

    def _close(self) -> None:
        """Make a point of what was counted since the last one."""
        if not self._n_frames or not self._lines:
            return
        spectra = self._spectra()
        sums = np.array([spectra[area].sum(axis=0, dtype=np.int64) for area in self._areas])
        centres = line_centres(sums - self._before, self._edges_kev, self._lines)
        if self._points or np.isfinite(centres.centre_kev[:, 0]).all():
            start = self._points[0].centres if self._points else centres
            point = DriftPoint(
                time_s=(self._first_s + self._last_s) / 2,
                segment=self._segment,
                first_frame=self._first_frame,
                n_frames=self._n_frames,
                centres=centres,
                change=centres.gain_change(start),
            )
            self._judge(point)
            self._correct(point)
            self._points.append(replace(point, applied=self._gain))
        self._before, self._n_frames = sums, 0

    def _judge(self, point: DriftPoint) -> None:
        """Raise or end the alarm."""
        settings, change = self._settings, point.change
        alarmed = change.exceeds(settings.alarm_percent / PERCENT, settings.alarm_sigma)[0]
        percent, sigma = (PERCENT * values[0] for values in (change.relative, change.sigma))
        remedy = "energies are corrected" if settings.correct else "calibrate, or set drift.correct"
        words = (
            f"The gain has changed by {percent:+.2f} +- {sigma:.2f} % since the first "
            f"{settings.interval_s:g} s; {remedy}."
        )
        if alarmed and not self._alarm:
            LOG.warning(words)
        self._alarm = words if alarmed else ""

    def _correct(self, newest: DriftPoint) -> None:
        """Tell the mean gain of the present exposure, where that has moved."""
        if (
            not self._settings.correct
            or not newest.change.exceeds(0.0, self._settings.alarm_sigma)[0]
        ):
            return
        present = [*(p for p in self._points if p.segment == newest.segment), newest]
        known = [point for point in present if np.isfinite(point.change.relative[0])]
        mean = np.average(
            [point.change.relative[0] for point in known],
            weights=[point.n_frames for point in known],
        )
        if abs(1 + mean - self._gain) > SMALLEST_STEP:
            self._gain = float(1 + mean)
            self._on_gain(self._gain)


def write_drift(group: h5py.Group, result: DriftResult) -> None:
    """Write the points as a table, one column per quantity; the first spectrum is the whole."""
    points = result.points
    group.attrs.update(
        {
            "NX_class": "NXdata",
            "signal": "gain_percent",
            "axes": ["time"],
            "alarm": result.alarm,
            "alarm_percent": result.settings.alarm_percent,
            "corrected": result.settings.correct,
        }
    )
    group.create_dataset("line", data=result.settings.lines, dtype=h5py.string_dtype())
    columns = {
        "time": [point.time_s for point in points],
        "segment": [point.segment for point in points],
        "first_frame": [point.first_frame for point in points],
        "frames": [point.n_frames for point in points],
        "centre_kev": [point.centres.centre_kev[:, 0] for point in points],
        "centre_sigma_kev": [point.centres.sigma_kev[:, 0] for point in points],
        "gain_percent": [PERCENT * point.change.relative[0] for point in points],
        "gain_percent_errors": [PERCENT * point.change.sigma[0] for point in points],
        "applied_gain": [point.applied for point in points],
        "quadrant_gain_percent": [PERCENT * point.change.relative[1:] for point in points],
        "quadrant_gain_percent_errors": [PERCENT * point.change.sigma[1:] for point in points],
    }
    for name, values in columns.items():
        group[name] = np.array(values)
        if name in ROW_UNITS:
            group[name].attrs["units"] = ROW_UNITS[name]


def _percent(relative: float) -> float | None:
    return PERCENT * float(relative) if np.isfinite(relative) else None


def _areas(valid: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """All valid pixels, then those of each quadrant: top left, top right, bottom left, right."""
    yield valid
    rows, columns = valid.shape
    lower, right = np.indices(valid.shape) >= np.array([rows // 2, columns // 2])[:, None, None]
    for row_part in (~lower, lower):
        for column_part in (~right, right):
            yield valid & row_part & column_part
