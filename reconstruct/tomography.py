"""From the images of a CT scan to a volume: normalise, find the axis, remove rings, reconstruct.

Images are ``(images, rows, columns)``, counts; sinogram stacks ``(rows, angles, columns) float32``,
line integrals; volumes ``(z, y, x) float32``, attenuation per pixel length, z along the axis.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from time import perf_counter
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.centre import FULL_TURN_RAD, Centre, find_centre
from hexlive.reconstruct.engines import EngineName, open_engine, pick_engine
from hexlive.reconstruct.geometry import Geometry
from hexlive.reconstruct.normalise import normalise
from hexlive.reconstruct.rings import WIDTH_PX, RingMethod, remove_rings, ring_score
from hexlive.reconstruct.scan import Scan, angle_warnings, without_blank
from hexlive.reconstruct.surface_settings import SurfaceSettings

CENTRE_ROWS: Final = 16
ROWS_PER_PASS: Final = 32
OFF_AXIS_PART: Final = 0.05  # of the columns, from the middle: then a full turn widens the field


@dataclass(frozen=True, kw_only=True, slots=True)
class TomographySettings:
    """How a CT scan becomes a volume.

    Attributes
    ----------
    engine
        Back-projection engine; "auto" takes the fastest one present.
    centre
        Column of the rotation axis, or "auto".
    rings, ring_width_px
        Ring removal by name, and the width in columns below which still detail is a stripe.
    zinger_ratio
        A pixel brighter than its neighbours' median by this ratio is replaced; None: off.
    pixel_um
        Pixel size at the sample, where the scan does not say it.
    surface
        How the anode's surface is found in the volume.
    watch
        Folder in which other programs leave finished scan files; a live run takes them. None: none.
    """

    engine: EngineName = "auto"
    centre: Literal["auto"] | float = "auto"
    rings: RingMethod = "mean"
    ring_width_px: int = WIDTH_PX
    zinger_ratio: float | None = None
    pixel_um: float = 3.24
    surface: SurfaceSettings = field(default_factory=SurfaceSettings)
    watch: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot mean anything.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        if not self.pixel_um > 0:
            raise ValueError(f"tomography.pixel_um must be above 0, not {self.pixel_um}.")
        if self.ring_width_px < 3 or self.ring_width_px % 2 == 0:
            raise ValueError(
                f"tomography.ring_width_px must be odd and at least 3, not {self.ring_width_px}."
            )
        if self.centre != "auto" and not self.centre > 0:
            raise ValueError(f"tomography.centre must be 'auto' or above 0, not {self.centre}.")
        if self.zinger_ratio is not None and not self.zinger_ratio > 0:
            raise ValueError(f"tomography.zinger_ratio must be above 0, not {self.zinger_ratio}.")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reconstruction:
    """A reconstructed volume and how it came about.

    Attributes
    ----------
    volume
        ``(z, y, x) float32``, attenuation per pixel length, the axis in the middle of y and x.
    first_row
        Detector row of ``volume[0]``.
    centre
        The rotation axis.
    engine, rings
        What was used; never "auto".
    ring_score_before, ring_score_after
        See `hexlive.reconstruct.rings.ring_score`.
    seconds
        By stage: "centre", "normalise", "rings", "back-project".
    warnings
        Sentences for the user.
    pixel_um
        Side of a voxel.
    """

    volume: NDArray[np.float32]
    first_row: int
    centre: Centre
    engine: str
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


def reconstruct(
    scan: Scan,
    settings: TomographySettings,
    *,
    rows: slice | None = None,
    progress: Callable[[float], None] | None = None,
) -> Reconstruction:
    """Reconstruct a scan, or some of its detector rows; missing projections cost a warning.

    Parameters
    ----------
    rows
        Detector rows to reconstruct; None: all.
    progress
        Called with the fraction that is done, after each pass.

    Raises
    ------
    EngineUnavailableError, ValueError
        The engine or the ring removal is not there; too few projections or rows are left.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    scan = without_blank(scan)
    passes = _passes(rows or slice(None), scan.projections.shape[1])
    with _timed(seconds, "centre"):
        centre = _centre(scan, settings)
    geometry = _geometry(scan, centre.px)
    engine = open_engine(settings.engine, geometry)
    first_row, n_rows = passes[0].start, passes[-1].stop - passes[0].start
    volume = np.empty((n_rows, geometry.size, geometry.size), np.float32)
    scores = []
    for part in passes:
        with _timed(seconds, "normalise"):
            stripy = _sinogram(scan, settings, part)
        with _timed(seconds, "rings"):
            sinogram = remove_rings(stripy, settings.rings, settings.ring_width_px)
            scores.append((ring_score(stripy), ring_score(sinogram)))
        with _timed(seconds, "back-project"):
            volume[part.start - first_row : part.stop - first_row] = engine(sinogram)
        if progress:
            progress((part.stop - first_row) / n_rows)
    before, after = np.mean(scores, axis=0)
    return Reconstruction(
        volume=volume, first_row=first_row, centre=centre,
        pixel_um=scan.pixel_um or settings.pixel_um,
        engine=pick_engine(settings.engine), rings=settings.rings,
        ring_score_before=float(before), ring_score_after=float(after), seconds=dict(seconds),
        warnings=(*scan.notes, *angle_warnings(scan.angles_deg), *_centre_warnings(centre)),
    )  # fmt: skip


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = perf_counter()
    yield
    seconds[stage] += perf_counter() - started


def _passes(rows: slice, n_rows: int) -> list[slice]:
    first, end, _ = slice(rows.start, rows.stop).indices(n_rows)
    if end <= first:
        raise ValueError(f"There is nothing to reconstruct in rows {first} to {end} of {n_rows}.")
    starts = range(first, end, ROWS_PER_PASS)
    return [slice(start, min(start + ROWS_PER_PASS, end)) for start in starts]


def _centre(scan: Scan, settings: TomographySettings) -> Centre:
    if settings.centre != "auto":
        given = float(settings.centre)
        return Centre(px=given, by_method={"given": given}, score=nan, agreed=True)
    every = -(-scan.projections.shape[1] // CENTRE_ROWS)
    some = _sinogram(scan, settings, slice(every // 2, None, every))
    return find_centre(some, np.deg2rad(scan.angles_deg))


def _geometry(scan: Scan, centre_px: float) -> Geometry:
    columns = scan.projections.shape[2]
    angles_rad = np.deg2rad(scan.angles_deg)
    full_turn = bool(np.ptp(angles_rad) > FULL_TURN_RAD)
    off_axis = abs(centre_px - (columns - 1) / 2) > OFF_AXIS_PART * columns
    return Geometry(
        angles_rad=angles_rad,
        centre_px=centre_px,
        columns=columns,
        extended_field=full_turn and off_axis,
    )


def _sinogram(scan: Scan, settings: TomographySettings, rows: slice) -> NDArray[np.float32]:
    """Line integrals of some detector rows, ``(rows, angles, columns) float32``."""
    flats, darks = (None if i is None else i[:, rows] for i in (scan.flats, scan.darks))
    lines = normalise(scan.projections[:, rows], flats, darks, settings.zinger_ratio)
    return np.ascontiguousarray(lines.transpose(1, 0, 2))


def _centre_warnings(centre: Centre) -> list[str]:
    if centre.agreed:
        return []
    found = ", ".join(f"{name} {px:.1f}" for name, px in centre.by_method.items())
    return [
        f"The rotation axis is uncertain ({found} px); {centre.px:.2f} px was used, so look at the "
        "slices, or set tomography.centre."
    ]
