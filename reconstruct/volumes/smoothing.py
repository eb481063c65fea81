"""The first half of the chain of Huang et al. (2024): median, grey opening, Otsu's thresholds.

Lithium attenuates less than what surrounds it, so the anode is a range of attenuation, not
everything above a threshold. Volumes are ``(z, y, x) float32``, attenuation per pixel length.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.ct.engines import library
from hexlive.reconstruct.volumes.median import median_3x3x3
from hexlive.reconstruct.volumes.slabs import (
    Part,
    Progress,
    Slabs,
    Volume,
    part_of,
    value_range,
)
from hexlive.reconstruct.volumes.surface_settings import UM_PER_CM, SurfaceError, SurfaceSettings

OTSU_BINS: Final = 128  # with 256, five classes take 2 s instead of 0.2 s, for the same thresholds
OTSU_PERCENTILES: Final = (0.01, 99.99)  # streaks beside metal would widen the bins
MEDIAN_PART: Final = 0.25  # of the time of both filters
FINE_BINS: Final = 2**16  # for percentiles that slabs add up to


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Filtered:
    """The part of a volume that is looked at, turned so that the surface faces the first slice.

    Attributes
    ----------
    part
        The same as it is in the volume.
    smooth, opened
        ``(z, y, x) float32``, after the median, and after the opening, attenuation per pixel
        length.
    inside
        ``(y, x) bool``: the cylinder that is looked at.
    low, high
        Attenuation range of the anode, per pixel length.
    limits
        Otsu's thresholds between all materials, and infinity on both ends; none of them where the
        range of the anode was given.
    """

    part: Part
    smooth: NDArray[np.float32]
    opened: NDArray[np.float32]
    inside: NDArray[np.bool_]
    low: float
    high: float
    limits: tuple[float, ...]
    slabs: Slabs


def filter_volume(
    volume: Volume, pixel_um: float, settings: SurfaceSettings, progress: Progress
) -> Filtered:
    """Median, opening, and the limits of what is anode, as far as the settings ask for them."""
    part = _part(volume, settings)
    slabs = Slabs(part.shape, settings.memory_mb)
    side, radius = settings.median_px, settings.opening_radius_px
    begun = MEDIAN_PART if radius else 1.0
    smooth = slabs.filtered(
        part.read, lambda v: _median(v, side), side // 2, part_of(progress, 0, begun)
    )
    opened = smooth
    if radius:
        opened = slabs.filtered(
            lambda slices: smooth[slices], lambda v: _opened(v, radius), 2 * radius + 2,
            part_of(progress, begun, 1),
        )  # fmt: skip
    if not np.isfinite(value_range(opened, slabs)).all():
        raise SurfaceError("The volume holds values that are not finite numbers.")
    inside = _cylinder(part.shape[1:], settings, pixel_um)
    given = settings.attenuation_per_cm
    limits = _limits(opened, inside, slabs, settings) if given is None else ()
    low, high = (
        limits[settings.anode_class :][:2]
        if given is None
        else (limit * pixel_um / UM_PER_CM for limit in given)
    )
    return Filtered(
        part=part,
        smooth=smooth,
        opened=opened,
        inside=inside,
        low=low,
        high=high,
        limits=limits,
        slabs=slabs,
    )


def _part(volume: Volume, settings: SurfaceSettings) -> Part:
    if len(volume.shape) != 3:
        raise SurfaceError(f"A volume has three axes, not {len(volume.shape)}.")
    first, end, _ = slice(settings.first_slice, settings.end_slice).indices(volume.shape[0])
    part = Part(
        volume=volume, first=first, end=max(first, end), binning=settings.binning,
        turned=settings.faces == "last",
    )  # fmt: skip
    if not np.prod(part.shape):
        raise SurfaceError("There is no slice in the part given by [tomography.surface].")
    return part


def _median(volume: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    if side_px == 3:
        return median_3x3x3(volume)
    return np.asarray(ndimage.median_filter(volume, side_px)) if side_px > 1 else volume


def _opened(smooth: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    morphology = library("skimage.morphology", "The anode's surface")
    ball = morphology.ball(radius_px, decomposition="sequence")
    return np.asarray(morphology.opening(smooth, ball))


def _cylinder(
    shape: tuple[int, ...], settings: SurfaceSettings, pixel_um: float
) -> NDArray[np.bool_]:
    """The part of a slice within the radius of the settings, ``(y, x)``."""
    voxel_um = settings.binning * pixel_um
    y, x = (
        (np.arange(size) - (size - 1) / 2) * voxel_um - middle
        for size, middle in zip(shape, settings.middle_um, strict=True)
    )
    inside: NDArray[np.bool_] = np.hypot(y[:, None], x) <= (
        settings.radius_um or min(shape) / 2 * voxel_um
    )
    if not inside.any():
        raise SurfaceError("There is nothing in the cylinder given by [tomography.surface].")
    return inside


def _limits(
    opened: NDArray[np.float32], inside: NDArray[np.bool_], slabs: Slabs, settings: SurfaceSettings
) -> tuple[float, ...]:
    """Otsu's thresholds, per pixel length, between minus and plus infinity."""
    ends = value_range(opened, slabs)
    if ends[0] == ends[1]:
        raise SurfaceError(f"The volume is empty: it is {ends[0]:g} everywhere.")
    filters = library("skimage.filters", "The anode's surface")
    inner = percentiles(_histogram(opened, inside, slabs, FINE_BINS, ends), ends, OTSU_PERCENTILES)
    counts = _histogram(opened, inside, slabs, OTSU_BINS, inner)
    edges = np.linspace(*inner, OTSU_BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    try:
        thresholds = filters.threshold_multiotsu(classes=settings.classes, hist=(counts, middles))
    except ValueError as error:
        raise SurfaceError(
            f"The volume does not hold {settings.classes} materials; see [tomography.surface]."
        ) from error
    return (-np.inf, *(float(threshold) for threshold in thresholds), np.inf)


def _histogram(
    values: NDArray[np.float32],
    where: NDArray[np.bool_],
    slabs: Slabs,
    bins: int,
    ends: tuple[float, float],
) -> NDArray[np.int64]:
    parts = (np.histogram(values[slab][:, where], bins, ends)[0] for slab in slabs)
    return np.asarray(sum(parts), np.int64)


def percentiles(
    counts: NDArray[np.int64], ends: tuple[float, float], percent: tuple[float, float]
) -> tuple[float, float]:
    """Lower edge of the bin that holds the first percentage, upper edge of that of the second."""
    reached = np.cumsum(counts) / counts.sum() * 100
    edges = np.linspace(*ends, len(counts) + 1)
    low = np.searchsorted(reached, percent[0], side="right")
    high = np.searchsorted(reached, percent[1])
    return float(edges[low]), float(edges[high + 1])
