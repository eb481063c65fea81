"""``hexlive register``: the CT of a state on the EMF map of that state, or one sentence."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.registration.outline_fit import MaskModel
from hexlive.reconstruct.registration.similarity import Grid, Similarity
from hexlive.stream.config import Config, to_toml
from hexlive.stream.registered import load_registered

SHAPE, VOXEL_UM, SIDE = (80, 80), 50.0, 360
PLACE = Similarity(offset_mm=(0.5, -0.3))
SLICES = {"cathode": slice(2, 4), "electrolyte": slice(4, 5), "anode": slice(5, 14)}
CONFIG = "[registration]\nsheet_mm = 0.35\n"


def footprint() -> np.ndarray:
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) * VOXEL_UM / 1e3
    return np.hypot(y, x) < 8.0


def write_volume(path: Path, **attrs: object) -> None:
    """An anode of 9 slices with a void, whose one half is higher than the other."""
    disk = footprint()
    material = np.zeros((14, SIDE, SIDE), np.uint8)
    material[SLICES["anode"]] = disk
    material[8:10, 170:180, 170:180] = 2
    height = np.where(disk, np.where(np.arange(SIDE) < SIDE / 2, 30.0, -30.0), np.nan)
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/surface")
        group["material"], group["height_um"] = material, height
        group["thickness_um"] = np.where(disk, 9 * VOXEL_UM, np.nan)
        for name, slices in SLICES.items():
            area = np.zeros(14, int)
            area[slices] = disk.sum()
            group[f"areas_px/{name}"] = area
        group.attrs.update(
            {"voxel_um": VOXEL_UM, "pixel_um": VOXEL_UM, "first_slice": 0, "faces": "first",
             "outline_cut": False} | attrs
        )  # fmt: skip


def write_exposure(entry: h5py.Group, number: int, region: int, state: int = 1) -> None:
    grid = Grid(shape=SHAPE, pitch_mm=0.25, compton=ComptonSettings())
    model = MaskModel(footprint(), VOXEL_UM / 1e3, grid, 0.2)(PLACE)
    expected = 5 + 80 * model
    counts = np.random.default_rng(number).poisson(expected).astype(float)
    group = entry.create_group(f"segment_{number:04d}")
    group.attrs.update({"state": state, "region": region, "started_s": 1000.0 * number})
    group["compton_counts"] = counts
    group["emf_undefined"] = np.zeros(SHAPE, np.uint8)
    for name, share in (("low", 0.6), ("high", 0.4)):
        group[f"emf_{name}"] = group[f"emf_{name}_variance"] = share * counts
    group["emf_covariance"] = np.zeros(SHAPE)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.nxs"
    write_volume(tmp_path / "volume.nxs")
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["process/config"] = to_toml(Config())
        for number, region in enumerate((3, 2, 1), start=1):
            write_exposure(entry, number, region)
        scan = entry.create_group("ct/scan_0001")
        scan.attrs.update({"state": 1, "started_s": 500.0})
        scan["volume_file"] = "volume.nxs"
    return path


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_the_ct_of_a_result_is_laid_upon_its_map(hexlive, result, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "ct.h5"
    code, said = hexlive("register", result, "--out", out, "--config", written(tmp_path, CONFIG))
    assert code == 0, said
    assert "residual 0.0" in said
    assert (tmp_path / "ct_state_1.png").read_bytes().startswith(b"\x89PNG")
    with h5py.File(out) as file:
        group = file["entry/state_1"]
        transform = group["transform"].attrs
        assert transform["offset_mm"] == pytest.approx(PLACE.offset_mm, abs=0.05)
        assert transform["scale"] == pytest.approx(1.0, abs=0.005)
        assert group.attrs["exposure"] == "segment_0001"
        thickness = group["maps/thickness_um"][()]
        assert np.nanmax(np.abs(thickness - 9 * VOXEL_UM)) < 1e-3
        assert 0.1 < np.nanmax(group["maps/porosity"][()]) < 0.3
    found = load_registered(out).states[1]
    raised, sunken, anode = (found.masks[name] for name in ("raised", "sunken", "anode"))
    np.testing.assert_allclose(raised + sunken, anode, atol=1e-9)
    pixel_mm2 = (0.25 / 0.9375) ** 2
    assert anode.sum() * pixel_mm2 == pytest.approx(np.pi * 8.0**2, rel=0.01)
    # Layers of 2, 1 and 9 slices of 50 um, a sheet of 0.35 mm.
    assert found.fractions.li_in_region_1 == pytest.approx((0.35 - 0.15) / 0.35, abs=0.01)
    assert found.fractions.li_in_region_2 == pytest.approx((0.35 - 0.05) / 0.35, abs=0.01)
    assert found.fractions.volumes.cathode_mm3 == pytest.approx(0.1 * np.pi * 64, rel=0.01)


def test_stated_heights_of_the_sheet_replace_those_of_the_layers(hexlive, result, tmp_path) -> None:
    text = CONFIG + "sheet_bottom_um = [100.0, 200.0, 300.0]\n"
    out = tmp_path / "ct.h5"
    code, said = hexlive(
        "register", result, "--out", out, "--no-plots", "--config", written(tmp_path, text)
    )
    assert code == 0, said
    fractions = load_registered(out).states[1].fractions
    assert fractions.li_in_region_1 == pytest.approx((0.45 - 0.25) / 0.35, abs=0.01)
    assert fractions.li_in_region_2 == pytest.approx((0.55 - 0.25) / 0.35, abs=0.01)


def test_a_sheet_beam_that_leaves_the_ct_gives_masks_without_fractions(
    hexlive, result, tmp_path
) -> None:
    config = written(tmp_path, "[registration]\nsheet_mm = 0.6\n")
    code, said = hexlive(
        "register", result, "--out", tmp_path / "ct.h5", "--no-plots", "--config", config
    )
    assert code == 0, said
    assert load_registered(tmp_path / "ct.h5").states[1].fractions is None


@pytest.mark.parametrize(
    ("text", "more", "sentence"),
    [
        ("[registration]\nmax_age_s = 400.0\n", [], "h away from the exposure"),
        ("[registration]\noffset_mm = [4.0, 0.0]\n", [], "State 1, volume.nxs: The outline"),
        ("[registration]\nregion = 4\n", [], "no exposure of region 4 in state 1"),
        ("", ["--volume", "2=volume.nxs", "--state", "2"], "is not registered to another"),
        ("", ["--state", "5"], "no CT scan of state 5"),
    ],
)
def test_a_stale_or_failed_registration_leaves_no_mask(
    hexlive, result, tmp_path, text, more, sentence
) -> None:
    out = tmp_path / "ct.h5"
    config = written(tmp_path, text)
    code, said = hexlive("register", result, "--out", out, "--no-plots", "--config", config, *more)
    assert code == 1
    assert sentence in said
    assert not out.exists()


def test_a_part_of_an_anode_has_no_outline(hexlive, result, tmp_path) -> None:
    write_volume(tmp_path / "part.nxs", outline_cut=True)
    code, said = hexlive("register", result, "--out", tmp_path / "ct.h5", "--no-plots",
                         "--volume", f"1={tmp_path / 'part.nxs'}")  # fmt: skip
    assert code == 1
    assert "only a part of the anode was measured" in said


def test_a_volume_needs_a_state(hexlive, result, tmp_path) -> None:
    code, said = hexlive("register", result, "--out", tmp_path / "ct.h5", "--volume", "v.nxs")
    assert code == 2
    assert "STATE=FILE" in said
