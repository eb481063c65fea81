"""The CT phantom of the simulated cell.

A coin cell in miniature: layers, spring and casing keep their order, the whole fits the field of
view, and the attenuation is that of the full cell across its diameter. The rotation axis is along
z, detector rows run along z, and row 0 is the top of the cell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hexlive.reconstruct.components import (
    ANODE_DIAMETER_MM,
    CATHODE_DIAMETER_MM,
    ELECTROLYTE_DIAMETER_MM,
    ComponentName,
)
from hexlive.reconstruct.compton import FloatArray
from hexlive.stream.simulator.scene import STATES

FloatImage = NDArray[np.float32]

CELL_DIAMETER_MM: Final = 20.0
WALL_INNER_MM: Final = 19.2
SPRING_MM: Final = (7.0, 9.5)
CELL_SHARE: Final = 0.91  # of the columns

# Attenuation across the diameter of the whole cell, from that of the layers at about 80 keV; the
# anode is somewhat denser than lithium, so that a short scan can tell it from gas.
OPTICAL_DEPTH: Final = {"anode": 0.24, "electrolyte": 0.60, "cathode": 1.3, "steel": 1.8}

# Heights of the layers as fractions of the field, from its top.
LID: Final = (0.03, 0.10)
SPRING_MIDDLE: Final = 0.175
SPRING_WAVE: Final = 0.03
SPRING_THICKNESS: Final = 0.03
SPRING_WAVES: Final = 3
CATHODE: Final = (0.25, 0.41)
ANODE_BOTTOM: Final = 0.9375
ANODE_THICKNESS: Final = 0.36
ANODE_GROWTH: Final = 0.06  # of the height, from 0 to 100 % state of charge

ROUGHNESS_LENGTH_PX: Final = 6.0
VOID_RADIUS_PX: Final = (3.5, 5.5)
VOID_MARGIN_PX: Final = 3.0
VOID_ATTEMPTS: Final = 1000
VOID_REACH: Final = 0.4  # of the anode's diameter
PHANTOM_STREAM: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanSettings:
    """A CT scan over 180 degrees.

    Attributes
    ----------
    axis_offset_px
        Rotation axis from the middle column.
    batch_images
        Images per message.
    """

    rows: int = 64
    columns: int = 240
    n_projections: int = 360
    n_flats: int = 10
    n_darks: int = 10
    pixel_um: float = 6.48
    axis_offset_px: float = 6.3
    batch_images: int = 16

    def __post_init__(self) -> None:
        """Refuse a scan that cannot be made.

        Raises
        ------
        ValueError
            A number is not positive, or the cell leaves the field of view as it turns.
        """
        counts = self.rows, self.columns, self.n_projections, self.n_flats, self.n_darks
        if min(*counts, self.batch_images, self.pixel_um) <= 0:
            raise ValueError("simulate.scan: sizes and numbers of images must be positive.")
        if self.cell_px / 2 > (self.columns - 1) / 2 - abs(self.axis_offset_px):
            raise ValueError(
                f"simulate.scan: axis_offset_px {self.axis_offset_px} moves the cell out of the "
                f"field of view of {self.columns} columns."
            )

    @property
    def centre_px(self) -> float:
        """Column of the rotation axis, from 0 in the middle of the first."""
        return (self.columns - 1) / 2 + self.axis_offset_px

    @property
    def n_images(self) -> int:
        """Darks, flats and projections."""
        return self.n_darks + self.n_flats + self.n_projections

    @property
    def cell_px(self) -> float:
        """Diameter of the cell."""
        return CELL_SHARE * self.columns


@dataclass(frozen=True, kw_only=True, eq=False)
class Phantom:
    """What is scanned.

    Attributes
    ----------
    volume
        ``(z, y, x) float32``, attenuation per pixel.
    surface_um
        ``(y, x) float64``: the anode's upper surface above its mean, um; NaN beside the anode.
    anode_volume_um3, void_volume_um3
        Of the anode without its voids, and of the voids.
    areas_px
        ``(z,)`` by layer: its voxels in each slice.
    """

    volume: FloatImage
    surface_um: FloatArray
    areas_px: dict[ComponentName, FloatArray]
    anode_volume_um3: float
    void_volume_um3: float
    n_voids: int

    @property
    def ra_um(self) -> float:
        """Mean absolute height of the surface."""
        return float(np.nanmean(np.abs(self.surface_um)))

    @property
    def rq_um(self) -> float:
        """Root mean square height of the surface."""
        return float(np.sqrt(np.nanmean(self.surface_um**2)))


class _Grid:
    """Voxel centres of a scan, and coverage of voxels by simple shapes."""

    def __init__(self, settings: ScanSettings) -> None:
        self.settings = settings
        axis = np.arange(settings.columns) - (settings.columns - 1) / 2
        self.y, self.x = axis[:, None], axis[None, :]
        self.radius = np.hypot(self.y, self.x)
        self.z = np.arange(settings.rows, dtype=np.float32)[:, None, None]

    def disk(self, diameter_mm: float) -> FloatImage:
        """Fraction of each column of voxels inside a disk, ``(y, x)``."""
        radius_px = diameter_mm / CELL_DIAMETER_MM * self.settings.cell_px / 2
        share: FloatImage = np.clip(radius_px - self.radius + 0.5, 0.0, 1.0).astype(np.float32)
        return share

    def layer(self, top_px: FloatArray | float, bottom_px: FloatArray | float) -> FloatImage:
        """Fraction of each voxel between two surfaces, ``(z, y, x)`` or ``(z, 1, 1)``."""
        low = np.maximum(self.z, np.asarray(top_px, np.float32))
        high = np.minimum(self.z + 1, np.asarray(bottom_px, np.float32))
        share: FloatImage = np.clip(high - low, 0.0, 1.0)
        return share

    def per_pixel(self, material: str) -> np.float32:
        """Attenuation per pixel."""
        return np.float32(OPTICAL_DEPTH[material] / self.settings.cell_px)


def make_phantom(state: int, settings: ScanSettings, seed: int) -> Phantom:
    """Build the cell in one state: the same one for the same seed."""
    random = np.random.default_rng((seed, PHANTOM_STREAM, state))
    grid = _Grid(settings)
    height = settings.rows
    anode_disk = grid.disk(ANODE_DIAMETER_MM)
    roughness_px = _roughness_px(grid, STATES[state].roughness_um, random)
    bottom = ANODE_BOTTOM * height
    mean_top = bottom - (ANODE_THICKNESS + ANODE_GROWTH * STATES[state].soc) * height
    top = mean_top - roughness_px
    anode = grid.layer(top, bottom) * anode_disk
    centres_px = _void_centres_px(grid, float(top.max()), bottom, STATES[state].n_voids, random)
    voids = _voids(grid, centres_px, random) * anode
    anode -= voids
    filled = grid.layer(CATHODE[1] * height, bottom) * grid.disk(ELECTROLYTE_DIAMETER_MM)
    layers: dict[ComponentName, FloatImage] = {
        "cathode": grid.layer(CATHODE[0] * height, CATHODE[1] * height)
        * grid.disk(CATHODE_DIAMETER_MM),
        "anode": anode,
        "electrolyte": np.maximum(filled - anode - voids, 0.0),
    }
    volume: FloatImage = grid.per_pixel("steel") * _steel(grid)
    for name, share in layers.items():
        volume += grid.per_pixel(name) * share
    voxel_um3 = settings.pixel_um**3
    return Phantom(
        volume=volume,
        surface_um=np.where(anode_disk > 0.5, roughness_px * settings.pixel_um, np.nan),
        anode_volume_um3=float(anode.sum(dtype=np.float64)) * voxel_um3,
        void_volume_um3=float(voids.sum(dtype=np.float64)) * voxel_um3,
        n_voids=len(centres_px),
        areas_px={name: layer.sum((1, 2), np.float64) for name, layer in layers.items()},
    )


def _roughness_px(grid: _Grid, ra_um: float, random: np.random.Generator) -> FloatArray:
    """Height of the anode's upper surface, ``(y, x)``, of exactly this Ra, levelled by a plane."""
    height: FloatArray = gaussian_filter(
        random.standard_normal(grid.radius.shape), ROUGHNESS_LENGTH_PX
    )
    inside = grid.disk(ANODE_DIAMETER_MM) > 0.5
    y, x = np.broadcast_arrays(grid.y, grid.x)
    plane = np.stack([np.ones_like(height), y, x], axis=-1)
    height -= plane @ np.linalg.lstsq(plane[inside], height[inside], rcond=None)[0]
    height *= ra_um / grid.settings.pixel_um / np.abs(height[inside]).mean()
    return height


def _void_centres_px(
    grid: _Grid, top_px: float, bottom_px: float, count: int, random: np.random.Generator
) -> list[FloatArray]:
    """Places (z, y, x) deep in the anode and apart; fewer than ``count`` where it is too small."""
    reach_px = VOID_REACH * grid.settings.cell_px * ANODE_DIAMETER_MM / CELL_DIAMETER_MM
    margin_px = VOID_RADIUS_PX[1] + VOID_MARGIN_PX
    low = [min(top_px + margin_px, bottom_px - margin_px), -reach_px, -reach_px]
    high = [bottom_px - margin_px, reach_px, reach_px]
    centres: list[FloatArray] = []
    for _ in range(VOID_ATTEMPTS):
        centre = random.uniform(low, high)
        apart = all(np.linalg.norm(centre - other) > 2 * margin_px for other in centres)
        if len(centres) < count and apart and np.hypot(*centre[1:]) < reach_px:
            centres.append(centre)
    return centres


def _voids(grid: _Grid, centres_px: list[FloatArray], random: np.random.Generator) -> FloatImage:
    """Fraction of each voxel inside spherical voids, ``(z, y, x)``."""
    voids = np.zeros((grid.settings.rows, *grid.radius.shape), np.float32)
    for z, y, x in centres_px:
        away = np.sqrt((grid.z + 0.5 - z) ** 2 + (grid.y - y) ** 2 + (grid.x - x) ** 2)
        inside = random.uniform(*VOID_RADIUS_PX) - away + 0.5
        voids = np.maximum(voids, np.clip(inside, 0.0, 1.0, dtype=np.float32))
    return voids


def _steel(grid: _Grid) -> FloatImage:
    """Fraction of each voxel in casing and spring, ``(z, y, x)``."""
    height = grid.settings.rows
    whole = grid.disk(CELL_DIAMETER_MM)
    inner, outer = SPRING_MM
    angle = np.arctan2(grid.y, grid.x)
    middle = SPRING_MIDDLE + SPRING_WAVE * np.sin(SPRING_WAVES * angle)
    spring = grid.layer(
        (middle - SPRING_THICKNESS / 2) * height, (middle + SPRING_THICKNESS / 2) * height
    )
    steel = spring * (grid.disk(outer) - grid.disk(inner))
    steel += grid.layer(LID[0] * height, LID[1] * height) * whole
    steel += grid.layer(ANODE_BOTTOM * height, height) * whole
    wall = grid.layer(LID[1] * height, ANODE_BOTTOM * height)
    steel += wall * (whole - grid.disk(WALL_INNER_MM))
    return steel
