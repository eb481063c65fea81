"""Calibrations that could not be used are refused before a file is written."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hexlive.stream.calibration import load_calibration
from hexlive.stream.files import FileError

IMPORT = ("calibrate", "import", "--rows", 2, "--columns", 3)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "cal.h5"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, out: Path) -> None:
    out.parent.mkdir()
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "words.npy", np.array(["a"] * 6))
    np.save(tmp_path / "pairs.npy", np.zeros(6, [("a", float), ("b", float)]))
    threshold_kev = np.full(6, 3.0)
    threshold_kev[4] = np.inf
    np.save(tmp_path / "threshold.npy", threshold_kev)
    np.savetxt(tmp_path / "curve.txt", [1.1, 1.02, 1.0, 1.02, 1.1])
    np.save(tmp_path / "one.npy", np.ones(1))
    np.save(tmp_path / "square.npy", np.ones((2, 2)))
    np.save(tmp_path / "zero.npy", np.array([1.0, 0.0, 1.0]))
    np.save(tmp_path / "huge.npy", np.array([1.0, 1e300, 1.0]))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--gradient", "0"], 1, "Every pixel would be masked"),
        (["--gradient", "nan"], 1, "Every pixel would be masked"),
        (["--gradient", "inf"], 1, "Every pixel would be masked"),
        (["--gradient", "0.03", "--intercept", "nan"], 1, "Every pixel would be masked"),
        (["--gradient", "0.03", "--threshold", "nan"], 1, "threshold of 6 pixels is not finite"),
        (["--gradient", "0.03", "--threshold", "{tmp}/threshold.npy"], 1, "threshold of 1 pixel"),
        (["--gradient", "{tmp}/empty.npy"], 1, "empty.npy does not hold numbers"),
        (["--gradient", "{tmp}/words.npy"], 1, "words.npy does not hold numbers"),
        (["--gradient", "{tmp}/pairs.npy"], 1, "pairs.npy does not hold numbers"),
        (["--gradient", "0.03", "--charge-loss", "{tmp}/none.npy"], 1, "neither"),
        (["--gradient", "0.03", "--charge-loss", "{tmp}/one.npy"], 1, "charge_loss is (1,)"),
        (["--gradient", "0.03", "--charge-loss", "{tmp}/square.npy"], 1, "charge_loss is (2, 2)"),
        (["--gradient", "0.03", "--charge-loss", "{tmp}/zero.npy"], 1, "not finite and above 0"),
        (["--gradient", "0.03", "--charge-loss", "{tmp}/huge.npy"], 1, "not finite and above 0"),
        (["--gradient", "0.03", "--rows", "4097"], 2, "equal to 4096"),
        (["--gradient", "0.03", "--columns", "1000000000"], 2, "equal to 4096"),
    ],
)
def test_maps_without_a_use_are_refused(
    hexlive, tmp_path: Path, out: Path, words: list[str], code: int, says: str
) -> None:
    words = [word.format(tmp=tmp_path) for word in words]
    exit_code, said = hexlive(*IMPORT, *words, "--out", out)
    assert exit_code == code, said
    assert says in said
    assert "Traceback" not in said
    assert not list(out.parent.iterdir())


def test_a_dark_without_noise_is_refused(hexlive, tmp_path: Path, out: Path) -> None:
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file["dark_frames"] = np.full((4, 2, 3), 1000, np.uint16)
    code, said = hexlive(
        "calibrate", "dark", tmp_path / "dark.h5", "--gradient", 0.03, "--out", out
    )
    assert code == 1
    assert "Every pixel would be masked" in said
    assert not list(out.parent.iterdir())


def test_maps_come_from_matlab_as_from_numpy(hexlive, tmp_path: Path, out: Path) -> None:
    gradient = np.array([[0.03, 0.0, 0.031], [0.029, 0.03, 0.03]])
    savemat(tmp_path / "gradient.mat", {"gradients": gradient})
    savemat(tmp_path / "two.mat", {"a": gradient, "b": gradient})
    with h5py.File(tmp_path / "new.mat", "w") as file:  # as MATLAB 7.3 and later
        file["gradients"] = gradient.T
    for name in ("gradient.mat", "new.mat"):
        code, said = hexlive(*IMPORT, "--gradient", tmp_path / name, "--out", out)
        assert code == 0, said
        found = load_calibration(out)
        np.testing.assert_array_equal(found.gradient_kev_per_adu, gradient.astype(np.float32))
        assert found.mask.tolist() == [[0, 1, 0], [0, 0, 0]]
        out.unlink()
    for name, says in (("two.mat", "it has a, b"), ("empty.mat", "does not hold numbers")):
        (tmp_path / "empty.mat").touch()
        code, said = hexlive(*IMPORT, "--gradient", tmp_path / name, "--out", out)
        assert code == 1
        assert says in said


def dark_file(path: Path, frames: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["dark_frames"] = frames.astype(np.uint16)
    return path


def test_flickering_pixels_are_masked_with_their_reason(hexlive, tmp_path: Path, out: Path) -> None:
    frames = np.random.default_rng(0).normal(1000, 8, (400, 2, 3))
    frames[::40, 0, 1] += 400  # in 2.5 % of the frames
    frames[::100, 1, 1] += 80  # in 1 %
    dark = dark_file(tmp_path / "dark.h5", frames)
    options = ("--gradient", 0.029, "--out", out)
    code, said = hexlive("calibrate", "dark", dark, *options)
    assert code == 0, said
    assert "1 hot" in said  # such spikes are noise, too
    frames[::40, 0, 1] -= 290
    dark = dark_file(tmp_path / "dark.h5", frames)
    code, said = hexlive("calibrate", "dark", dark, *options)
    assert code == 0, said
    assert "1 pixels masked (1 flickering)" in said
    with h5py.File(out) as file:
        faults = file["faults"]
        assert faults.attrs["meaning"][faults[0, 1]] == "flickering"
        assert np.count_nonzero(faults) == file["mask"][()].sum() == 1


def test_several_darks_are_one(hexlive, tmp_path: Path, out: Path) -> None:
    frames = np.random.default_rng(0).normal(1000, 8, (60, 2, 3))
    whole, parts = (
        [dark_file(tmp_path / "whole.h5", frames)],
        [
            dark_file(tmp_path / "one.h5", frames[:20]),
            dark_file(tmp_path / "two.h5", frames[20:]),
        ],
    )
    found = []
    for files in (whole, parts):
        code, said = hexlive("calibrate", "dark", *files, "--gradient", 0.03, "--out", out)
        assert code == 0, said
        found.append(load_calibration(out))
    np.testing.assert_array_equal(found[0].pedestal_adu, found[1].pedestal_adu)
    np.testing.assert_array_equal(found[0].noise_adu, found[1].noise_adu)
    np.testing.assert_allclose(found[0].noise_adu, frames.astype(int).std(axis=0, ddof=1))
    other = dark_file(tmp_path / "other.h5", frames[:, :1])
    code, said = hexlive("calibrate", "dark", whole[0], other, "--gradient", 0.03, "--out", out)
    assert code == 1
    assert "different cameras" in said


def test_pixels_without_a_finite_map_are_masked(hexlive, tmp_path: Path, out: Path) -> None:
    gradient = np.full(6, 0.03)
    gradient[:3] = np.nan, np.inf, -1.0
    np.save(tmp_path / "gradient.npy", gradient)
    code, said = hexlive(*IMPORT, "--gradient", tmp_path / "gradient.npy", "--out", out)
    assert code == 0, said
    np.testing.assert_array_equal(load_calibration(out).mask, [[1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("name", ["gradient_kev_per_adu", "pedestal_adu", "mask"])
@pytest.mark.parametrize("kind", ["group", "string"])
def test_what_is_not_an_array_of_numbers_is_no_calibration(
    tmp_path: Path, name: str, kind: str
) -> None:
    with h5py.File(tmp_path / "cal.h5", "w") as file:
        file["gradient_kev_per_adu"] = np.full((2, 3), 0.03)
        if name in file:
            del file[name]
        if kind == "group":
            file.create_group(name)
        else:
            file[name] = "0.03"
    with pytest.raises(FileError, match=f"'{name}' is not an array of numbers"):
        load_calibration(tmp_path / "cal.h5")


def test_a_charge_loss_curve_is_kept_with_the_maps(hexlive, tmp_path: Path, out: Path) -> None:
    curve = ("--charge-loss", tmp_path / "curve.txt")
    code, said = hexlive(*IMPORT, "--gradient", "0.03", *curve, "--out", out)
    assert code == 0, said
    expected = np.float32([1.1, 1.02, 1.0, 1.02, 1.1])
    np.testing.assert_array_equal(load_calibration(out).charge_loss, expected)
    dark = np.random.default_rng(0).normal(1000, 8, (50, 2, 3)).astype(np.uint16)
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file["dark_frames"] = dark
    code, said = hexlive(
        "calibrate", "dark", tmp_path / "dark.h5", "--gradient", 0.03, *curve, "--out", out
    )
    assert code == 0, said
    np.testing.assert_array_equal(load_calibration(out).charge_loss, expected)


def test_a_damaged_charge_loss_curve_is_refused_when_it_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "cal.h5", "w") as file:
        file["gradient_kev_per_adu"] = np.full((2, 3), 0.03)
        file["charge_loss"] = np.array([1.0, np.nan])
    with pytest.raises(FileError, match="not finite and above 0"):
        load_calibration(tmp_path / "cal.h5")


@pytest.mark.parametrize("name", ["--gradient", "--pedestal", "--threshold", "--charge-loss"])
def test_a_calibration_never_replaces_what_it_is_made_from(
    hexlive, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "curve.txt"
    before = source.read_bytes()
    code, said = hexlive(*IMPORT, "--gradient", "0.03", name, source, "--out", source)
    assert code == 1
    assert "same file" in said
    assert source.read_bytes() == before
