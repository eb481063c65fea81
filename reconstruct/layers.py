"""What of each layer the sheet beam crosses, from a segmented CT volume of the cell."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import ComponentName, ComponentSettings, ComponentVolumes

# The region in which each component is purest, and its volume therefore taken.
HOME: Final[dict[ComponentName, int]] = {"cathode": 1, "electrolyte": 2, "anode": 3}


def settings_from_ct(
    masks: Mapping[ComponentName, NDArray[np.bool_]],
    voxel_mm: float,
    bottom_mm: Mapping[int, float],
    sheet_mm: float,
) -> ComponentSettings:
    """Lithium fractions and volumes as this cell has them, in place of the configured ones.

    Parameters
    ----------
    masks
        ``(slices, rows, columns) bool`` of anode, electrolyte and cathode; slices along the height.
    bottom_mm
        Where the sheet beam begins in regions 1, 2 and 3, from the edge of the first slice.
    sheet_mm
        Height of the sheet beam.

    Raises
    ------
    ValueError
        The sheet beam leaves the volume, or there is nothing of a component in it.
    """
    seen = {
        (name, region): sheet_volume_mm3(masks[name], voxel_mm, bottom_mm[region], sheet_mm)
        for name in HOME
        for region in HOME.values()
    }
    volumes = {f"{name}_mm3": seen[name, region] for name, region in HOME.items()}
    anode_mm3 = seen["anode", HOME["anode"]] or np.nan
    return ComponentSettings(
        li_in_region_1=seen["anode", 1] / anode_mm3,
        li_in_region_2=seen["anode", 2] / anode_mm3,
        volumes=ComponentVolumes(**volumes),
    )


def sheet_volume_mm3(
    mask: NDArray[np.bool_], voxel_mm: float, bottom_mm: float, sheet_mm: float
) -> float:
    """Volume of a mask between two heights; slices that the sheet beam cuts count in part.

    Raises
    ------
    ValueError
        The sheet beam leaves the volume.
    """
    height_mm = len(mask) * voxel_mm
    if not 0 <= bottom_mm <= bottom_mm + sheet_mm <= height_mm:
        raise ValueError(
            f"The sheet beam from {bottom_mm:.3f} to {bottom_mm + sheet_mm:.3f} mm leaves the CT "
            f"volume, which is {height_mm:.3f} mm high."
        )
    below_mm3 = np.concatenate([[0.0], np.cumsum(mask.sum(axis=(1, 2)))]) * voxel_mm**3
    edges_mm = np.arange(len(mask) + 1) * voxel_mm
    low, high = np.interp([bottom_mm, bottom_mm + sheet_mm], edges_mm, below_mm3)
    return float(high - low)
