"""What ``hexlive process`` counts, against the slow reference, and what it says beside it."""

import logging
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.kernels.backend import EventSettings, SpectrumSettings
from hexlive.kernels.cupy_device import find_gpu
from hexlive.stream.calibration import Calibration, load_calibration
from hexlive.stream.model import End, Frames, Segment, Start
from hexlive.stream.session import Outputs, run_session

COUNTED = ("counts", "under", "over", "hits", "cluster_sizes")
SPECTRUM = SpectrumSettings(bin_kev=1.0)


def make_frames(shape: tuple[int, int], n_frames: int, occupancy: float) -> np.ndarray:
    rng = np.random.default_rng(5)
    frames = rng.normal(1000, 8, (n_frames, *shape))
    hit = rng.random(frames.shape) < occupancy
    frames[hit] += rng.uniform(200, 5000, hit.sum())
    return frames.astype(np.uint16)


def write_frames(path: Path, frames: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["raw_frames"] = frames
    return path


def write_config(path: Path, shape: tuple[int, int], more: str) -> Path:
    path.write_text(
        f"[detector]\nrows = {shape[0]}\ncolumns = {shape[1]}\n{more}\n[spectrum]\nbin_kev = 1.0\n"
    )
    return path


def assert_counts(result: Path, expected) -> None:
    with h5py.File(result) as file:
        for name in COUNTED:
            wanted = expected.spectra if name == "counts" else getattr(expected, name)
            found = file[f"entry/segment_0001/{name}"][()]
            np.testing.assert_array_equal(found, wanted, err_msg=name)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "stack.h5", make_frames((12, 10), 100, occupancy=0.08))


def test_shared_charge_is_corrected_by_the_curve_of_the_calibration(
    hexlive, stack, calibration: Calibration, count_slowly, tmp_path: Path
) -> None:
    curve = np.float32([1.4, 1.2, 1.3, 1.1, 1.5])
    maps, result = replace(calibration, charge_loss=curve), tmp_path / "r.nxs"
    maps.save(tmp_path / "cal.h5")
    config = write_config(tmp_path / "c.toml", (12, 10), "[events]\ncharge_loss = true")
    with h5py.File(stack) as file:
        frames = file["raw_frames"][()]
    events = EventSettings(charge_loss=True)
    code, said = hexlive(
        "process", stack, "--calibration", tmp_path / "cal.h5", "--config", config, "--out", result
    )
    assert code == 0, said
    expected = count_slowly(
        [(0, frames)], events=events, spectrum=SPECTRUM, pixels=maps.pixel_maps(events)
    )
    plain = count_slowly(
        [(0, frames)], events=EventSettings(), spectrum=SPECTRUM, pixels=maps.pixel_maps(events)
    )
    assert (expected.spectra != plain.spectra).any()
    assert_counts(result, expected)
    with h5py.File(result) as file:
        assert "charge_loss = true" in file["entry/process/config"].asstr()[()]


@pytest.mark.parametrize("started_s", [1_700_000_000.0, None])
def test_an_exposure_ends_by_the_clock_of_the_data(
    make_source, config, calibration: Calibration, tmp_path: Path, started_s: float | None
) -> None:
    """Frames at 1 kHz, of which the second half is lost; the configuration says 9 kHz."""
    header = {"series": "series", "first_frame": 0}
    messages = [
        Start(series="series", rows=12, columns=10, frame_rate_hz=1000.0, started_s=0.0),
        Segment(**header, number=1, started_s=started_s),
        Frames(**header, timestamp_s=0.0, frames=np.full((250, 12, 10), 1000, np.uint16)),
        End(series="series", last_frame=499),
    ]
    config = replace(config, stream=replace(config.stream, idle_timeout_s=0.1))
    run_session(make_source(messages), config, calibration, Outputs(result=tmp_path / "r.nxs"))
    with h5py.File(tmp_path / "r.nxs") as file:
        attrs = dict(file["entry/segment_0001"].attrs)
    assert attrs["frames_expected"] == 500
    ended = "2023-11-14T22:13:20.500000+00:00"
    assert attrs["ended"] == ("" if started_s is None else ended)


def test_charge_loss_without_a_curve_is_refused(
    hexlive, stack, calibration_file, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.toml", (12, 10), "[events]\ncharge_loss = true")
    code, said = hexlive(
        "process", stack, "--calibration", calibration_file, "--config", config,
        "--out", tmp_path / "r.nxs",
    )  # fmt: skip
    assert code == 1
    assert "no charge-loss curve" in said


def test_clusters_of_twelve_modules_end_at_their_edges(
    hexlive, shared_data, count_slowly, tmp_path: Path
) -> None:
    """Frames drawn at random, and the measured gradients and intercepts of a 2 x 6 camera."""
    data, shape, result = shared_data / "hexitec", (160, 480), tmp_path / "r.nxs"
    code, said = hexlive(
        "calibrate", "import", "--rows", 160, "--columns", 480, "--pedestal", 1000,
        "--gradient", data / "gradients_2x6.txt.gz",
        "--intercept", data / "intercepts_2x6.txt.gz", "--out", tmp_path / "cal.h5",
    )  # fmt: skip
    assert code == 0, said
    frames = make_frames(shape, 2, occupancy=0.01)
    frames[0, ::4, 79:81] = 4000  # pairs across an edge
    stack = write_frames(tmp_path / "stack.h5", frames)
    more = "modules = [2, 6]\n[events]\nthreshold_kev = 10.0"
    config = write_config(tmp_path / "c.toml", shape, more)
    code, said = hexlive(
        "process", stack, "--calibration", tmp_path / "cal.h5",
        "--config", config, "--out", result,
    )  # fmt: skip
    assert code == 0, said
    events, calibration = EventSettings(threshold_kev=10.0), load_calibration(tmp_path / "cal.h5")
    counted = {
        modules: count_slowly(
            [(0, frames)], events=events, spectrum=SPECTRUM,
            pixels=calibration.pixel_maps(events, modules=modules),
        )
        for modules in ((2, 6), (1, 1))
    }  # fmt: skip
    assert (counted[2, 6].cluster_sizes != counted[1, 1].cluster_sizes).any()
    assert_counts(result, counted[2, 6])


@pytest.mark.parametrize("chain", ["odin", "odin-5x5"])
def test_the_facilitys_chain_is_loudly_a_comparison(
    hexlive, stack, calibration_file, tmp_path: Path, chain: str, caplog: pytest.LogCaptureFixture
) -> None:
    results = {}
    for name, more in (("hexlive", ()), (chain, ("--compat", chain))):
        out = tmp_path / f"{name}.nxs"
        code, said = hexlive(
            "process", stack, "--calibration", calibration_file, "--out", out, *more
        )
        assert code == 0, said
        with h5py.File(out) as file:
            segment, process = file["entry/segment_0001"], file["entry/process"]
            results[name] = segment["hits"][()], segment["counts"][()]
            notes = process["notes"].asstr()[()] if "notes" in process else ""
            assert ("do not measure with them" in notes) == bool(more)
            assert process["backend"].asstr()[()] == ("odin" if more else "cpu")
    assert caplog.text.count(f"Comparison mode --compat {chain}:") == 1
    (hits, counts), (chain_hits, chain_counts) = results.values()
    np.testing.assert_array_equal(hits, chain_hits)
    assert (counts != chain_counts).any()


def test_the_chain_refuses_settings_that_it_does_not_have(
    hexlive, stack, calibration_file, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.toml", (12, 10), "[events]\ndither = true")
    words = ("process", stack, "--calibration", calibration_file, "--compat", "odin")
    code, said = hexlive(*words, "--config", config, "--out", tmp_path / "r.nxs")
    assert code == 1
    assert "take dither out of [events]" in said
    code, said = hexlive(*words, "--backend", "cuda", "--out", tmp_path / "r.nxs")
    assert code == 2
    assert "runs on the CPU" in said
    assert not (tmp_path / "r.nxs").exists()


def test_the_device_is_said_once(
    hexlive, stack, calibration_file, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hexlive("process", stack, "--calibration", calibration_file, "--out", tmp_path / "r.nxs")
    said = [record.message for record in caplog.records if "events are counted" in record.message]
    assert len(said) == 1
    assert ("GPU" in said[0]) or said[0] == "events are counted on the CPU"


@pytest.mark.skipif(find_gpu()[0], reason="there is a GPU here")
def test_cuda_without_a_gpu_is_one_sentence(
    hexlive, stack, calibration_file, tmp_path: Path
) -> None:
    out = tmp_path / "r.nxs"
    code, said = hexlive(
        "process", stack, "--calibration", calibration_file, "--backend", "cuda", "--out", out
    )
    assert code == 1
    assert len(said.strip().splitlines()) == 1
    assert "--backend cpu" in said
    assert not out.exists()


def test_an_exposure_that_is_too_crowded_is_said_once(
    hexlive, calibration_file, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for occupancy, n_warnings in ((0.05, 0), (0.2, 1)):
        frames = write_frames(tmp_path / f"{n_warnings}.h5", make_frames((12, 10), 100, occupancy))
        caplog.clear()
        out = tmp_path / "r.nxs"
        hexlive("process", frames, "--calibration", calibration_file, "--out", out)
        warned = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert len(warned) == n_warnings
        with h5py.File(out) as file:
            found = file["entry/segment_0001"].attrs["occupancy"]
        assert found == pytest.approx(occupancy, rel=0.1)
    assert "of the pixels are hit per frame, more than 10 %" in warned[0].message
