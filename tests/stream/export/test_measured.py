"""A result file read back."""

from pathlib import Path

import pytest

from hexlive.stream.export.measured import read_result

pytest.importorskip("xraylib", reason="the simulator needs xraylib")


def test_maps_of_components_know_the_correction_for_pile_up(hexlive, tmp_path: Path) -> None:
    recording, calibration = tmp_path / "r.h5", tmp_path / "c.h5"
    config, result = tmp_path / "c.toml", tmp_path / "r.nxs"
    config.write_text('[compton]\npile_up = "survival"\n')
    code, said = hexlive(
        "simulate", "--out", recording, "--calibration", calibration, "--states", "1",
        "--seconds", 0.05, "--occupancy", 0.05,
    )  # fmt: skip
    assert code == 0, said
    code, said = hexlive(
        "process", recording, "--calibration", calibration, "--config", config, "--out", result
    )
    assert code == 0, said
    measured = read_result(result)
    assert measured.exposures[1, 1].exposure_s < 0.95 * 0.05
    for part in measured.components:
        maps = measured.component_maps(1)[part.name]
        assert maps.low.sum() / maps.high.sum() == pytest.approx(part.emf, rel=1e-9)
