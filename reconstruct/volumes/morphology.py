"""How the anode changed from one CT scan to the next: what grew, what went, and when.

The scans are laid upon each other by the outline of the anode and by its lower side, which stays on
the current collector. Everything goes slice by slice, so the volumes need not fit into memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.volumes.outline import Move, OutlineError, find_move
from hexlive.reconstruct.volumes.segmentation import ANODE, OTHER
from hexlive.reconstruct.volumes.slabs import Volume

MAX_STAGES: Final = 7  # colours that can be told apart
FULL_SHARE: Final = 0.5  # of the usual thickness: a column with less is beside the anode


class MorphologyError(ValueError):
    """Volumes that cannot be compared; the sentence says why."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stage:
    """The anode in one state.

    Attributes
    ----------
    name
        Such as "I".
    material
        ``(z, y, x) uint8``, see `hexlive.reconstruct.volumes.surface.Surface`; an open HDF5
        dataset will do.
    voxel_um
        Side of a voxel.
    volume_um3, volume_sigma_um3
        Of the anode without its voids.
    faces_first
        The surface looks towards the first slice.
    outline_cut
        Only a part of the anode was measured: it is taken to lie where that of the first stage
        does.
    """

    name: str
    material: Volume
    voxel_um: float
    volume_um3: float
    volume_sigma_um3: float
    faces_first: bool = True
    outline_cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One stage against the first; volumes of the anode in um3.

    Attributes
    ----------
    change_sigma_um3
        Both stages have their own error of the limits of attenuation, so these add in quadrature.
    grown_um3, removed_um3
        Voxels that are anode only now, or only were; where nothing changed, both are what the
        residual of the outlines and the noise of the surface leave.
    shift_um
        (z, y, x), that this scan lay beside the first.
    rotation_deg
        About the axis; NaN where the outline is too round to tell.
    residual_um
        Root mean square distance of the outlines; NaN where one of them is cut.
    """

    name: str
    volume_um3: float
    volume_sigma_um3: float
    change_um3: float
    change_sigma_um3: float
    grown_um3: float
    removed_um3: float
    shift_um: tuple[float, float, float]
    rotation_deg: float
    residual_um: float


class Layer(NamedTuple):
    """One slice of all stages, on the voxels of the first.

    Attributes
    ----------
    stage
        ``(y, x) uint8``: the first stage that has anode here, from 1; 0: none.
    changes
        ``(stages - 1, y, x) int8``: +1 grown, -1 removed, against the first stage.
    """

    stage: NDArray[np.uint8]
    changes: NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    stage: Stage
    move: Move = field(default_factory=Move)
    down_px: int = 0

    def anode(self, z: int) -> NDArray[np.bool_]:
        """Its anode in a slice of the first stage, ``(y, x)``."""
        material = self.stage.material
        if not 0 <= z + self.down_px < material.shape[0]:
            return np.zeros(material.shape[1:], bool)
        layer = np.asarray(material[z + self.down_px : z + self.down_px + 1])[0]
        return self.move.moved(layer == ANODE)


class Morphology:
    """Stages laid upon the first of them.

    Raises
    ------
    MorphologyError
        Fewer than two or too many stages, other voxels or directions, or outlines that do not fit.
    """

    def __init__(self, stages: Sequence[Stage], *, max_residual_px: float = 2.0) -> None:
        _check(stages)
        self.stages = tuple(stages)
        first, *later = (_Footprint(stage) for stage in stages)
        self._placed = [_Placed(stages[0])]
        for footprint in later:
            self._placed.append(first.place(footprint, max_residual_px))
        self.shape = tuple(stages[0].material.shape)
        self.voxel_um = stages[0].voxel_um

    def layers(self) -> Iterator[Layer]:
        """Slice by slice, from the first."""
        for z in range(self.shape[0]):
            anodes = np.stack([placed.anode(z) for placed in self._placed])
            stage = np.where(anodes.any(axis=0), anodes.argmax(axis=0) + 1, 0)
            changes = anodes[1:].astype(np.int8) - anodes[0]
            yield Layer(stage.astype(np.uint8), changes)

    def change(self, number: int, grown_px: int, removed_px: int) -> Change:
        """What is known of a stage, counted from 0."""
        first, stage = self.stages[0], self.stages[number]
        placed, voxel_um = self._placed[number], self.voxel_um
        sigma_um3 = float(np.hypot(first.volume_sigma_um3, stage.volume_sigma_um3))
        move = placed.move
        shift_px = placed.down_px, *move.shift_px
        known = move.rotation_known or not number
        return Change(
            name=stage.name,
            volume_um3=stage.volume_um3,
            volume_sigma_um3=stage.volume_sigma_um3,
            change_um3=stage.volume_um3 - first.volume_um3,
            change_sigma_um3=sigma_um3 if number else 0.0,
            grown_um3=grown_px * voxel_um**3,
            removed_um3=removed_px * voxel_um**3,
            shift_um=(shift_px[0] * voxel_um, shift_px[1] * voxel_um, shift_px[2] * voxel_um),
            rotation_deg=float(np.degrees(move.rotation_rad)) if known else np.nan,
            residual_um=move.residual_px * voxel_um,
        )


class _Footprint:
    """The outline of a stage from above, and the height of its lower side."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        shape = stage.material.shape
        thickness, last = np.zeros((2, *shape[1:]), np.int32)
        for z in range(shape[0]):
            at = z if stage.faces_first else shape[0] - 1 - z
            solid = np.asarray(stage.material[at : at + 1])[0] != OTHER
            thickness += solid
            last[solid] = at
        there = thickness > 0
        if not there.any():
            raise MorphologyError(f"There is no anode in stage {stage.name}.")
        usual = float(np.median(thickness[there]))
        self.share = np.where(thickness >= FULL_SHARE * usual, 1.0, 0.0)
        self.last = float(last[self.share > 0].mean())

    def place(self, later: "_Footprint", max_residual_px: float) -> _Placed:
        """Where a later stage lies on this one.

        Raises
        ------
        MorphologyError
            The outlines do not fit.
        """
        down_px = round(later.last - self.last)
        if self.stage.outline_cut or later.stage.outline_cut:
            return _Placed(later.stage, Move(residual_px=np.nan), down_px)
        names = f"stages {self.stage.name} and {later.stage.name}"
        try:
            move = find_move(self.share, later.share)
        except OutlineError as error:
            raise MorphologyError(f"The anodes of {names} cannot be compared: {error}") from error
        if move.residual_px > max_residual_px:
            raise MorphologyError(
                f"The outlines of {names} are {move.residual_px:.1f} voxels apart after the best "
                "shift and rotation; are they of one cell, and of the same part of it?"
            )
        return _Placed(later.stage, move, down_px)


def _check(stages: Sequence[Stage]) -> None:
    if not 2 <= len(stages) <= MAX_STAGES:
        raise MorphologyError(f"Two to {MAX_STAGES} volumes can be compared, not {len(stages)}.")
    first = stages[0]
    for stage in stages[1:]:
        if abs(stage.voxel_um - first.voxel_um) > 1e-6 * first.voxel_um:
            raise MorphologyError(
                f"Stage {stage.name} has voxels of {stage.voxel_um:g} um, stage {first.name} of "
                f"{first.voxel_um:g} um."
            )
        if stage.material.shape[1:] != first.material.shape[1:]:
            raise MorphologyError(
                f"Slices of stage {stage.name} have {stage.material.shape[1:]} voxels, of stage "
                f"{first.name} {first.material.shape[1:]}."
            )
        if stage.faces_first != first.faces_first:
            raise MorphologyError(f"Stages {first.name} and {stage.name} face different ways.")
