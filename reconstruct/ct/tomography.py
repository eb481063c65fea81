"""From the images of a CT scan to a volume: normalise, find the axis, remove rings, reconstruct.

Images are ``(images, rows, columns)``, counts; sinogram stacks ``(rows, angles, columns) float32``,
line integrals; volumes ``(z, y, x) float32``, attenuation per pixel length, z along the axis.

A scan is done in chunks of detector rows, so that neither it nor its volume needs to fit the
memory: see `hexlive.reconstruct.ct.memory`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.axis_methods import FULL_TURN_RAD
from hexlive.reconstruct.ct.centre import Centre, centre_warnings, find_centre
from hexlive.reconstruct.ct.engines import Engine, pick_engine
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.ct.memory import chunk_rows, sample_rows
from hexlive.reconstruct.ct.rings import WIDTH_PX, remove_rings, ring_power
from hexlive.reconstruct.ct.scan import Scan, angle_warnings
from hexlive.reconstruct.ct.sinograms import Sinograms
from hexlive.reconstruct.ct.tomography_settings import TomographySettings as TomographySettings

OFF_AXIS_PART: Final = 0.05  # of the columns, from the middle: then a full turn widens the field


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reconstruction:
    """A reconstructed volume and how it came about.

    Attributes
    ----------
    volume
        ``(z, y, x) float32``, attenuation per pixel length, the axis in the middle of y and x: an
        array, or the dataset that it was written to.
    first_row
        Detector row of ``volume[0]``.
    centre
        The rotation axis.
    engine, rings
        What was used; never "auto".
    engine_reason
        A sentence on why that engine.
    ring_score_before, ring_score_after
        See `hexlive.reconstruct.ct.rings.ring_score`.
    seconds
        By stage: "centre", "engine" (its choice and set-up), "normalise", "rings", "back-project".
    warnings
        Sentences for the user.
    pixel_um
        Side of a voxel.
    """

    volume: Any
    first_row: int
    centre: Centre
    engine: str
    engine_reason: str
    rings: str
    ring_score_before: float
    ring_score_after: float
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    pixel_um: float


class Orthoslices(NamedTuple):
    """Three slices through one point: ``xy (y, x)``, ``xz (z, x)``, ``yz (z, y)``."""

    xy: NDArray[np.float32]
    xz: NDArray[np.float32]
    yz: NDArray[np.float32]


def orthoslices(
    volume: NDArray[np.float32], position: tuple[int, int, int] | None = None
) -> Orthoslices:
    """Cut a ``(z, y, x)`` volume through a voxel (z, y, x), by default the middle; views."""
    z, y, x = position or (volume.shape[0] // 2, volume.shape[1] // 2, volume.shape[2] // 2)
    return Orthoslices(volume[z], volume[:, y], volume[:, :, x])


class ChunkedReconstruction:
    """A reconstruction that is done in chunks of detector rows.

    The axis is found and the engine opened at once; then go once through `chunks`::

        work = ChunkedReconstruction(scan, settings)
        volume = file.create_dataset("data", work.shape, "f4")
        for rows, slices in work.chunks():
            volume[rows] = slices
        result = work.result(volume)

    Parameters
    ----------
    scan
        Its images are read when they are needed, again for each chunk: an HDF5 dataset should be
        stored in chunks of few rows.
    rows
        Detector rows to reconstruct; None: all.
    previous_centre_px
        Axis of the previous scan, kept where the methods disagree.

    Attributes
    ----------
    shape
        Of the volume.
    first_row
        Detector row of its first slice.
    centre, engine, engine_reason, warnings
        As in `Reconstruction`.

    Raises
    ------
    EngineUnavailableError, ValueError
        The engine is not there; too few projections or rows are left, or too little memory.
    """

    def __init__(
        self,
        scan: Scan,
        settings: TomographySettings,
        *,
        rows: slice | None = None,
        previous_centre_px: float | None = None,
    ) -> None:
        self._settings = settings
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._rows = _some_rows(rows, scan.projections.shape[1])
        self.first_row = self._rows.start
        with _timed(self._seconds, "normalise"):
            n_angles, _, columns = scan.projections.shape
            sampled = sample_rows(n_angles, columns, settings.memory_mb)
            self._sinograms = Sinograms(scan, settings.zinger_ratio, sampled)
        scan = self._scan = self._sinograms.scan
        with _timed(self._seconds, "centre"):
            self.centre = _centre(self._sinograms, settings, previous_centre_px)
        del self._sinograms.sample
        geometry = scan_geometry(scan.angles_deg, self.centre.px, columns)
        self._rows_beside = rows_beside(settings)
        # Engines are timed and opened within the memory only where one row fits.
        chunk_rows(geometry, 0, self._rows_beside, settings.memory_mb)
        with _timed(self._seconds, "engine"):
            self.engine, self.engine_reason = pick_engine(settings.engine, geometry)
            self._engine = Engine(self.engine, geometry)
        self._chunk_rows = chunk_rows(
            geometry, self._engine.working_bytes, self._rows_beside, settings.memory_mb
        )
        self.shape = (self._rows.stop - self._rows.start, geometry.size, geometry.size)
        self.warnings = (
            *self._sinograms.notes,
            *angle_warnings(scan.angles_deg),
            *centre_warnings(self.centre),
        )
        self._ring_power = np.zeros(2)

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Slices of the volume, and where in it they belong, from the first row on.

        Slices are overwritten by those of the next chunk.
        """
        n_rows = min(self._chunk_rows, self._rows.stop - self._rows.start)
        slices = np.empty((n_rows, *self.shape[1:]), np.float32)
        for first in range(self._rows.start, self._rows.stop, self._chunk_rows):
            rows = slice(first, min(first + self._chunk_rows, self._rows.stop))
            sinogram = self._cleaned(rows)
            with _timed(self._seconds, "back-project"):
                made = self._engine(sinogram, self.centre.offsets_px(rows), slices[: len(sinogram)])
            del sinogram  # before the next one is made
            yield slice(rows.start - self.first_row, rows.stop - self.first_row), made

    def result(self, volume: Any) -> Reconstruction:
        """What came of it, with the volume, once all chunks are done."""
        before, after = np.sqrt(self._ring_power / self.shape[0])
        return Reconstruction(
            volume=volume, first_row=self.first_row, centre=self.centre,
            pixel_um=self._scan.pixel_um or self._settings.pixel_um,
            engine=self.engine, engine_reason=self.engine_reason, rings=self._settings.rings,
            ring_score_before=float(before), ring_score_after=float(after),
            seconds=dict(self._seconds), warnings=self.warnings,
        )  # fmt: skip

    def _cleaned(self, rows: slice) -> NDArray[np.float32]:
        """Sinograms of some rows, without rings."""
        beside = self._rows_beside
        wide = slice(max(rows.start - beside, 0), rows.stop + beside)
        inner = slice(rows.start - wide.start, rows.stop - wide.start)
        with _timed(self._seconds, "normalise"):
            stripy = self._sinograms.read(wide)
        with _timed(self._seconds, "rings"):
            sinogram = remove_rings(stripy, self._settings.rings, self._settings.ring_width_px)
            for i, stack in enumerate((stripy, sinogram)):
                self._ring_power[i] += ring_power(stack)[inner].sum()
        return sinogram[inner]


def reconstruct(
    scan: Scan,
    settings: TomographySettings,
    *,
    rows: slice | None = None,
    previous_centre_px: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Reconstruction:
    """Reconstruct a scan, or some of its detector rows, into one array.

    Parameters
    ----------
    rows, previous_centre_px
        As for `ChunkedReconstruction`, which also says what is raised.
    progress
        Called with the fraction that is done, after each chunk.
    """
    work = ChunkedReconstruction(scan, settings, rows=rows, previous_centre_px=previous_centre_px)
    volume = np.empty(work.shape, np.float32)
    for done, slices in work.chunks():
        volume[done] = slices
        if progress:
            progress(done.stop / len(volume))
    return work.result(volume)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = perf_counter()
    yield
    seconds[stage] += perf_counter() - started


def _some_rows(rows: slice | None, n_rows: int) -> slice:
    wanted = rows or slice(None)
    first, end, _ = slice(wanted.start, wanted.stop).indices(n_rows)
    if end <= first:
        raise ValueError(f"There is nothing to reconstruct in rows {first} to {end} of {n_rows}.")
    return slice(first, end)


def rows_beside(settings: TomographySettings) -> int:
    """Rows beside a chunk that tell its rings from structure and its zingers from edges."""
    return max(settings.ring_width_px, WIDTH_PX) // 2 + (settings.zinger_ratio is not None)


def _centre(
    sinograms: Sinograms, settings: TomographySettings, previous_px: float | None
) -> Centre:
    if settings.centre != "auto":
        given = float(settings.centre)
        return Centre(px=given, by_method={"given": given}, score=nan, agreed=True)
    angles_rad = np.deg2rad(sinograms.scan.angles_deg)
    return find_centre(sinograms.sample, angles_rad, sinograms.sampled, previous_px)


def scan_geometry(angles_deg: NDArray[np.float64], centre_px: float, columns: int) -> Geometry:
    """Geometry of a scan: a full turn with the axis off the middle widens the field."""
    angles_rad = np.deg2rad(angles_deg)
    full_turn = bool(np.ptp(angles_rad) > FULL_TURN_RAD)
    off_axis = abs(centre_px - (columns - 1) / 2) > OFF_AXIS_PART * columns
    return Geometry(
        angles_rad=angles_rad,
        centre_px=centre_px,
        columns=columns,
        extended_field=full_turn and off_axis,
    )
