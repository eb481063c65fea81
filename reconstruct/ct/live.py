"""One slice that grows while its scan runs, so that it is there when the scan ends.

Filtered back-projection is a sum over projections. Only their angular weights depend on each other,
and only on the nearest: a slice takes each batch when it comes, and what later changes a weight is
added as a difference. At the end the slice is that of all projections at once.
"""

from math import pi
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from hexlive.reconstruct.ct.axis_methods import MAX_ANGLES, mirror_centre
from hexlive.reconstruct.ct.centre import SMOOTHING_PX
from hexlive.reconstruct.ct.engines import Engine, pick_engine
from hexlive.reconstruct.ct.geometry import Geometry, angular_weights
from hexlive.reconstruct.ct.memory import chunk_rows
from hexlive.reconstruct.ct.normalise import normalise
from hexlive.reconstruct.ct.scan import are_radians, has_contrast
from hexlive.reconstruct.ct.tomography import TomographySettings, scan_geometry

MIN_PROJECTIONS: Final = 3  # fewer have no typical step
WEIGHT_TOLERANCE: Final = 1e-6  # of the largest weight: smaller changes are not worth a transform
WARM_UP_ANGLES: Final = 3
MOST_ANGLES: Final = 4  # per column: a sender may announce any number, and engines are timed on it
OPPOSITE_STEPS: Final = 4  # projections on either side of a half turn that tell the axis


class LiveSlice:
    """The slice of one detector row, from images that come in any number and order.

    Parameters
    ----------
    settings
        Engine and zinger filter. Rings are left to the volume, as they take the whole scan.
    columns
        Of the detector.
    row
        Which row of the images that are given here, some neighbours for the zinger filter.
    centre_px
        Column of the axis; None: found by `finish`, and no slice before.
    n_expected
        Projections of the whole scan, for the choice of the engine.
    """

    def __init__(
        self,
        settings: TomographySettings,
        columns: int,
        row: int,
        centre_px: float | None,
        n_expected: int = MAX_ANGLES,
    ) -> None:
        self._settings, self._row, self._columns = settings, row, columns
        self._engine = _ready_engine(settings, columns, n_expected)
        self.centre_px = centre_px
        self._flats: list[NDArray[Any]] = []
        self._darks: list[NDArray[Any]] = []
        self._counts: list[NDArray[Any]] = []
        self._angles_deg = np.empty(0)
        self._lines = np.empty((0, columns), np.float32)
        self._applied_rad = np.empty(0)
        self._references = (0, 0)  # flats and darks that the line integrals rest on
        self._image: NDArray[np.float32] | None = None
        self._extended_field = False

    def add_references(self, flats: NDArray[Any], darks: NDArray[Any]) -> None:
        """Take flats and darks, ``(images, rows, columns)`` each; late ones count in `finish`."""
        self._flats += [flats] if len(flats) else []
        self._darks += [darks] if len(darks) else []

    def add(self, images: NDArray[Any], angles_deg: NDArray[np.float64]) -> None:
        """Take projections, ``(images, rows, columns)``; blank ones are left out."""
        good = np.array([has_contrast(image) for image in images], bool)
        if good.any():
            self._counts.append(images[good])
            self._angles_deg = np.r_[self._angles_deg, angles_deg[good]]

    def update(self) -> NDArray[np.float32] | None:
        """The slice as far as it is known, ``(y, x)``; None before it can be."""
        if not self._flats or len(self._angles_deg) < MIN_PROJECTIONS:
            return None
        self._normalise()
        if self.centre_px is None:
            return None
        self._apply(growing_weights)
        return self._image

    def finish(self) -> NDArray[np.float32] | None:
        """The slice of all projections with all flats and darks; None where there is no axis."""
        if len(self._angles_deg) < MIN_PROJECTIONS:
            return None
        if self._references != (len(self._flats), len(self._darks)):
            self._lines, self._image = self._lines[:0], None
        if are_radians(self._angles_deg):
            self._angles_deg, self._image = np.rad2deg(self._angles_deg), None
        self._normalise()
        if self.centre_px is None:
            self.centre_px = self._find_centre()
        if self.centre_px is not None:
            self._apply(angular_weights)
        return self._image

    def _normalise(self) -> None:
        """Bring the line integrals up to date with the images."""
        n_old = len(self._lines)
        if n_old == 0:
            self._references = len(self._flats), len(self._darks)
        flats, darks = (
            np.concatenate(images[:n]) if n else None
            for images, n in zip((self._flats, self._darks), self._references, strict=True)
        )
        counts = _from(self._counts, n_old)
        if len(counts):
            lines = normalise(counts, flats, darks, self._settings.zinger_ratio)[:, self._row]
            self._lines = np.concatenate([self._lines, lines])

    def _apply(self, weighting: Any) -> None:
        """Add what differs from the weights that the projections have in the slice so far."""
        assert self.centre_px is not None
        geometry = scan_geometry(self._angles_deg, self.centre_px, self._columns)
        if self._image is None or geometry.extended_field != self._extended_field:
            self._image = np.zeros((geometry.size, geometry.size), np.float32)
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
        self._image = self._image + Engine(self._engine, part)(self._lines[None, differ])[0]
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
        lines = gaussian_filter1d(self._lines[None, first[some]], SMOOTHING_PX, axis=-1)
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


def _ready_engine(settings: TomographySettings, columns: int, n_angles: int) -> str:
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


def _from(batches: list[NDArray[Any]], first: int) -> NDArray[Any]:
    """The images of some batches from a number on."""
    kept = []
    for batch in batches:
        if first < len(batch):
            kept.append(batch[first:])
        first = max(0, first - len(batch))
    return np.concatenate(kept) if kept else batches[0][:0]
