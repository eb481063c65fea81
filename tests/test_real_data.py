"""Data that nobody here made, through the commands that a user types."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.kernels.backend import EventSettings, SpectrumSettings
from hexlive.stream.calibration import load_calibration

COUNTED = ("counts", "under", "over", "hits", "cluster_sizes")


def assert_counts(result: Path, expected) -> None:
    with h5py.File(result) as file:
        segment = file["entry/segment_0001"]
        for name in COUNTED:
            wanted = expected.spectra if name == "counts" else getattr(expected, name)
            np.testing.assert_array_equal(segment[name][()], wanted, err_msg=name)


def by_field_of_view(volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voxels well inside the circle that every projection sees, and those outside."""
    size = volume.shape[-1]
    radius = np.hypot(*np.indices((size, size)) - (size - 1) / 2)
    return volume[:, radius < 0.45 * size].ravel(), volume[:, radius > 0.51 * size].ravel()


def test_raw_camera_frames_after_a_dark(hexlive, shared_data, count_slowly, tmp_path) -> None:
    data = shared_data / "hexitec"
    calibration, result = tmp_path / "cal.h5", tmp_path / "result.nxs"
    config = tmp_path / "camera.toml"
    config.write_text("[events]\nthreshold_kev = 4.5\n[spectrum]\nmax_kev = 330.0\n")
    code, said = hexlive(
        "calibrate", "dark", data / "gse_30_frames.h5",
        "--gradient", data / "gradient_80x80.npy", "--intercept", data / "intercept_80x80.npy",
        "--out", calibration,
    )  # fmt: skip
    assert code == 0, said
    code, said = hexlive(
        "process", data / "gse_30_frames.h5", "--calibration", calibration, "--config", config,
        "--out", result,
    )  # fmt: skip
    assert code == 0, said
    with h5py.File(data / "gse_30_frames.h5") as file:
        frames = file["raw_frames"][()]
    events = EventSettings(threshold_kev=4.5)
    expected = count_slowly(
        [(0, frames)], events=events, spectrum=SpectrumSettings(max_kev=330.0),
        pixels=load_calibration(calibration).pixel_maps(events),
    )  # fmt: skip
    assert expected.hits.sum() > 900
    assert_counts(result, expected)


def test_calibration_pulses_of_four_modules(hexlive, shared_data, count_slowly, tmp_path) -> None:
    frames_file = tmp_path / "vcal.h5"
    with h5py.File(shared_data / "hexitec" / "vcal_2x2_30_frames.h5") as file:
        frames = file["raw_frames"][:6]
    with h5py.File(frames_file, "w") as file:
        file["raw_frames"] = frames
    calibration, result = tmp_path / "cal.h5", tmp_path / "result.nxs"
    config = tmp_path / "camera.toml"
    config.write_text(
        "[detector]\nrows = 160\ncolumns = 160\nmodules = [2, 2]\n"
        "[events]\nthreshold_kev = 10.0\n[spectrum]\nbin_kev = 1.0\n"
    )
    code, said = hexlive(
        "calibrate", "import", "--gradient", "0.03", "--rows", 160, "--columns", 160,
        "--out", calibration,
    )  # fmt: skip
    assert code == 0, said
    code, said = hexlive(
        "process", frames_file, "--calibration", calibration, "--config", config, "--out", result
    )
    assert code == 0, said
    events = EventSettings(threshold_kev=10.0)
    expected = count_slowly(
        [(0, frames)], events=events, spectrum=SpectrumSettings(bin_kev=1.0),
        pixels=load_calibration(calibration).pixel_maps(events, modules=(2, 2)),
    )  # fmt: skip
    assert expected.hits.sum() > 1000
    assert_counts(result, expected)


# tooth: the axis that its file states. dendrite: the column about which its slice is sharp.
@pytest.mark.parametrize(("name", "centre_px"), [("tooth", 296.0), ("dendrite", 629.2)])
def test_real_scans_are_reconstructed_about_their_axis(
    hexlive, shared_data, tmp_path, name: str, centre_px: float
) -> None:
    volume = tmp_path / "volume.nxs"
    code, said = hexlive("reconstruct", shared_data / "tomography" / f"{name}.nxs", "--out", volume)
    assert code == 0, said
    found = float(said.split("centre ")[1].split(" px")[0])
    assert found == pytest.approx(centre_px, abs=1.0)
    with h5py.File(volume) as file:
        data = file["entry/data/data"][()]
    assert np.isfinite(data).all()
    inside, outside = by_field_of_view(data)
    assert inside.mean() > 3 * inside.std() / np.sqrt(len(inside))
    assert not outside.any()


def test_a_scan_of_a_small_camera_with_encoder_angles(hexlive, shared_data, tmp_path) -> None:
    volume = tmp_path / "volume.nxs"
    code, said = hexlive(
        "reconstruct", shared_data / "tomography" / "k11_diad.nxs", "--out", volume
    )
    assert code == 0, said
    # Nobody knows its axis; one that is far from the middle of 26 columns is not an axis.
    assert float(said.split("centre ")[1].split(" px")[0]) == pytest.approx(12.5, abs=1.0)
    with h5py.File(volume) as file:
        data = file["entry/data/data"][()]
    assert data.shape == (22, 26, 26)
    assert np.isfinite(data).all()
