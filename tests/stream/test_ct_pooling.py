"""A registered CT gives a run its masks, fractions and volumes, or a doubt, never a wrong mask."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.components import ComponentSettings, ComponentVolumes
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.pooling import pool_weighted
from hexlive.reconstruct.registration.ct_masks import Resampled
from hexlive.reconstruct.registration.register import Registration
from hexlive.reconstruct.registration.registration_settings import RegistrationError
from hexlive.reconstruct.registration.similarity import Similarity
from hexlive.stream.export.measured import read_result
from hexlive.stream.export.plots import emf_of_masks
from hexlive.stream.files import FileError
from hexlive.stream.model import Segment
from hexlive.stream.reference import WINDOW_DATASETS
from hexlive.stream.registered import ScanOnGrid, load_registered, write_registered
from hexlive.stream.session import Outputs, run_session

SHAPE = (12, 10)
MASK = np.random.default_rng(4).random(SHAPE)
FRACTIONS = ComponentSettings(
    li_in_region_1=0.5,
    li_in_region_2=0.7,
    volumes=ComponentVolumes(anode_mm3=3.0, electrolyte_mm3=2.0, cathode_mm3=1.0),
)


def write(path: Path, shape=SHAPE, fractions=FRACTIONS, started_s=5000.0) -> Path:
    """State 1 with one mask."""
    registration = Registration(
        place=Similarity(), offset_sigma_mm=(0.01, 0.01), scale_sigma=0.001, rotation_fitted=False,
        residual_mm=0.0, noise_mm=0.01, sector_mm=np.zeros(16), model=np.zeros(shape),
    )  # fmt: skip
    scan = ScanOnGrid(
        state=1, volume="volume.nxs", exposure="segment_0001", started_s=started_s,
        registration=registration, fractions=fractions, no_fractions="unknown",
        resampled=Resampled(masks={"anode": np.resize(MASK, shape)}, maps={"height_um": MASK}),
    )  # fmt: skip
    write_registered(path, [scan], 3600.0, Path("result.nxs"))
    return path


def with_ct(config, path):
    return replace(config, components=replace(config.components, from_ct=str(path)))


def test_a_run_takes_fractions_volumes_and_masks_from_the_ct_of_each_state(
    source, config, calibration, tmp_path
) -> None:
    ct, out = write(tmp_path / "ct.h5"), tmp_path / "r.nxs"
    run_session(source, with_ct(config, ct), calibration, Outputs(result=out))
    with h5py.File(out) as file:
        entry = file["entry"]
        one, two = (entry[f"components/cathode/state_{state}"].attrs for state in (1, 2))
        assert (one["li_in_region_1"], one["li_in_region_2"], one["volume_mm3"]) == (0.5, 0.7, 1.0)
        assert one["fractions_from"] == "ct"
        assert two["fractions_from"] == "configuration"
        assert two["li_in_region_1"] == config.components.li_in_region_1
        segment = entry["segment_0001"]
        pooled = segment["ct_masks/anode"]
        assert segment["ct_masks"].attrs["source"] == f"{ct}: volume.nxs"
        windows = EmfResult(**{f: segment[name][()] for f, name in WINDOW_DATASETS.items()})
        expected = pool_weighted(windows, MASK, segment["emf_undefined"][()] != 1)
        assert pooled["emf"][()] == pytest.approx(expected.emf)
        assert pooled["emf_sigma"][()] == pytest.approx(expected.sigma)
        assert "ct_masks" not in entry["segment_0004"]
        trend = entry["trend"]
        (row,) = np.flatnonzero(trend["component"].asstr()[()] == "anode (CT)")
        assert (trend["state"][row], trend["region"][row]) == (1, 3)
        assert trend["emf"][row] == pytest.approx(pooled["emf"][()])
        assert trend["emf_sigma"][row] == pytest.approx(pooled["emf_sigma"][()])
        assert np.isnan(trend["ra_um"][row])
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    figure = emf_of_masks(read_result(out))
    (curve,) = figure.axes[0].containers
    assert curve.get_label() == "anode"
    assert emf_of_masks(replace_masks(read_result(out))) is None


def replace_masks(measured):
    without = {at: replace(each, masks={}) for at, each in measured.exposures.items()}
    return replace(measured, exposures=without)


def segment(**changes):
    settings = {"series": "s", "number": 1, "first_frame": 0, "state": 1, "started_s": 6000.0}
    return Segment(**(settings | changes))


def test_a_ct_that_is_too_far_away_in_time_is_stale(tmp_path) -> None:
    registered = load_registered(write(tmp_path / "ct.h5"))
    assert registered.state_of(segment()).volume == "volume.nxs"
    with pytest.raises(RegistrationError, match=r"CT scan of state 1 is 2\.0 h away"):
        registered.state_of(segment(started_s=5000.0 + 7200.0))
    assert registered.state_of(segment(state=2)) is None
    assert registered.state_of(segment(state=None)) is None


def test_a_stale_ct_is_a_doubt_and_no_mask(
    make_source, source, config, calibration, tmp_path
) -> None:
    def timed():
        for message in source:
            if isinstance(message, Segment):
                yield segment(
                    series=message.series, number=message.number, region=message.region,
                    first_frame=message.first_frame, state=message.state, started_s=20_000.0,
                )  # fmt: skip
            elif message is None:
                return
            else:
                yield message

    out = tmp_path / "r.nxs"
    ct = write(tmp_path / "ct.h5")
    run_session(make_source(timed()), with_ct(config, ct), calibration, Outputs(result=out))
    with h5py.File(out) as file:
        first = file["entry/segment_0001"]
        assert "its masks are not used" in first.attrs["doubts"]
        assert "ct_masks" not in first
        attrs = file["entry/components/anode/state_1"].attrs
        assert attrs["fractions_from"] == "configuration"


def test_a_ct_without_fractions_leaves_the_configured_ones(tmp_path) -> None:
    found = load_registered(write(tmp_path / "ct.h5", fractions=None)).states[1]
    assert found.fractions is None
    np.testing.assert_array_equal(found.masks["anode"], MASK)


def test_masks_of_another_detector_are_refused_at_the_start(
    source, config, calibration, tmp_path
) -> None:
    ct = write(tmp_path / "ct.h5", shape=(80, 80))
    with pytest.raises(FileError, match="masks of state 1 are 80 x 80, the detector is 12 x 10"):
        run_session(source, with_ct(config, ct), calibration, Outputs(result=tmp_path / "r.nxs"))


def test_another_file_is_no_registered_ct(tmp_path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["entry/state_1/nothing"] = 1
    with pytest.raises(FileError, match="was not written by hexlive register"):
        load_registered(tmp_path / "x.h5")
