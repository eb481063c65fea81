"""The anode's upper surface in a CT volume: topography, roughness, thickness, volume and voids.

Volumes are ``(z, y, x) float32``, attenuation per pixel length; z runs along the rotation axis.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.components import ComponentName
from hexlive.reconstruct.volumes.layers import layer_areas_px
from hexlive.reconstruct.volumes.roughness import roughness
from hexlive.reconstruct.volumes.segmentation import ANODE, VOID, Segmentation, segment
from hexlive.reconstruct.volumes.shape import Shape
from hexlive.reconstruct.volumes.slabs import Progress, Volume, part_of
from hexlive.reconstruct.volumes.smoothing import Filtered, filter_volume
from hexlive.reconstruct.volumes.surface_settings import UM_PER_CM, SurfaceError, SurfaceSettings

FILTER_PART: Final = 0.25  # of the time of all
ONCE_PART: Final = 0.6  # until the limits of attenuation are moved
CUT_BORDER: Final = 0.05  # of the edge of the part looked at
CUT_NOTE: Final = "The anode reaches the edge of the volume: its volume is that of this part."


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surface:
    """The anode, measured; each sigma says where it comes from.

    Attributes
    ----------
    height_um
        ``(y, x) float64``: the upper surface, outwards, levelled; NaN where there is none.
    ra_um, rq_um
        Mean of the absolute, and root mean square, height.
    ra_sigma_um, rq_sigma_um
        From a bootstrap over tiles of the surface.
    ra_threshold_um, rq_threshold_um, volume_threshold_um3
        Half of the change when both limits of attenuation go from ``-threshold_percent`` to
        ``+threshold_percent``; NaN where that was turned off or leaves no anode.
    thickness_um
        ``(y, x) float64``, between the interfaces above and below; NaN beside the anode.
    volume_um3
        Of the anode without its voids.
    void_volumes_um3
        ``(voids,)``, largest first.
    porosity
        Share of voids in anode and voids.
    porosity_profile
        ``(z,)``, the same per slice of the part looked at; NaN beside the anode.
    porosity_by_depth
        ``(depth,)``, the same by voxels below the surface.
    attenuation_per_cm
        The range that was taken for anode.
    areas_px
        ``(z,)`` by layer, voxels in each slice from the surface's side on, see
        `hexlive.reconstruct.volumes.layers`.
    outline_cut
        The anode reaches the edge of the part looked at, so its outline is not its own.
    material
        ``(z, y, x) uint8``, of the part looked at, binned: 0 other, 1 anode, 2 void.
    first_slice
        The slice of the volume that this begins with.
    faces
        The surface looks towards the "first" or the "last" slice.
    pixel_um, voxel_um
        Side of a voxel of the volume, and of this part, which may be binned.
    notes
        What the user should know of these numbers, a sentence each.
    """

    height_um: NDArray[np.float64]
    ra_um: float
    rq_um: float
    ra_sigma_um: float
    rq_sigma_um: float
    ra_threshold_um: float
    rq_threshold_um: float
    thickness_um: NDArray[np.float64]
    volume_um3: float
    volume_threshold_um3: float
    void_volumes_um3: NDArray[np.float64]
    porosity: float
    porosity_profile: NDArray[np.float64]
    porosity_by_depth: NDArray[np.float64]
    attenuation_per_cm: tuple[float, float]
    areas_px: dict[ComponentName, NDArray[np.int64]]
    outline_cut: bool
    material: NDArray[np.uint8]
    first_slice: int
    faces: Literal["first", "last"]
    pixel_um: float
    voxel_um: float
    notes: tuple[str, ...]

    @property
    def anode(self) -> NDArray[np.bool_]:
        """``(z, y, x) bool``, of the part looked at."""
        return np.asarray(self.material == ANODE)

    @property
    def n_voids(self) -> int:
        """Number of voids."""
        return len(self.void_volumes_um3)


def anode_surface(
    volume: Volume,
    pixel_um: float,
    settings: SurfaceSettings,
    progress: Progress = lambda fraction: None,
) -> Surface:
    """Measure the anode.

    Parameters
    ----------
    volume
        ``(z, y, x) float32``, attenuation per pixel length; an open HDF5 dataset is read in slabs.
    pixel_um
        Side of a voxel.
    progress
        Told the fraction that is done.

    Raises
    ------
    SurfaceError
        No voxel, or no part of a surface, belongs to the anode, or the size of a voxel is not
        known.
    EngineUnavailableError
        scikit-image is not there.
    """
    if not 0 < pixel_um < np.inf:
        raise SurfaceError(f"The size of a voxel must be known and positive, not {pixel_um} um.")
    filtering, once = (FILTER_PART, ONCE_PART) if settings.threshold_percent else (0.5, 1.0)
    filtered = filter_volume(volume, pixel_um, settings, part_of(progress, 0, filtering))
    found = segment(filtered, settings)
    if found is None:
        per_cm = UM_PER_CM / pixel_um
        raise SurfaceError(
            f"No anode was found between {filtered.low * per_cm:.3g} and "
            f"{filtered.high * per_cm:.3g} per cm; see [tomography.surface]."
        )
    voxel_um = pixel_um * settings.binning
    shape = Shape(found, voxel_um, settings)
    progress(once)
    moved = _by_threshold(filtered, voxel_um, settings, part_of(progress, once, 1))
    first_slice = slice(settings.first_slice, None).indices(volume.shape[0])[0]
    return _measured(found, shape, moved, settings, pixel_um, first_slice)


def _measured(
    found: Segmentation,
    shape: Shape,
    moved: tuple[float, float, float],
    settings: SurfaceSettings,
    pixel_um: float,
    first_slice: int,
) -> Surface:
    """All that there is to say of the anode; ``moved``: what `_by_threshold` gave."""
    filtered, per_cm = found.filtered, UM_PER_CM / pixel_um
    rough = roughness(shape.height_um)
    ra_threshold_um, rq_threshold_um, volume_threshold_um3 = moved
    by_slice, by_depth = _counts(found)
    cut = _outline_cut(found)
    first = settings.faces == "first"
    voids_um3 = shape.void_volumes_um3
    return Surface(
        height_um=shape.height_um,
        ra_um=rough.ra_um,
        rq_um=rough.rq_um,
        ra_sigma_um=rough.ra_sigma_um,
        rq_sigma_um=rough.rq_sigma_um,
        ra_threshold_um=ra_threshold_um,
        rq_threshold_um=rq_threshold_um,
        thickness_um=shape.thickness_um,
        volume_um3=shape.volume_um3,
        volume_threshold_um3=volume_threshold_um3,
        void_volumes_um3=voids_um3,
        porosity=float(voids_um3.sum() / (voids_um3.sum() + shape.volume_um3)),
        porosity_profile=_share(by_slice)[:: 1 if first else -1],
        porosity_by_depth=_share(by_depth),
        attenuation_per_cm=(filtered.low * per_cm, filtered.high * per_cm),
        areas_px=layer_areas_px(found, settings),
        outline_cut=cut,
        material=found.material[:: 1 if first else -1],
        first_slice=first_slice,
        faces=settings.faces,
        pixel_um=pixel_um,
        voxel_um=pixel_um * settings.binning,
        notes=(CUT_NOTE,) if cut and settings.radius_um is None else (),
    )


def _by_threshold(
    filtered: Filtered, voxel_um: float, settings: SurfaceSettings, progress: Progress
) -> tuple[float, float, float]:
    """Half of what Ra, Rq and volume change when the limits move by their uncertainty."""
    part = settings.threshold_percent / 100
    if not part:
        return np.nan, np.nan, np.nan
    measured = []
    for factor in (1 - part, 1 + part):
        measured.append(_moved(filtered, factor, voxel_um, settings))
        progress(len(measured) / 2)
    ra_um, rq_um, volume_um3 = np.abs(np.diff(measured, axis=0)[0]) / 2
    return float(ra_um), float(rq_um), float(volume_um3)


def _moved(
    filtered: Filtered, factor: float, voxel_um: float, settings: SurfaceSettings
) -> tuple[float, float, float]:
    """Ra, Rq and volume with both limits times a factor; NaN where that leaves no surface."""
    moved = replace(filtered, low=filtered.low * factor, high=filtered.high * factor)
    found = segment(moved, settings)
    if found is None:
        return np.nan, np.nan, np.nan
    try:
        shape = Shape(found, voxel_um, settings)
    except SurfaceError:
        return np.nan, np.nan, np.nan
    rough = roughness(shape.height_um)
    return rough.ra_um, rough.rq_um, shape.volume_um3


def _counts(found: Segmentation) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of anode and of voids, ``(2, z)``: per slice, and per depth below the surface."""
    n = len(found.material)
    by_slice, by_depth = np.zeros((2, 2, n), np.int64)
    for slab, (material, depth) in zip(found.filtered.slabs, found.by_slab(), strict=True):
        for row, kind in enumerate((ANODE, VOID)):
            here = material == kind
            by_slice[row, slab] = here.sum((1, 2))
            by_depth[row] += np.bincount(depth[here], minlength=n)
    return by_slice, by_depth


def _share(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    both = counts.sum(axis=0)
    share = np.full(len(both), np.nan)
    np.divide(counts[1], both, out=share, where=both > 0)
    return share


def _outline_cut(found: Segmentation) -> bool:
    inside = found.filtered.inside
    border = inside & ~ndimage.binary_erosion(inside)
    return bool(np.mean(found.length[border] > 0) > CUT_BORDER)
