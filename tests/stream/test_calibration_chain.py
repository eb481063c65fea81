"""From simulated exposures of known truth, by the commands a user types, to relative EMF."""

import contextlib
import io
import sys

import h5py
import numpy as np
import pytest

from hexlive.stream.cli import main
from hexlive.stream.simulator.truth import load_truth

SIDE = 10
CAMERA = f"""
[detector]
rows = {SIDE}
columns = {SIDE}
pitch_mm = 2.0
"""


COMMANDS = """
simulate --mode dark --seconds 0.5 --out dark.h5 --calibration true.h5 --truth dark.json
calibrate dark dark.h5 --gradient 0.029 --out dark_calibration.h5
simulate --mode am241 --seconds 30 --occupancy 0.05 --out am241.h5 --truth am241.json
calibrate lines am241.h5 --calibration dark_calibration.h5 --out calibration.h5
simulate --mode disk --seconds 12 --occupancy 0.05 --out disk.h5 --truth disk.json
process disk.h5 --calibration calibration.h5 --out disk.nxs
calibrate reference disk.nxs --calibration calibration.h5
simulate --states 4 --regions 3 --seconds 12 --occupancy 0.05 --out cell.h5 --truth cell.json
process cell.h5 --calibration calibration.h5 --out cell.nxs
"""


def run(line):
    """What a command says, here and now."""
    camera = [] if line.startswith("calibrate") else ["--config", "camera.toml"]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setattr(sys, "argv", ["hexlive", *line.split(), *camera])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code, said.getvalue()
    return said.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def said(folder):
    """What each of the commands of docs/calibration.md says, after all have run."""
    with contextlib.chdir(folder):
        (folder / "camera.toml").write_text(CAMERA)
        return {line: run(line) for line in COMMANDS.strip().splitlines()}


def words(said, start):
    return next(text for line, text in said.items() if line.startswith(start))


def maps(path):
    with h5py.File(path) as file:
        return {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}


def test_dark_finds_pedestal_noise_and_every_faulty_pixel(folder, said):
    assert "1 dead, 1 hot" in words(said, "calibrate dark")
    true, found = maps(folder / "true.h5"), maps(folder / "dark_calibration.h5")
    truth = load_truth(folder / "dark.json")
    assert np.argwhere(found["faults"] == 2).tolist() == [list(pixel) for pixel in truth.dead]
    assert np.argwhere(found["faults"] == 3).tolist() == [list(pixel) for pixel in truth.hot]
    np.testing.assert_array_equal(found["mask"], true["mask"])
    good = found["mask"] == 0
    assert np.abs(found["pedestal_adu"] - true["pedestal_adu"])[good].max() < 1.0
    np.testing.assert_allclose(found["noise_adu"][good], true["noise_adu"][good], rtol=0.1)


def test_lines_find_gain_intercept_and_resolution(folder, said):
    lines = words(said, "calibrate lines")
    assert "98 of 100 pixels calibrated" in lines
    assert "refused, masked before: 2, at (" in lines
    true, found = maps(folder / "true.h5"), maps(folder / "calibration.h5")
    good = found["mask"] == 0
    gain = (found["gradient_kev_per_adu"] / true["gradient_kev_per_adu"])[good] - 1
    intercept_kev = (found["intercept_kev"] - true["intercept_kev"])[good]
    assert abs(gain.mean()) < 2e-4
    assert np.sqrt(np.mean(gain**2)) < 1e-3
    assert abs(intercept_kev.mean()) < 0.03
    assert np.sqrt(np.mean(intercept_kev**2)) < 0.05
    with h5py.File(folder / "calibration.h5") as file:
        lines = file["lines"]
        np.testing.assert_allclose(lines["energy_kev"][()], [13.95, 17.75, 26.34, 59.54], atol=0.01)
        assert np.nanmedian(lines["fwhm_kev"][3]) == pytest.approx(0.79, abs=0.04)
        assert np.nanmedian(lines["chi2"]) == pytest.approx(1.2, abs=0.3)
        assert (lines["refusal"][()] == np.where(good, 0, 1)).all()


def test_relative_emf_has_the_ratio_of_the_truth(folder, said):
    assert "98 pixels" in words(said, "calibrate reference")
    (disk,) = load_truth(folder / "disk.json").emf
    anode = next(row for row in load_truth(folder / "cell.json").emf if row.name == "region_3")
    emf = {}
    for name in ("disk", "cell"):
        with h5py.File(folder / f"{name}.nxs") as file:
            segment = file["entry/segment_0001"]
            low, high = (np.nansum(segment[f"emf_{part}"][()]) for part in ("low", "high"))
            variance = np.nansum(segment["emf_low_variance"][()]) / low**2
            variance += np.nansum(segment["emf_high_variance"][()]) / high**2
            emf[name] = low / high, np.sqrt(variance)
            if name == "cell":
                relative = segment["emf_relative"][()]
    assert np.isfinite(relative).sum() > 0.8 * SIDE**2
    known = anode.seen / disk.seen
    sigma = np.hypot(emf["disk"][1], emf["cell"][1])
    assert emf["cell"][0] / emf["disk"][0] == pytest.approx(known, rel=4 * sigma + 0.005)
    assert sigma < 0.01


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("calibrate lines dark.h5 --calibration dark_calibration.h5 --out n.h5", "single event"),
        (
            "calibrate lines am241.h5 --calibration dark_calibration.h5 --line 40 --line 50"
            " --line 72 --out n.h5",
            "No pixel can be calibrated with 40 keV",
        ),
        ("calibrate lines am241.h5 --calibration true.h5 --line 59.54 --out n.h5", "two lines"),
        ("calibrate lines am241.h5 --calibration true.h5 --line X --out n.h5", "no line 'X'"),
        ("calibrate lines am241.h5 --calibration am241.h5 --out n.h5", "not a calibration"),
        ("calibrate lines am241.h5 --calibration true.h5 --out true.h5", "same file"),
        ("calibrate reference cell.nxs --calibration true.h5", "calibration"),
        ("calibrate reference dark.h5 --calibration true.h5", "not a result"),
    ],
)
def test_what_cannot_calibrate_is_refused(hexlive, folder, said, monkeypatch, line, says):
    monkeypatch.chdir(folder)
    before = (folder / "true.h5").read_bytes()
    code, answer = hexlive(*line.split())
    assert code == 1, answer
    assert says in answer
    assert answer.strip().count("\n") == 0
    assert not (folder / "n.h5").exists()
    assert (folder / "true.h5").read_bytes() == before
