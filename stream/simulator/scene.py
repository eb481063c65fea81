"""The simulated coin cell: what each pixel sees of each material, in every region and state.

Maps are ``(classes, rows, columns)``: absorbed photons per exposure in each of the ``CLASSES`` of a
subject, in units where a full sheet height of lithium gives 70 per pixel.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from hexlive.reconstruct.components import (
    ANODE_DIAMETER_MM,
    CATHODE_DIAMETER_MM,
    CATHODE_THICKNESS_MM,
    ELECTROLYTE_DIAMETER_MM,
    ELECTROLYTE_THICKNESS_MM,
    SHEET_HEIGHT_MM,
    ComponentName,
    ComponentSettings,
)
from hexlive.reconstruct.compton import ComptonSettings, FloatArray
from hexlive.stream.simulator.atoms import PZ_AU, profile_per_atom

# Atoms per formula unit; the electrolyte is 1 mol/l LiPF6 in ethylene and diethyl carbonate.
MATERIALS: Final[dict[str, dict[int, float]]] = {
    "lithium": {3: 1.0},
    "electrolyte": {1: 71.0, 6: 43.0, 8: 35.1, 3: 1.0, 15: 1.0, 9: 6.0},
    "lithiated": {3: 1.0, 28: 0.6, 25: 0.2, 27: 0.2, 8: 2.0},
    "delithiated": {28: 0.6, 25: 0.2, 27: 0.2, 8: 2.0},
    "steel": {26: 0.70, 24: 0.19, 28: 0.11},
    "aluminium": {13: 1.0},
}
REGIONS: Final = (1, 2, 3)

# What is exposed: the cell, a homogeneous disk, an Am-241 source on the camera, or nothing; and the
# classes of photons that come from it.
Subject = Literal["cell", "disk", "am241", "dark"]
CLASSES: Final[dict[Subject, tuple[str, ...]]] = {
    "cell": ("lithium", "electrolyte", "lithiated", "delithiated", "steel", "lines", "flat"),
    "disk": ("aluminium", "lines", "flat"),
    "am241": ("am241",),
    "dark": (),
}

# Counts per pixel of a full sheet height in 500 s at 1e10 photons/mm2/s; only ratios matter here.
LITHIUM_COUNTS: Final = 70.0
ELECTROLYTE_COUNTS: Final = 190.0
CATHODE_COUNTS: Final = 390.0

# What does not belong to the cell's layers and is the same at every height: the rim of the casing,
# fluorescence of the collimators, and a flat background.
CASING_COUNTS: Final = 25.0
CASING_MM: Final = (19.4, 20.0)
LINES_COUNTS: Final = 5.0
FLAT_COUNTS: Final = 5.0

# The reference disk scatters like a thick layer of the cell and fills the view, corners included.
DISK_COUNTS: Final = 200.0

PINHOLE_MM: Final = 0.2
# Standard deviation of a uniform disk along one axis, over its diameter.
DISK_SIGMA: Final = 0.25


@dataclass(frozen=True, slots=True)
class CellState:
    """One electrochemical state.

    Attributes
    ----------
    soc
        State of charge, 0 to 1.
    cathode_lithium
        Lithium per formula unit of the cathode.
    anode_lithium
        Volume fraction of lithium in the anode; electrolyte fills the rest.
    tilt
        Relative change of both fractions from the middle of the cell to its rim: the side that
        discharges first.
    roughness_um
        Ra of the anode's upper surface.
    n_voids
        Voids in the anode.
    """

    soc: float
    cathode_lithium: float
    anode_lithium: float
    tilt: float
    roughness_um: float
    n_voids: int


# Lithium leaves the cathode and plates on the anode on charge; on discharge one side is ahead, and
# some of the lithium stays behind. The surface roughens and voids grow.
STATES: Final = {
    number: CellState(*row)
    for number, row in {
        1: (0.00, 1.00, 0.80, 0.00, 2.0, 2),
        2: (0.20, 0.84, 0.84, 0.00, 3.0, 3),
        3: (0.71, 0.43, 0.92, 0.00, 5.0, 6),
        4: (1.00, 0.20, 0.96, 0.00, 7.0, 9),
        5: (0.78, 0.36, 0.90, 0.06, 6.5, 11),
        6: (0.23, 0.78, 0.85, 0.10, 7.5, 14),
        7: (0.00, 0.94, 0.82, 0.05, 8.5, 16),
    }.items()
}


def compton_profile(material: str) -> FloatArray:
    """J of a material at ``PZ_AU``, of area 1/2 there (1 with its mirror image)."""
    atoms = MATERIALS[material]
    total = sum((n * profile_per_atom(z) for z, n in atoms.items()), np.zeros(PZ_AU.size))
    return total / np.sum((total[1:] + total[:-1]) * np.diff(PZ_AU))


def free_windows(material: str, compton: ComptonSettings) -> tuple[float, float]:
    """L and H of a material per photon, without a detector."""
    profile = compton_profile(material)
    cumulative = np.concatenate([[0.0], np.cumsum((profile[1:] + profile[:-1]) * np.diff(PZ_AU))])
    inner, outer = np.interp([compton.inner_au, compton.outer_au], PZ_AU, cumulative)
    return float(inner), float(outer - inner)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the pixels of one camera see through the pinhole: inverted on both axes.

    Attributes
    ----------
    lines_counts, flat_counts
        Fluorescence of the collimators and flat background, per pixel.
    """

    shape: tuple[int, int] = (80, 80)
    pitch_mm: float = 0.25
    lines_counts: float = LINES_COUNTS
    flat_counts: float = FLAT_COUNTS
    compton: ComptonSettings = field(default_factory=ComptonSettings)
    components: ComponentSettings = field(default_factory=ComponentSettings)

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel in the sheet beam."""
        return self.pitch_mm / self.compton.magnification

    @cached_property
    def position_mm(self) -> tuple[FloatArray, FloatArray]:
        """Position of each pixel in the sheet beam, ``(rows, columns)``: down and across."""
        down, across = (
            -((np.arange(count) - (count - 1) / 2) * self.pitch_mm - offset)
            / self.compton.magnification
            for count, offset in zip(self.shape, self.compton.axis_offset_mm, strict=True)
        )
        rows, columns = np.meshgrid(down, across, indexing="ij")
        return rows, columns

    def disk(self, diameter_mm: float) -> FloatArray:
        """Fraction of each pixel that a centred disk covers, before the blur of the pinhole."""
        inside_mm = diameter_mm / 2 - np.hypot(*self.position_mm)
        return np.clip(inside_mm / self.pixel_mm + 0.5, 0.0, 1.0)

    def part(self, part: ComponentName, state: int) -> FloatArray:
        """Map of the classes of one component alone."""
        cell = STATES[state]
        lean = cell.tilt * self.position_mm[1] / (ANODE_DIAMETER_MM / 2)
        if part == "anode":
            lithium = np.clip(cell.anode_lithium * (1 + lean), 0.0, 1.0)
            layer = self.disk(ANODE_DIAMETER_MM)
            amounts = {
                "lithium": LITHIUM_COUNTS * lithium * layer,
                "electrolyte": ELECTROLYTE_COUNTS * (1 - lithium) * layer,
            }
        elif part == "electrolyte":
            thickness = ELECTROLYTE_THICKNESS_MM / SHEET_HEIGHT_MM
            layer = self.disk(ELECTROLYTE_DIAMETER_MM)
            amounts = {"electrolyte": ELECTROLYTE_COUNTS * thickness * layer}
        else:
            lithium = np.clip(cell.cathode_lithium * (1 - lean), 0.0, 1.0)
            thickness = CATHODE_THICKNESS_MM / SHEET_HEIGHT_MM
            layer = CATHODE_COUNTS * thickness * self.disk(CATHODE_DIAMETER_MM)
            amounts = {"lithiated": lithium * layer, "delithiated": (1 - lithium) * layer}
        return self._map(amounts)

    def surroundings(self) -> FloatArray:
        """Map of what is not the cell's layers: casing, fluorescence lines, flat background."""
        inner, outer = CASING_MM
        casing = CASING_COUNTS * (self.disk(outer) - self.disk(inner))
        return self._map({"steel": casing, **self._floor()})

    def still(self, subject: Subject) -> FloatArray:
        """Map of a subject that has no regions or states: disk, source, or nothing."""
        everywhere = np.ones(self.shape)
        amounts = {
            "disk": {"aluminium": DISK_COUNTS * everywhere, **self._floor()},
            "am241": {"am241": DISK_COUNTS * everywhere},
        }
        return self._map(amounts.get(subject, {}), subject)

    def region(self, region: int, state: int) -> FloatArray:
        """Map of one height of the sheet beam.

        Region 3 is the anode; region 2 the electrolyte and what is left of the anode; region 1 the
        cathode, the same electrolyte, and less of the anode: the inverse of the algebra in
        ``hexlive.reconstruct.components``.

        Raises
        ------
        ValueError
            There is no such region or state.
        """
        if region not in REGIONS or state not in STATES:
            raise ValueError(f"There is no region {region} in state {state}; use 1-3 and 1-7.")
        fractions = {
            1: self.components.li_in_region_1,
            2: self.components.li_in_region_2,
            3: 1.0,
        }
        total = self.surroundings() + fractions[region] * self.part("anode", state)
        if region <= 2:
            total += self.part("electrolyte", state)
        if region == 1:
            total += self.part("cathode", state)
        return total

    def _floor(self) -> dict[str, FloatArray]:
        """What is the same in every pixel of an exposure to the beam."""
        everywhere = np.ones(self.shape)
        return {"lines": self.lines_counts * everywhere, "flat": self.flat_counts * everywhere}

    def _map(self, amounts: dict[str, FloatArray], subject: Subject = "cell") -> FloatArray:
        """Stack the classes, blurred by the pinhole."""
        classes = CLASSES[subject]
        sheet, detector = self.compton.pinhole_to_sheet_mm, self.compton.pinhole_to_detector_mm
        blur_mm = PINHOLE_MM * (sheet + detector) / detector
        stack = np.zeros((len(classes), *self.shape))
        for name, amount in amounts.items():
            sigma_px = DISK_SIGMA * blur_mm / self.pixel_mm
            stack[classes.index(name)] = gaussian_filter(amount, sigma_px, mode="nearest")
        return stack
