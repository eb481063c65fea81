"""``hexlive morphology`` leaves a table, a volume and pictures, or one sentence."""

import csv
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hexlive.stream import files
from hexlive.stream.reconstruction import compare_stages

SHAPE, VOXEL_UM = (14, 61, 61), 3.0


def write_volume(
    path: Path, *, grown: bool = False, bumps: int = 0, measured: bool = True, voxel: bool = True
) -> Path:
    """Electrolyte over an anode of 8 slices, with a growth of 2 x 10 x 10 voxels, on steel."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] - (SHAPE[1] - 1) / 2
    material = np.zeros(SHAPE, np.uint8)
    material[6:12] = np.hypot(y, x) < 22
    if grown:
        material[4:6, 20:30, 25:35] = 1
    for bump in range(bumps):
        material[4:6, 35:41, 16 + 6 * bump : 22 + 6 * bump] = 1
    with h5py.File(path, "w") as file:
        volume = np.where(material, np.float32(0.5), np.float32(1.0))
        volume[12:] = 1.5
        file["entry/data/data"] = volume
        if voxel:
            file["entry/reconstruction/parameters/pixel_um"] = VOXEL_UM
        if measured:
            group = file.create_group("entry/surface")
            group["material"] = material
            group.attrs.update(
                voxel_um=VOXEL_UM, volume_um3=np.count_nonzero(material) * VOXEL_UM**3,
                volume_threshold_um3=100.0, faces="first",
                outline_cut=False,
            )  # fmt: skip
    return path


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    return [write_volume(tmp_path / f"{i}.nxs", grown=bool(i)) for i in range(2)]


def test_two_volumes_are_compared(hexlive, volumes, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    code, said = hexlive("morphology", *volumes, "--out", out)
    assert code == 0, said
    with (out / "morphology.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert [first["stage"], second["stage"]] == ["I", "II"]
    assert float(second["grown_um3"]) == 200 * VOXEL_UM**3 == float(second["change_um3"])
    assert float(second["change_um3_sigma"]) == pytest.approx(np.hypot(100, 100))
    with h5py.File(out / "morphology.nxs") as file:
        stages, change = (file[f"entry/{name}/data"][()] for name in ("stages", "change_II"))
    assert np.bincount(stages.ravel())[2] == change.sum() == 200
    for name in ("stages.png", "changes.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_five_stages_have_the_colours_of_the_paper(hexlive, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    stages = [write_volume(tmp_path / f"{i}.nxs", bumps=i) for i in range(5)]
    code, said = hexlive("morphology", *stages, "--out", tmp_path)
    assert code == 0, said
    picture = imread(tmp_path / "stages.png")[..., :3]
    shown = {
        colour: np.count_nonzero(np.abs(picture - to_rgb(colour)).max(axis=-1) < 0.01)
        for colour in ("gray", "gold", "darkblue", "green", "red")
    }
    # The anode is there from the first stage; the bumps of the others are of one size.
    bumps = np.array(list(shown.values())[1:])
    assert shown["gray"] > 5 * bumps.max()
    assert bumps.min() > 0.8 * bumps.max() > 0


def test_volumes_are_measured_anew_with_a_configuration(hexlive, tmp_path) -> None:
    volumes = [write_volume(tmp_path / f"{i}.nxs", grown=bool(i), measured=False) for i in range(2)]
    config = tmp_path / "c.toml"
    config.write_text(
        "[tomography.surface]\nattenuation_per_cm = [1000.0, 2500.0]\nopening_radius_px = 0\n"
        "median_px = 1\nrim_um = 3.0\nthreshold_percent = 0.0\n"
    )
    code, said = hexlive(
        "morphology", *volumes, "--out", tmp_path / "o", "--no-plots", "--config", config
    )
    assert code == 0, said
    with (tmp_path / "o/morphology.csv").open(encoding="utf-8") as file:
        _, second = csv.DictReader(file)
    assert float(second["grown_um3"]) == 200 * VOXEL_UM**3


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"measured": False}, "has no anode that was measured"),
        ({"measured": False, "voxel": False, "config": True}, "does not say how large a voxel is"),
    ],
)
def test_a_volume_that_cannot_be_used_is_refused(
    hexlive, volumes, tmp_path, written, sentence
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("")
    more = ["--config", config] if written.pop("config", False) else []
    other = write_volume(tmp_path / "other.nxs", grown=False, **written)
    code, said = hexlive("morphology", other, volumes[0], "--out", tmp_path / "o", *more)
    assert code == 1
    assert sentence in said
    assert not (tmp_path / "o/morphology.nxs").exists()


def test_a_disk_that_fills_is_one_sentence_and_leaves_nothing(
    hexlive, volumes, tmp_path, monkeypatch
) -> None:
    left = iter([10**9] * 4)
    monkeypatch.setattr(
        files.shutil, "disk_usage", lambda _: SimpleNamespace(free=next(left, 10**6))
    )
    code, said = hexlive("morphology", *volumes, "--out", tmp_path / "o")
    assert code == 1
    assert "No room for morphology.nxs.part" in said
    assert not list((tmp_path / "o").iterdir())


def test_a_single_volume_is_no_comparison(hexlive, volumes, tmp_path) -> None:
    code, said = hexlive("morphology", volumes[0], "--out", tmp_path / "o")
    assert code == 1
    assert "Two to 7 volumes can be compared, not 1." in said


def test_the_stages_of_a_slice_say_since_which_scan_the_anode_is_there(volumes) -> None:
    found = compare_stages(volumes)
    assert (found["note"], found["stage_names"]) == ("", ["I", "II"])
    assert found["stages_voxel_um"] == VOXEL_UM
    assert np.count_nonzero(found["stages_xy"] == 2) == 100
    assert found["stages_xz"].shape == (SHAPE[0], SHAPE[2])


def test_scans_that_cannot_be_compared_are_a_note(volumes, tmp_path) -> None:
    other = write_volume(tmp_path / "other.nxs", grown=False, measured=False)
    found = compare_stages([volumes[0], other])
    assert "has no anode that was measured" in found["note"]
    assert "stages_xy" not in found
