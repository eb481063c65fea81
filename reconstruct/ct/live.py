"""Slices that grow while their scan runs, so that they are there when the scan ends.

Filtered back-projection is a sum over projections. Only their angular weights depend on each other,
and only on the nearest: slices take each batch when it comes, and what later changes a weight is
added as a difference. At the end the slices are those of all projections at once.
"""

from math import pi
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from hexlive.reconstruct.ct.axis_methods import MAX_ANGLES, mirror_centre
from hexlive.reconstruct.ct.centre import SMOOTHING_PX
from hexlive.reconstruct.ct.choosing import GPU_ENGINES
from hexlive.reconstruct.ct.engines import Engine, pick_engine
from hexlive.reconstruct.ct.geometry import Geometry, angular_weights
from hexlive.reconstruct.ct.memory import chunk_rows
from hexlive.reconstruct.ct.normalise import FlatField, air_level
from hexlive.reconstruct.ct.scan import Taken, are_radians, has_contrast
from hexlive.reconstruct.ct.tomography import TomographySettings, scan_geometry
from hexlive.reconstruct.optional import gpu_cupy

MIN_PROJECTIONS: Final = 3  # fewer have no typical step
WEIGHT_TOLERANCE: Final = 1e-6  # of the largest weight: smaller changes are not worth a transform
WARM_UP_ANGLES: Final = 3
MOST_ANGLES: Final = 4  # per column: a sender may announce any number, and engines are timed on it
MOST_ROWS: Final = 32  # line integrals are made of so many at once
OPPOSITE_STEPS: Final = 4  # projections on either side of a half turn that tell the axis


class LiveSlices:
    """Slices of some detector rows, from images that come in any number and order.

    Counts and slices are where the engine has its arrays, on a GPU with an engine for GPUs.

    Parameters
    ----------
    settings
        Zinger filter. Rings are left to the volume, as they take the whole scan.
    engine
        Not "auto"; see `ready_engine`.
    columns
        Of the detector.
    rows
        Which rows of the images that are given here; others beside them serve the zinger filter.
    centre_px
        Column of the axis; None: found by `finish`, and no slices before.
    room
        Projections for which there is room at once.
    """

    def __init__(
        self,
        settings: TomographySettings,
        engine: str,
        columns: int,
        rows: slice,
        centre_px: float | None,
        room: int = MAX_ANGLES,
    ) -> None:
        self._xp: ModuleType = gpu_cupy("A live volume") if engine in GPU_ENGINES else np
        self._settings, self._engine = settings, engine
        self._columns, self._rows = columns, rows
        self.centre_px = centre_px
        self._flats: list[NDArray[Any]] = []
        self._flats_taken: list[NDArray[np.intp]] = []
        self._darks: list[NDArray[Any]] = []
        self._room, self._n = min(room, MOST_ANGLES * columns), 0
        self._counts = self._xp.empty((0, 0, 0), np.uint16)
        self._angles_deg, self._taken = np.empty(0), np.empty(0, np.intp)
        self._applied_rad = np.empty(0)
        self._flat_field: FlatField | None = None
        self._references = (0, 0)  # batches of flats and darks that it rests on
        self._slices: Any = None
        self._extended_field = False

    def add_references(
        self, flats: NDArray[Any], darks: NDArray[Any], flats_taken: NDArray[np.intp]
    ) -> None:
        """Take flats and darks, ``(images, rows, columns)`` each; late ones count in `finish`.

        Parameters
        ----------
        flats_taken
            ``(flats,)``: their numbers among all images.
        """
        if len(flats):
            self._flats.append(flats)
            self._flats_taken.append(flats_taken)
        self._darks += [darks] if len(darks) else []

    def add(
        self,
        images: NDArray[np.uint16],
        angles_deg: NDArray[np.float64],
        taken: NDArray[np.intp],
    ) -> None:
        """Take projections, ``(images, rows, columns)``; blank ones are left out.

        Parameters
        ----------
        taken
            ``(images,)``: their numbers among all images.
        """
        good = np.array([has_contrast(image) for image in images], bool)
        if not good.any():
            return
        end = self._n + int(np.count_nonzero(good))
        if end > len(self._counts):
            more = self._xp.empty((max(self._room, 2 * end), *images.shape[1:]), np.uint16)
            if self._n:
                more[: self._n] = self._counts[: self._n]
            self._counts = more
        self._counts[self._n : end] = self._xp.asarray(images[good])
        self._n = end
        self._angles_deg = np.r_[self._angles_deg, angles_deg[good]]
        self._taken = np.r_[self._taken, taken[good]]

    def update(self) -> Any:
        """The slices as far as they are known, ``(rows, y, x)``; None before they can be.

        They grow on: copy what is to stay.
        """
        if not self._flats or self._n < MIN_PROJECTIONS or self.centre_px is None:
            return None
        if self._flat_field is None:
            self._normalise()
        self._apply(growing_weights)
        return self._slices

    def finish(self) -> Any:
        """The slices of all projections with all flats and darks; None where there is no axis."""
        if self._n < MIN_PROJECTIONS:
            return None
        if self._flat_field is None or self._references != (len(self._flats), len(self._darks)):
            self._normalise()
        if are_radians(self._angles_deg):
            self._angles_deg, self._slices = np.rad2deg(self._angles_deg), None
        if self.centre_px is None:
            self.centre_px = self._find_centre()
        if self.centre_px is not None:
            self._apply(angular_weights)
        return self._slices

    def on_host(self, array: Any) -> NDArray[Any]:
        """A copy in the memory of the host."""
        return np.array(array) if self._xp is np else np.asarray(self._xp.asnumpy(array))

    def _normalise(self) -> None:
        """Rest the line integrals on the flats and darks that are here, and begin anew."""
        flats, darks = (np.concatenate(p) if p else None for p in (self._flats, self._darks))
        taken, air = None, None
        if flats is None:
            row = slice(self._rows.start, self._rows.start + 1)
            counts = self.on_host(self._counts[: self._n, row])
            air = air_level(counts, None if darks is None else darks[:, row])
        else:
            taken = Taken(self._taken, np.concatenate(self._flats_taken))
        self._flat_field = FlatField(flats, darks, air, taken, self._xp)
        self._references, self._slices = (len(self._flats), len(self._darks)), None

    def _sinogram(self, where: NDArray[np.intp], rows: slice) -> Any:
        """Line integrals of some projections and slices, ``(rows, angles, columns) float32``."""
        assert self._flat_field is not None
        first, end = self._rows.start + rows.start, self._rows.start + rows.stop
        beside = int(self._settings.zinger_ratio is not None)
        wide = slice(max(first - beside, 0), end + beside)
        lines = self._flat_field.line_integrals(
            self._counts[self._xp.asarray(where), wide],
            self._settings.zinger_ratio,
            self._taken[where],
            wide,
        )
        inner = lines[:, first - wide.start : end - wide.start]
        return self._xp.ascontiguousarray(inner.transpose(1, 0, 2))

    def _apply(self, weighting: Any) -> None:
        """Add what differs from the weights that the projections have in the slices so far."""
        assert self.centre_px is not None
        geometry = scan_geometry(self._angles_deg, self.centre_px, self._columns)
        n_rows = self._rows.stop - self._rows.start
        if self._slices is None or geometry.extended_field != self._extended_field:
            self._slices = self._xp.zeros((n_rows, geometry.size, geometry.size), np.float32)
            self._applied_rad = np.empty(0)
            self._extended_field = geometry.extended_field
        wanted_rad = weighting(geometry.angles_rad, geometry.period_rad)
        before_rad = np.zeros_like(wanted_rad)
        before_rad[: len(self._applied_rad)] = self._applied_rad
        change_rad = wanted_rad - before_rad
        differ = np.abs(change_rad) > WEIGHT_TOLERANCE * wanted_rad.max()
        if not differ.any():
            return
        differ[:2] |= np.count_nonzero(differ) < 2  # a geometry has two angles or more
        part = Geometry(
            angles_rad=geometry.angles_rad[differ],
            centre_px=geometry.centre_px,
            columns=geometry.columns,
            extended_field=geometry.extended_field,
            weights_rad=change_rad[differ],
        )
        engine, where = Engine(self._engine, part), np.flatnonzero(differ)
        at_once = min(engine.rows_at_once, MOST_ROWS)
        for first in range(0, n_rows, at_once):
            rows = slice(first, min(first + at_once, n_rows))
            engine.add(self._sinogram(where, rows), self._slices[rows])
        before_rad[differ] = wanted_rad[differ]
        self._applied_rad = before_rad

    def _find_centre(self) -> float | None:
        """The axis from projections half a turn apart; None where there are none."""
        angles_rad, first = np.unique(np.deg2rad(self._angles_deg), return_index=True)
        reach_rad = OPPOSITE_STEPS * float(np.median(np.diff(angles_rad)))
        if angles_rad[-1] - angles_rad[0] < pi - reach_rad:
            return None
        early = angles_rad <= angles_rad[-1] - pi + reach_rad
        late = angles_rad >= angles_rad[0] + pi - reach_rad
        some = np.flatnonzero(early | late)
        some = some[:: -(-len(some) // MAX_ANGLES)]
        lines = self.on_host(self._sinogram(first[some], slice(0, 1)))
        lines = gaussian_filter1d(lines, SMOOTHING_PX, axis=-1)
        found_px = mirror_centre(lines, angles_rad[some])
        return found_px if 0 < found_px < self._columns - 1 else None


def growing_weights(angles_rad: NDArray[np.float64], period_rad: float) -> NDArray[np.float64]:
    """Weights of a scan that goes on: its widest gap, still to be filled, counts as one step."""
    around = np.sort(angles_rad % period_rad)
    gaps = np.diff(around, append=around[0] + period_rad)
    widest = int(np.argmax(gaps))
    weights = angular_weights(angles_rad, period_rad)
    order = np.argsort(angles_rad % period_rad)
    excess_rad = gaps[widest] - np.median(gaps)
    weights[order[[widest, (widest + 1) % len(order)]]] -= excess_rad / 2
    return weights


def ready_engine(settings: TomographySettings, columns: int, n_angles: int) -> str:
    """Choose the engine for slices of this width, and import and compile what it needs.

    Raises
    ------
    ValueError
        The memory of the settings is too small for one slice.
    """
    n_angles = min(n_angles, MOST_ANGLES * columns)
    few, all_of_them = (
        Geometry(
            angles_rad=np.linspace(0, pi, n, endpoint=False), centre_px=columns / 2, columns=columns
        )
        for n in (WARM_UP_ANGLES, max(n_angles, WARM_UP_ANGLES))
    )
    chunk_rows(all_of_them, 0, 0, settings.memory_mb)
    engine = pick_engine(settings.engine, all_of_them).name
    Engine(engine, few)(np.zeros((1, WARM_UP_ANGLES, columns), np.float32))
    return engine
