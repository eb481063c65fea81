"""Which voxels of a CT volume are anode, and which are voids in it.

The chain of Huang et al. (2024): median, grey opening, Otsu's threshold, connected components.
Lithium attenuates less than what surrounds it, so the anode is a range of attenuation, not
everything above a threshold. Volumes are ``(z, y, x) float32``, attenuation per pixel length.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.engines import library

UM_PER_CM: Final = 1e4
OTSU_BINS: Final = 128  # with 256, five classes take 2 s instead of 0.2 s, for the same thresholds
OTSU_PERCENTILES: Final = (0.01, 99.99)  # streaks beside metal would widen the bins


class SurfaceError(ValueError):
    """There is no anode to measure in this volume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceSettings:
    """How the anode is found.

    Attributes
    ----------
    first_slice, end_slice, radius_um
        Part of the volume to look at: slices, and a cylinder around the rotation axis. None: all.
    binning
        Average so many voxels along each axis first.
    median_px, opening_radius_px
        Side of the median cube, and radius of the grey opening; 1 and 0 turn them off.
    attenuation_per_cm
        Attenuation of the anode, (lowest, highest). None: from Otsu's thresholds.
    classes, anode_class
        For Otsu: the number of materials, and the anode's place in the order of attenuation,
        from 0. By default gas, lithium, electrolyte, cathode, steel.
    connected
        Keep the largest connected part only.
    faces
        The surface looks towards the "first" or the "last" slice.
    rim_um
        Leave out so much of the surface along the anode's edge.
    level
        Heights are from the least-squares "plane" or from the "mean".
    smallest_void_px
        Voids of fewer voxels are taken for noise.
    """

    first_slice: int | None = None
    end_slice: int | None = None
    radius_um: float | None = None
    binning: int = 1
    median_px: int = 3
    opening_radius_px: int = 3
    attenuation_per_cm: tuple[float, float] | None = None
    classes: int = 5
    anode_class: int = 1
    connected: bool = True
    faces: Literal["first", "last"] = "first"
    rim_um: float = 20.0
    level: Literal["plane", "mean"] = "plane"
    smallest_void_px: int = 8

    def __post_init__(self) -> None:
        """Refuse settings that cannot mean anything.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        if self.binning < 1 or self.median_px < 1 or self.opening_radius_px < 0:
            raise ValueError(
                "tomography.surface: binning and median_px must be at least 1, and "
                "opening_radius_px at least 0."
            )
        if not (2 <= self.classes <= 5 and 0 <= self.anode_class < self.classes):
            raise ValueError(
                f"tomography.surface: classes must be 2 to 5 and anode_class below it, not "
                f"{self.classes} and {self.anode_class}."
            )
        window = self.attenuation_per_cm
        if window is not None and not window[0] < window[1]:
            raise ValueError(
                f"tomography.surface.attenuation_per_cm must rise, not be {list(window)}."
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Segmentation:
    """The part of a volume that was looked at, turned so that the surface faces the first slice.

    Attributes
    ----------
    smooth
        ``(z, y, x) float32``, after the median, attenuation per pixel length.
    anode
        ``(z, y, x) bool``.
    voids
        ``(z, y, x) int32``: 0, or the number of the void.
    top, length
        ``(y, x)``: first slice and number of slices of the anode with its voids, per column.
    low, high
        Attenuation range of the anode, per pixel length.
    """

    smooth: NDArray[np.float32]
    anode: NDArray[np.bool_]
    voids: NDArray[np.int32]
    top: NDArray[np.int32]
    length: NDArray[np.int32]
    low: float
    high: float


def segment(
    volume: NDArray[np.float32], pixel_um: float, settings: SurfaceSettings
) -> Segmentation:
    """Find the anode; see `hexlive.reconstruct.surface.anode_surface`."""
    part = _part(volume, settings)
    side, radius = settings.median_px, settings.opening_radius_px
    smooth = ndimage.median_filter(part, side) if side > 1 else part
    opened = _opened(smooth, radius) if radius else smooth
    inside = _cylinder(part.shape[1:], settings, pixel_um)
    low, high = _limits(opened[:, inside], pixel_um, settings)
    # The opening swallows thin layers around the anode; the median alone keeps them.
    anode = _between(opened, low, high) & _between(smooth, low, high) & inside
    if settings.connected:
        anode = _largest(anode)
    voids = _enclosed(anode, settings.smallest_void_px)
    top, length = _longest_run(anode | (voids > 0))
    depth = np.arange(len(part))[:, None, None] - top
    # A voxel shared by gas and electrolyte looks like lithium: such films are not the anode.
    bulk = (depth >= 0) & (depth < length)
    anode &= bulk
    voids *= bulk
    if not anode.any():
        raise SurfaceError(
            f"No anode was found between {low * UM_PER_CM / pixel_um:.3g} and "
            f"{high * UM_PER_CM / pixel_um:.3g} per cm; see [tomography.surface]."
        )
    return Segmentation(
        smooth=smooth, anode=anode, voids=voids, top=top, length=length, low=low, high=high
    )


def _part(volume: NDArray[np.float32], settings: SurfaceSettings) -> NDArray[np.float32]:
    part = volume[settings.first_slice : settings.end_slice]
    n = settings.binning
    if n > 1:
        z, y, x = (size // n for size in part.shape)
        part = part[: z * n, : y * n, : x * n].reshape(z, n, y, n, x, n).mean((1, 3, 5))
    if not part.size:
        raise SurfaceError("There is no slice in the part given by [tomography.surface].")
    return part if settings.faces == "first" else part[::-1]


def _opened(smooth: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    morphology = library("skimage.morphology", "The anode's surface")
    ball = morphology.ball(radius_px, decomposition="sequence")
    return np.asarray(morphology.opening(smooth, ball))


def _cylinder(
    shape: tuple[int, ...], settings: SurfaceSettings, pixel_um: float
) -> NDArray[np.bool_]:
    """The part of a slice within the radius of the settings, around its middle, ``(y, x)``."""
    y, x = (np.arange(size) - (size - 1) / 2 for size in shape)
    distance_um = np.hypot(y[:, None], x) * settings.binning * pixel_um
    within_um = min(shape) / 2 * settings.binning * pixel_um
    inside: NDArray[np.bool_] = distance_um <= (settings.radius_um or within_um)
    return inside


def _limits(
    values: NDArray[np.float32], pixel_um: float, settings: SurfaceSettings
) -> tuple[float, float]:
    """Attenuation range of the anode, per pixel length."""
    if settings.attenuation_per_cm is not None:
        low, high = (limit * pixel_um / UM_PER_CM for limit in settings.attenuation_per_cm)
        return low, high
    filters = library("skimage.filters", "The anode's surface")
    ends = np.percentile(values, OTSU_PERCENTILES)
    counts, edges = np.histogram(values, OTSU_BINS, tuple(ends))
    middles = (edges[1:] + edges[:-1]) / 2
    try:
        thresholds = filters.threshold_multiotsu(classes=settings.classes, hist=(counts, middles))
    except ValueError as error:
        raise SurfaceError(
            f"The volume does not hold {settings.classes} materials; see [tomography.surface]."
        ) from error
    limits = [-np.inf, *thresholds, np.inf]
    return float(limits[settings.anode_class]), float(limits[settings.anode_class + 1])


def _between(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    return np.asarray((values > low) & (values < high))


def _largest(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(found)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((labels == sizes.argmax()) & found)


def _enclosed(anode: NDArray[np.bool_], smallest_px: int) -> NDArray[np.int32]:
    """Number the parts that are not anode and do not reach the volume's faces; small ones are 0."""
    labels, n = ndimage.label(~anode)
    is_void = np.bincount(labels.ravel(), minlength=n + 1) >= smallest_px
    for axis in range(3):
        for face in (0, -1):
            is_void[labels.take(face, axis)] = False
    is_void[0] = False
    numbers = np.cumsum(is_void, dtype=np.int32) * is_void
    return np.asarray(numbers[labels], np.int32)


def _longest_run(solid: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First slice and length of the longest uninterrupted run along z, ``(y, x)`` each."""
    run, length, end = np.zeros((3, *solid.shape[1:]), np.int32)
    for z, layer in enumerate(solid):
        run = np.where(layer, run + 1, 0).astype(np.int32)
        longer = run > length
        length[longer] = run[longer]
        end[longer] = z + 1
    return end - length, length
