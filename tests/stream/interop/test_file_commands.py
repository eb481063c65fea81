"""Files of other programs through the commands: the same frames give the same integers."""

import h5py
import numpy as np
import pytest

from hexlive.stream.nxtomo import read_scan

COUNTED = ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames")
GRADIENT_KEV = 1 / 32
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    adu = RNG.normal(100, 3, (300, 80, 80))
    hit = RNG.random(adu.shape) < 0.02
    adu[hit] += RNG.normal(93.9, 5, hit.sum()) / GRADIENT_KEV
    return adu.clip(0).astype("<u2")


@pytest.fixture
def odin(frames, tmp_path):
    path = tmp_path / "odin.h5"
    with h5py.File(path, "w") as file:
        file["raw_frames"] = frames
        energy_kev = frames.astype(np.float32) * np.float32(GRADIENT_KEV)
        file["processed_frames"] = energy_kev
    return path


@pytest.fixture
def bin_file(frames, tmp_path):
    path = tmp_path / "camera.bin"
    serial = [20 * output + step for step in range(20) for output in range(4)]
    path.write_bytes(frames[:, :, serial].tobytes() + bytes(100))
    return path


@pytest.fixture
def calibration(hexlive, tmp_path):
    path = tmp_path / "calibration.h5"
    code, said = hexlive("calibrate", "import", "--gradient", GRADIENT_KEV, "--out", path)
    assert code == 0, said
    return path


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[events]\nthreshold_kev = 4.0\n")
    return path


def counts(path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file["entry/segment_0001"][name][()] for name in COUNTED}


def processed(hexlive, file, config, *options):
    out = file.with_suffix(".nxs")
    code, said = hexlive("process", file, "--config", config, "--out", out, *options)
    assert code == 0, said
    return counts(out)


def assert_same(one, other) -> None:
    assert one["counts"].sum() > 1000
    for name in COUNTED:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_camera_dump_counts_as_the_same_frames_in_hdf5(
    hexlive, odin, bin_file, calibration, config
) -> None:
    of_dump = processed(hexlive, bin_file, config, "--calibration", calibration)
    assert_same(of_dump, processed(hexlive, odin, config, "--calibration", calibration))


def test_calibrated_frames_count_as_the_raw_ones_when_every_energy_is_on_a_step(
    hexlive, odin, calibration, config
) -> None:
    of_raw = processed(hexlive, odin, config, "--calibration", calibration)
    assert_same(of_raw, processed(hexlive, odin, config, "--calibrated"))


def test_the_result_says_which_frames_odin_lost(hexlive, frames, calibration, config, tmp_path):
    lost = [0, 100, 101, 298]
    path = tmp_path / "lossy.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("raw_frames", frames.shape, "<u2", chunks=(1, 80, 80))
        for number in np.delete(np.arange(300), lost):
            data[number] = frames[number]
    found = processed(hexlive, path, config, "--calibration", calibration)
    assert found["missing_frames"].tolist() == [[0, 1], [100, 102], [298, 299]]
    np.testing.assert_array_equal(
        found["hits"], (np.delete(frames, lost, axis=0) >= 4.0 / GRADIENT_KEV).sum(axis=0)
    )


def test_a_dark_may_be_a_camera_dump(hexlive, bin_file, odin, tmp_path) -> None:
    for file in (bin_file, odin):
        code, said = hexlive(
            "calibrate", "dark", file, "--gradient", GRADIENT_KEV, "--threshold", 200,
            "--out", file.with_suffix(".cal.h5"),
        )  # fmt: skip
        assert code == 0, said
    with h5py.File(tmp_path / "camera.cal.h5") as one, h5py.File(tmp_path / "odin.cal.h5") as two:
        for name in ("pedestal_adu", "noise_adu", "mask"):
            np.testing.assert_array_equal(one[name][()], two[name][()], err_msg=name)


@pytest.mark.parametrize("options", [(), ("--calibrated", "--calibration", "c.h5")])
def test_either_a_calibration_or_calibrated_frames(hexlive, odin, options) -> None:
    code, said = hexlive("process", odin, *options)
    assert code == 2
    assert "name a --calibration, or say that frames are --calibrated" in said.replace("\n", " ")


def test_energies_beyond_the_last_step_are_refused(hexlive, odin, config) -> None:
    config.write_text("[spectrum]\nmax_kev = 300.0\n")
    code, said = hexlive("process", odin, "--calibrated", "--config", config)
    assert code == 1
    assert "up to 256.00 keV; spectrum.max_kev is 300.0" in said


def test_data_exchange_gives_the_volume_of_the_nxtomo_file(hexlive, shared_data, tmp_path) -> None:
    nxtomo = shared_data / "tomography" / "tooth.nxs"
    scan, exchange = read_scan(nxtomo), tmp_path / "tooth.h5"
    with h5py.File(exchange, "w") as file:
        file["exchange/data"], file["exchange/theta"] = scan.projections, scan.angles_deg
        file["exchange/data_white"], file["exchange/data_dark"] = scan.flats, scan.darks
    volumes = []
    for file in (nxtomo, exchange):
        out = tmp_path / f"{file.name}_volume.nxs"
        code, said = hexlive("reconstruct", file, "--out", out, "--centre", "296.0")
        assert code == 0, said
        with h5py.File(out) as written:
            volumes.append(written["entry/data/data"][()])
    assert np.abs(volumes[0]).max() > 0
    np.testing.assert_array_equal(*volumes)
