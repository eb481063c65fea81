"""What of each layer the sheet beam crosses, from a segmented CT volume of the cell.

Heights are from the first slice of the part that was looked at, turned so that the anode's surface
faces it: cathode, electrolyte, anode follow each other downwards.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import ComponentName, ComponentSettings, ComponentVolumes
from hexlive.reconstruct.volumes.parts import connected_parts
from hexlive.reconstruct.volumes.segmentation import ANODE, Segmentation, candidates
from hexlive.reconstruct.volumes.surface_settings import SurfaceSettings

# The region in which each component is purest, and its volume therefore taken.
HOME: Final[dict[ComponentName, int]] = {"cathode": 1, "electrolyte": 2, "anode": 3}


def layer_areas_px(
    found: Segmentation, settings: SurfaceSettings
) -> dict[ComponentName, NDArray[np.int64]]:
    """Voxels of each layer in each slice, ``(slices,)``; of the anode alone without Otsu.

    Of electrolyte and cathode the largest connected part counts.
    """
    filtered, slabs = found.filtered, found.filtered.slabs
    anode = [np.count_nonzero(found.material[slab] == ANODE, axis=(1, 2)) for slab in slabs]
    areas: dict[ComponentName, NDArray[np.int64]] = {"anode": np.concatenate(anode)}
    classes: dict[ComponentName, int] = {
        "electrolyte": settings.electrolyte_class,
        "cathode": settings.cathode_class,
    }
    for name, number in classes.items():
        if number == settings.anode_class or not 0 <= number < len(filtered.limits) - 1:
            continue
        low, high = filtered.limits[number : number + 2]
        parts = connected_parts(partial(candidates, filtered, low=low, high=high), slabs)
        if len(parts.sizes_px) > 1:
            largest = int(parts.sizes_px.argmax())
            counts = [np.count_nonzero(parts.of(slab) == largest, axis=(1, 2)) for slab in slabs]
            areas[name] = np.concatenate(counts)
    return areas


def region_bottoms_mm(
    areas_px: Mapping[ComponentName, NDArray[np.int64]], voxel_mm: float
) -> dict[int, float]:
    """Where the sheet beam begins in regions 1, 2 and 3 if it is set to the layers of the cell.

    At the outer face of the cathode, the inner face of the cathode, and the mean surface of the
    anode: where the area of a layer passes half of its largest value.

    Raises
    ------
    ValueError
        The cathode was not found.
    """
    if "cathode" not in areas_px:
        raise ValueError(
            "The cathode was not found in the CT; see cathode_class in [tomography.surface], or "
            "set registration.sheet_bottom_um."
        )
    outer, inner = _faces_mm(areas_px["cathode"], voxel_mm)
    return {1: outer, 2: inner, 3: _faces_mm(areas_px["anode"], voxel_mm)[0]}


def _faces_mm(area_px: NDArray[np.int64], voxel_mm: float) -> tuple[float, float]:
    """Where a layer begins and ends."""
    half = area_px.max() / 2
    padded = np.concatenate([[0], area_px, [0]]).astype(np.float64)
    full = np.flatnonzero(padded >= half)
    first, last = int(full[0]), int(full[-1])
    # Slice i is the padded one i + 1, and its middle is at i + 1/2.
    begin = first - 0.5 - (padded[first] - half) / max(padded[first] - padded[first - 1], 1)
    end = last - 0.5 + (padded[last] - half) / max(padded[last] - padded[last + 1], 1)
    return begin * voxel_mm, end * voxel_mm


def settings_from_ct(
    areas_px: Mapping[ComponentName, NDArray[np.int64]],
    voxel_mm: float,
    bottom_mm: Mapping[int, float],
    sheet_mm: float,
) -> ComponentSettings:
    """Lithium fractions and volumes as this cell has them, in place of the configured ones.

    Parameters
    ----------
    areas_px
        ``(slices,)``, voxels of anode, electrolyte and cathode in each slice.
    bottom_mm
        Where the sheet beam begins in regions 1, 2 and 3.
    sheet_mm
        Height of the sheet beam.

    Raises
    ------
    ValueError
        The sheet beam leaves the volume, or there is nothing of a component in it.
    """
    if missing := HOME.keys() - areas_px.keys():
        raise ValueError(f"The CT shows no {' and no '.join(sorted(missing))}.")
    seen = {
        (name, region): sheet_volume_mm3(areas_px[name], voxel_mm, bottom_mm[region], sheet_mm)
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
    area_px: NDArray[np.int64], voxel_mm: float, bottom_mm: float, sheet_mm: float
) -> float:
    """Volume of a layer between two heights; slices that the sheet beam cuts count in part.

    Raises
    ------
    ValueError
        The sheet beam leaves the volume.
    """
    height_mm = len(area_px) * voxel_mm
    if not 0 <= bottom_mm <= bottom_mm + sheet_mm <= height_mm:
        raise ValueError(
            f"The sheet beam from {bottom_mm:.3f} to {bottom_mm + sheet_mm:.3f} mm leaves the CT "
            f"volume, which is {height_mm:.3f} mm high."
        )
    below_mm3 = np.concatenate([[0.0], np.cumsum(area_px)]) * voxel_mm**3
    edges_mm = np.arange(len(area_px) + 1) * voxel_mm
    low, high = np.interp([bottom_mm, bottom_mm + sheet_mm], edges_mm, below_mm3)
    return float(high - low)
