"""How the anode is found in a CT volume, and what is simulated in it."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

UM_PER_CM: Final = 1e4
MIN_BOX_PX: Final = 4  # a box that is thinner has no inside


class SurfaceError(ValueError):
    """There is no anode to measure in this volume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceSettings:
    """How the anode is found.

    Attributes
    ----------
    first_slice, end_slice, radius_um, middle_um
        Part of the volume to look at: slices, and a cylinder; its middle is (y, x) from the
        rotation axis. None: all.
    binning
        Average so many voxels along each axis first.
    median_px, opening_radius_px
        Side of the median cube, and radius of the grey opening; 1 and 0 turn them off.
    attenuation_per_cm
        Attenuation of the anode, (lowest, highest). None: from Otsu's thresholds.
    classes, anode_class, electrolyte_class, cathode_class
        For Otsu: the number of materials, and the places of some in the order of attenuation,
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
    threshold_percent
        The uncertainty of the limits of attenuation: everything is measured again with both limits
        moved by so much, either way. 0: not.
    memory_mb
        What this may take of memory. A larger volume is gone through in slabs, and what lies
        between the stages, 18 bytes per voxel, is kept in the folder for temporary files.
    """

    first_slice: int | None = None
    end_slice: int | None = None
    radius_um: float | None = None
    middle_um: tuple[float, float] = (0.0, 0.0)
    binning: int = 1
    median_px: int = 3
    opening_radius_px: int = 3
    attenuation_per_cm: tuple[float, float] | None = None
    classes: int = 5
    anode_class: int = 1
    electrolyte_class: int = 2
    cathode_class: int = 3
    connected: bool = True
    faces: Literal["first", "last"] = "first"
    rim_um: float = 20.0
    level: Literal["plane", "mean"] = "plane"
    smallest_void_px: int = 8
    threshold_percent: float = 1.0
    memory_mb: float = 4000.0

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
        if not 0 <= self.threshold_percent < 50:
            raise ValueError(
                f"tomography.surface.threshold_percent must be from 0 to 50, not "
                f"{self.threshold_percent}."
            )
        for name in ("memory_mb", "radius_um"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise ValueError(f"tomography.surface.{name} must be positive, not {value}.")
        window = self.attenuation_per_cm
        if window is not None and not window[0] < window[1]:
            raise ValueError(
                f"tomography.surface.attenuation_per_cm must rise, not be {list(window)}."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class FluxSettings:
    """What flux is simulated in the anode.

    Attributes
    ----------
    axis
        Along which it flows; "none": no simulation.
    through
        The material that conducts.
    side_px
        Of the box across the surface, at most; it takes about 60 bytes per voxel.
    """

    axis: Literal["none", "x", "y", "z"] = "none"
    through: Literal["anode", "void"] = "anode"
    side_px: int = 200

    def __post_init__(self) -> None:
        """Refuse a box without an inside.

        Raises
        ------
        ValueError
            It is too small.
        """
        if self.side_px < MIN_BOX_PX:
            raise ValueError(
                f"tomography.flux.side_px must be at least {MIN_BOX_PX}, not {self.side_px}."
            )
