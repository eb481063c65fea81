"""From the images of a CT scan of the simulated cell to the fractions of its components."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.components import ANODE_DIAMETER_MM
from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.registration.outline_fit import MaskModel
from hexlive.reconstruct.registration.similarity import Grid
from hexlive.reconstruct.volumes.layers import settings_from_ct
from hexlive.stream.config import Config, to_toml
from hexlive.stream.nxtomo import ScanFile
from hexlive.stream.registered import load_registered
from hexlive.stream.simulator.phantom import (
    ANODE_BOTTOM,
    ANODE_GROWTH,
    ANODE_THICKNESS,
    CATHODE,
    CELL_DIAMETER_MM,
    Phantom,
    ScanSettings,
    make_phantom,
)
from hexlive.stream.simulator.scanning import scan_images
from hexlive.stream.simulator.scene import STATES

STATE = 4
SCAN = ScanSettings(rows=64, columns=180, n_projections=240, axis_offset_px=5.3)
VOXEL_MM = SCAN.pixel_um / 1e3
SHEET_MM = 26 * VOXEL_MM
SCALE = CELL_DIAMETER_MM / (SCAN.cell_px * VOXEL_MM)  # the simulated cell is a miniature


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(STATE, SCAN, seed=3)


def write_scan_of(phantom: Phantom, path: Path) -> None:
    file = ScanFile(path, (SCAN.rows, SCAN.columns), pixel_um=SCAN.pixel_um)
    for images, angles_deg, image_key in scan_images(phantom, SCAN, seed=3):
        file.append(images, angles_deg, image_key)
    file.close()


def write_result(path: Path) -> None:
    """An exposure of region 3, in which the anode stands out."""
    shape = (80, 80)
    grid = Grid(shape=shape, pitch_mm=0.25, compton=ComptonSettings())
    y, x = np.mgrid[:360, :360] * 0.05 - 359 * 0.05 / 2
    anode = MaskModel(np.hypot(y, x) < ANODE_DIAMETER_MM / 2, 0.05, grid, 0.2)
    counts = np.random.default_rng(0).poisson(5 + 80 * anode(Config().registration.nominal))
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["process/config"] = to_toml(Config())
        group = entry.create_group("segment_0001")
        group.attrs.update({"state": STATE, "region": 3, "started_s": 1000.0})
        group["compton_counts"], group["emf_undefined"] = counts, np.zeros(shape, np.uint8)
        for name in ("emf_low", "emf_high", "emf_low_variance", "emf_high_variance"):
            group[name] = counts / 2
        group["emf_covariance"] = np.zeros(shape)


def test_a_scanned_cell_gives_the_fractions_and_volumes_of_its_components(
    hexlive, phantom: Phantom, tmp_path: Path
) -> None:
    scan, volume, ct = (tmp_path / name for name in ("scan.nxs", "volume.nxs", "ct.h5"))
    result, config = tmp_path / "result.nxs", tmp_path / "config.toml"
    write_scan_of(phantom, scan)
    write_result(result)
    config.write_text(f"[registration]\nscale = {SCALE}\nsheet_mm = {SHEET_MM}\n")
    code, said = hexlive("reconstruct", scan, "--out", volume)
    assert code == 0, said
    assert float(said.split("centre ")[1].split(" px")[0]) == pytest.approx(SCAN.centre_px, abs=0.2)
    code, said = hexlive(
        "register", result, "--volume", f"{STATE}={volume}", "--out", ct, "--config", config,
        "--no-plots",
    )  # fmt: skip
    assert code == 0, said
    found = load_registered(ct).states[STATE].fractions
    assert found is not None
    top = ANODE_BOTTOM - ANODE_THICKNESS - ANODE_GROWTH * STATES[STATE].soc
    height_mm = SCAN.rows * VOXEL_MM
    bottoms_mm = {1: CATHODE[0] * height_mm, 2: CATHODE[1] * height_mm, 3: top * height_mm}
    truth = settings_from_ct(phantom.areas_px, VOXEL_MM, bottoms_mm, SHEET_MM)
    assert found.li_in_region_1 == pytest.approx(truth.li_in_region_1, abs=0.02)
    assert found.li_in_region_2 == pytest.approx(truth.li_in_region_2, abs=0.02)
    for name in ("anode_mm3", "electrolyte_mm3", "cathode_mm3"):
        seen, known = getattr(found.volumes, name), getattr(truth.volumes, name)
        assert seen == pytest.approx(known, rel=0.08), name
