"""Lithium fractions of a cell whose layers are known."""

import numpy as np
import pytest

from hexlive.reconstruct.components import ComponentSettings
from hexlive.reconstruct.volumes.layers import region_bottoms_mm, settings_from_ct, sheet_volume_mm3

VOXEL_MM = 0.01
SHEET_MM = 0.264


def layered(cathode_mm: float = 0.065, electrolyte_mm: float = 0.030) -> dict[str, np.ndarray]:
    """Cathode, electrolyte and anode one above the other, each slice 20 voxels."""
    fine = 20  # voxels are 0.5 um high before they are thinned out
    height = np.arange(0, 0.7, VOXEL_MM / fine)
    starts = {"cathode": 0.0, "electrolyte": cathode_mm, "anode": cathode_mm + electrolyte_mm}
    ends = {"cathode": cathode_mm, "electrolyte": cathode_mm + electrolyte_mm, "anode": 1.0}
    return {
        name: np.repeat((height >= starts[name] - 1e-9) & (height < ends[name] - 1e-9), 20)
        .reshape(-1, 20).sum(axis=1)
        for name in starts
    }  # fmt: skip


def test_fractions_of_a_layered_cell_are_those_of_its_thicknesses() -> None:
    bottoms = {1: 0.0, 2: 0.065, 3: 0.095}
    found = settings_from_ct(layered(), VOXEL_MM / 20, bottoms, SHEET_MM)
    assert found.li_in_region_1 == pytest.approx(1 - 0.095 / SHEET_MM)
    assert found.li_in_region_2 == pytest.approx(1 - 0.030 / SHEET_MM)
    area_mm2 = 20 * (VOXEL_MM / 20) ** 2
    assert found.volumes.cathode_mm3 == pytest.approx(0.065 * area_mm2)
    assert found.volumes.electrolyte_mm3 == pytest.approx(0.030 * area_mm2)
    assert found.volumes.anode_mm3 == pytest.approx(SHEET_MM * area_mm2)


def test_the_papers_fractions_come_from_the_papers_layers() -> None:
    found = settings_from_ct(layered(), VOXEL_MM / 20, {1: 0.0, 2: 0.065, 3: 0.095}, 0.268)
    assert found.li_in_region_1 == pytest.approx(ComponentSettings().li_in_region_1, abs=0.01)
    assert found.li_in_region_2 == pytest.approx(ComponentSettings().li_in_region_2, abs=0.01)


def test_slices_that_the_beam_cuts_count_in_part() -> None:
    full = np.full(10, 4)
    assert sheet_volume_mm3(full, 0.1, 0.05, 0.33) == pytest.approx(0.33 * 0.04)


def test_a_beam_beside_the_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the CT volume"):
        sheet_volume_mm3(np.full(10, 4), 0.1, 0.9, 0.2)


def test_a_cell_without_lithium_is_refused() -> None:
    masks = layered() | {"anode": np.zeros(1400, int)}
    with pytest.raises(ValueError, match="anode_mm3 must be positive"):
        settings_from_ct(masks, VOXEL_MM / 20, {1: 0.0, 2: 0.065, 3: 0.095}, SHEET_MM)


def test_the_sheet_beam_is_set_to_the_faces_of_the_layers() -> None:
    bottoms = region_bottoms_mm(layered(), VOXEL_MM / 20)
    assert bottoms == pytest.approx({1: 0.0, 2: 0.065, 3: 0.095}, abs=VOXEL_MM / 40)


def test_a_face_between_two_slices_is_where_half_of_the_layer_is() -> None:
    cathode = np.array([0, 20, 100, 100, 60, 0])
    anode = np.array([0, 0, 0, 0, 50, 100])
    bottoms = region_bottoms_mm({"cathode": cathode, "anode": anode}, 0.1)
    assert bottoms == pytest.approx({1: 0.2 - 0.0125, 2: 0.4 + 0.0667, 3: 0.45}, abs=0.001)


def test_a_cell_whose_cathode_was_not_found_is_refused() -> None:
    areas = layered()
    del areas["cathode"]
    with pytest.raises(ValueError, match=r"cathode was not found.*sheet_bottom_um"):
        region_bottoms_mm(areas, VOXEL_MM)
    with pytest.raises(ValueError, match="shows no cathode"):
        settings_from_ct(areas, VOXEL_MM / 20, {1: 0.0, 2: 0.065, 3: 0.095}, SHEET_MM)
