"""How one outline lies on another: the small move between two scans of the same anode."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

FloatArray = NDArray[np.float64]

POINTS: Final = 720  # of an outline
STEP_PX: Final = 0.5
SOFTEN_PX: Final = 1.0
NEAR_PX: Final = 1.0
HARMONICS: Final = 12
MAX_ROTATION_RAD: Final = np.radians(10.0)
ROTATIONS: Final = 4001
LEAST_RESIDUAL_PX: Final = 0.1  # stairs of pixels are alike in any two disks
MAX_ROTATION_SIGMA_RAD: Final = np.radians(0.2)  # rounder outlines do not tell the rotation


class OutlineError(ValueError):
    """Two outlines that cannot be laid upon each other; the sentence says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """From the pixels of a first mask to those of a second one.

    Attributes
    ----------
    shift_px
        (y, x), of the middle of the mask.
    rotation_rad
        About the middle of the mask; 0 where the outline is too round to tell.
    rotation_known
        Whether the outline tells it.
    residual_px
        Root mean square distance of the second outline from the first one, as moved.
    """

    shift_px: tuple[float, float] = (0.0, 0.0)
    rotation_rad: float = 0.0
    rotation_known: bool = False
    residual_px: float = 0.0

    def moved(self, layer: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A layer ``(y, x)`` of the second scan, on the pixels of the first."""
        if max(map(abs, self.shift_px)) < 1e-3 and not self.rotation_rad:
            return layer
        middle = (np.array(layer.shape) - 1) / 2
        turn = _turn(self.rotation_rad)
        offset = middle + np.array(self.shift_px) - turn @ middle
        shared = ndimage.affine_transform(layer.astype(np.float32), turn, offset, order=1)
        return np.asarray(shared >= 0.5)


def find_move(first: FloatArray, second: FloatArray, *, rotate: bool = True) -> Move:
    """Lay the outline of one mask upon that of another.

    The rotation comes from the correlation of the radii of both, the shift then from least squares
    of the distances of the second outline from the first.

    Parameters
    ----------
    first, second
        ``(y, x)``: share of each pixel inside, 0 to 1; the outline is at 1/2.
    rotate
        Look for a rotation too.

    Raises
    ------
    OutlineError
        A mask has no outline.
    """
    one, other = (Outline.of(share) for share in (first, second))
    distance = signed_distance_px(_softened(first))
    middle = (np.array(first.shape) - 1) / 2
    rotation_rad = one.rotation_to(other) if rotate else 0.0
    turn = _turn(rotation_rad)

    def distances(shift_px: FloatArray) -> FloatArray:
        on_first = (other.points - middle - shift_px) @ turn + middle  # the inverse of the turn
        return np.asarray(ndimage.map_coordinates(distance, on_first.T, order=1, mode="nearest"))

    start = other.centre - middle - turn @ (one.centre - middle)
    best = optimize.least_squares(distances, start, loss="soft_l1", x_scale=0.1)
    residual_px = float(np.sqrt(np.mean(distances(best.x) ** 2)))
    known = rotate and one.rotation_sigma_rad(residual_px) < MAX_ROTATION_SIGMA_RAD
    if rotate and not known:
        return find_move(first, second, rotate=False)
    return Move(
        shift_px=(float(best.x[0]), float(best.x[1])),
        rotation_rad=rotation_rad,
        rotation_known=known,
        residual_px=residual_px,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outline:
    """Where the share of the inside passes 1/2, one point in each of `POINTS` directions.

    Attributes
    ----------
    centre
        (y, x), of the mask.
    radius_px
        ``(POINTS,)``, from there; the outermost where there are several.
    """

    centre: FloatArray
    radius_px: FloatArray

    @classmethod
    def of(cls, share: FloatArray) -> "Outline":
        """Look outwards from the middle of a mask ``(y, x)``.

        Raises
        ------
        OutlineError
            The mask is empty, or reaches the edge of the map.
        """
        share = _softened(share)
        if not (share >= 0.5).any():
            raise OutlineError("The mask is empty, so it has no outline.")
        centre = np.array(ndimage.center_of_mass(share >= 0.5))
        along = np.arange(0, np.hypot(*share.shape), STEP_PX)
        rays = centre[:, None, None] + along * _directions()[..., None]
        values = ndimage.map_coordinates(share, rays, order=1, mode="nearest")
        last = values.shape[1] - 1 - np.argmax(values[:, ::-1] >= 0.5, axis=1)
        if (last == values.shape[1] - 1).any():
            raise OutlineError("The mask reaches the edge of the map, so its outline is cut.")
        here, beyond = (np.take_along_axis(values, last[:, None] + i, 1)[:, 0] for i in (0, 1))
        return cls(centre=centre, radius_px=along[last] + STEP_PX * (here - 0.5) / (here - beyond))

    @property
    def points(self) -> FloatArray:
        """``(POINTS, 2)``, (y, x)."""
        return np.asarray(self.centre + (self.radius_px * _directions()).T)

    def rotation_to(self, other: "Outline") -> float:
        """Angle by which the other is turned from y to x against this one, rad, up to 10 degrees.

        That is the direction in which `Move` counts it.
        """
        product = np.conj(self._harmonics()) * other._harmonics()
        turns = np.linspace(-MAX_ROTATION_RAD, MAX_ROTATION_RAD, ROTATIONS)
        order = np.arange(len(product))
        likeness = np.real(np.exp(1j * np.outer(turns, order)) @ product)
        return -float(turns[likeness.argmax()])

    def rotation_sigma_rad(self, residual_px: float) -> float:
        """How well a rotation shows, if the outline is uncertain by so much in each pixel."""
        length_px = 2 * np.pi * float(self.radius_px.mean())
        sigma_px = max(residual_px, LEAST_RESIDUAL_PX) / float(np.sqrt(length_px))
        return sigma_px / self.slope_px if self.slope_px else np.inf

    @property
    def slope_px(self) -> float:
        """Root mean square change of the radius with the direction, per rad; 0 for a circle."""
        slope_px = self._harmonics() * np.arange(HARMONICS) / POINTS
        return float(np.sqrt(2 * np.sum(np.abs(slope_px) ** 2)))

    def _harmonics(self) -> NDArray[np.complex128]:
        """Of the radius; a shift is the first, and noise is in the high ones."""
        found = np.fft.rfft(self.radius_px)[:HARMONICS]
        found[:2] = 0
        return np.asarray(found)


def signed_distance_px(share: FloatArray) -> FloatArray:
    """Distance from where the share of the inside is 1/2, negative inside, ``(y, x)``."""
    inside = share >= 0.5
    rough = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    # The transform counts from pixel middles; beside the outline the slope of the share is better.
    slope = np.maximum(np.hypot(*np.gradient(share)), 1e-9)
    near = np.abs(rough) <= NEAR_PX
    return np.asarray(np.where(near, (0.5 - share) / slope, rough - 0.5 * np.sign(rough)))


def _softened(share: FloatArray) -> FloatArray:
    """Masks of whole pixels have stairs for an outline."""
    return np.asarray(ndimage.gaussian_filter(np.asarray(share, np.float64), SOFTEN_PX))


def _directions() -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    return np.stack([np.sin(angle), np.cos(angle)])


def _turn(rotation_rad: float) -> FloatArray:
    cosine, sine = np.cos(rotation_rad), np.sin(rotation_rad)
    return np.array([[cosine, -sine], [sine, cosine]])
