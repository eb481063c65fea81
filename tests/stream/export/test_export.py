"""The seven-state experiment, small, and what is exported of it."""

import csv
import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.commands import experiment as experiment_module
from hexlive.stream.commands.experiment import Agreement, run_experiment
from hexlive.stream.export.hxt import read_hxt
from hexlive.stream.export.measured import read_result
from hexlive.stream.export.tables import write_table
from hexlive.stream.results import MarksResult
from hexlive.stream.sinks import _write_marks
from hexlive.stream.views import MarkView

pytest.importorskip("xraylib", reason="the simulator needs xraylib")

SECONDS = 4.2  # 1,800 frames in each of 21 exposures
Table = list[dict[str, str]]


def table(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows: Table, name: str) -> np.ndarray:
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, Agreement]:
    """Folder of a small experiment, its exit code, and how it agrees with the truth."""
    out = tmp_path_factory.mktemp("experiment") / "out"
    found: list[Agreement] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment_module, "TRUTHS", 1)
        keep = experiment_module.agreement
        patch.setattr(
            experiment_module, "agreement",
            lambda *words, **more: found.append(keep(*words, **more)) or found[0],
        )  # fmt: skip
        code = run_experiment(out, SECONDS)
    return out, code, found[0]


@pytest.fixture
def exported(experiment, hexlive, tmp_path: Path) -> Path:
    """Tables of the experiment."""
    code, said = hexlive(
        "export", experiment[0] / "result.nxs", "--out", tmp_path / "x", "--no-plots"
    )
    assert code == 0, said
    return tmp_path / "x"


def test_what_the_run_doubted_is_said_again(
    experiment, hexlive, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    result = tmp_path / "result.nxs"
    shutil.copy(experiment[0] / "result.nxs", result)
    with h5py.File(result, "r+") as file:
        file["entry/segment_0001"].attrs["doubts"] = "Peaks are elsewhere.\nBins are coarse."
    code, _ = hexlive("export", result, "--out", tmp_path / "x", "--no-plots")
    assert code == 0
    said = [record.getMessage() for record in caplog.records]
    of = "State 1, region 1: "
    assert said == [of + "Peaks are elsewhere.", of + "Bins are coarse."]


def test_seven_states_agree_with_their_truth(experiment) -> None:
    _, code, found = experiment
    assert code == 0
    assert found.accepted
    assert len(found.checks) == 21
    assert {check.known.state for check in found.checks} == set(range(1, 8))
    assert sum(abs(check.pull) > 2 for check in found.checks) <= 4


def test_a_wrong_cell_does_not_agree(experiment) -> None:
    """The truth of state 4 put in place of state 1 is noticed."""
    out, _, _ = experiment
    known = experiment_module.msgspec.json.decode(
        (out / "truth.json").read_bytes(), type=experiment_module.Truth
    )
    rows = {(row.state, row.name): row for row in known.emf}
    swapped = [
        experiment_module.msgspec.structs.replace(rows[5 - row.state, row.name], state=row.state)
        if row.state in (1, 4)
        else row
        for row in known.emf
    ]
    wrong = experiment_module.msgspec.structs.replace(known, emf=swapped)
    measured = read_result(out / "result.nxs")
    assert not experiment_module.agreement(measured, wrong, whole=False).accepted


def test_the_experiment_leaves_tables_plots_and_truth(experiment) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    out, _, _ = experiment
    names = {path.name for path in out.iterdir()}
    assert names == {
        "calibration.h5", "result.nxs", "truth.json", "trend.csv", "rates.csv", "components.csv",
        "profiles.csv", "emf_against_soc.png", "emf_maps.png", "emf_differences.png",
        "profiles.png",
    }  # fmt: skip
    for name in names:
        if name.endswith(".png"):
            assert (out / name).read_bytes().startswith(b"\x89PNG")
            assert (out / name).stat().st_size > 30_000


def test_the_trend_has_every_region_and_component_in_every_state(experiment, exported) -> None:
    rows = table(exported / "trend.csv")
    names = ["region_1", "region_2", "region_3", "anode", "electrolyte", "cathode"]
    assert [(row["name"], int(row["state"])) for row in rows] == [
        (name, state) for name in names for state in range(1, 8)
    ]
    with h5py.File(experiment[0] / "result.nxs") as file:
        stored = file["entry/components/cathode/state_3/emf"][()]
    (cathode,) = (row for row in rows if (row["name"], row["state"]) == ("cathode", "3"))
    assert float(cathode["emf"]) == stored
    assert np.isfinite(column(rows, "emf_sigma")).all()
    assert np.isfinite(column(rows, "disk_variance_sigma")).all()
    within = [row for row in rows if row["state"] != "7"]  # the simulated log ends before the run
    assert np.isfinite(column(within, "voltage_volt")).all()
    assert np.isnan(column(rows, "soc_counted")).all()
    assert {row["ra_um"] for row in rows} == {""}


def test_emf_is_relative_to_the_first_state_and_to_the_reference_in_columns_of_their_own(
    experiment, hexlive, tmp_path: Path
) -> None:
    """States 1 and 2 of one height, the second with a reference of another kind."""
    related = tmp_path / "related.nxs"
    with h5py.File(experiment[0] / "result.nxs") as whole, h5py.File(related, "w") as file:
        entry = file.create_group("entry")
        for name in ("process", "segment_0001", "segment_0004"):
            whole.copy(f"entry/{name}", entry)
        first, second = (entry[f"segment_{number:04d}"].attrs for number in (1, 4))
        assert (first["state"], second["state"]) == (1, 2)
        assert first["region"] == second["region"]
        second["emf_relative_mean"], second["emf_relative_mean_sigma"] = 1.25, 0.01
        ratio = second["emf_mean"] / first["emf_mean"]
    code, said = hexlive("export", related, "--out", tmp_path / "x", "--no-plots")
    assert code == 0, said
    one, two = table(tmp_path / "x" / "trend.csv")
    assert (two["emf_relative"], two["emf_relative_sigma"]) == ("1.25", "0.01")
    assert float(two["emf_over_first_state"]) == pytest.approx(ratio)
    assert (one["emf_relative"], one["emf_relative_sigma"]) == ("", "")
    assert float(one["emf_over_first_state"]) == 1


def test_marks_are_a_table_where_there_are_any(experiment, hexlive, tmp_path: Path) -> None:
    marked = tmp_path / "marked.nxs"
    shutil.copy(experiment[0] / "result.nxs", marked)
    known = MarkView(label='a, "b" ✓', time_s=1.5e9, frame=64, segment=2, state=1, soc=0.2)
    before_all = MarkView(label="early", time_s=1.4e9, frame=None, segment=None, state=None)
    with h5py.File(marked, "a") as file:
        _write_marks(file.create_group("entry/marks"), MarksResult(marks=(before_all, known)))
    code, said = hexlive("export", marked, "--out", tmp_path / "x", "--no-plots")
    assert code == 0, said
    early, late = table(tmp_path / "x" / "marks.csv")
    assert [early[name] for name in ("label", "time_s")] == ["early", "1400000000.0"]
    assert [early[name] for name in ("frame", "segment", "state", "soc")] == [""] * 4
    assert list(late.values()) == [known.label, "1500000000.0", "64", "2", "1", "0.2"]


@pytest.mark.parametrize("label", ["=1+1", "+49 30", "-2 C", "@here"])
def test_no_word_of_a_table_is_a_formula_of_a_spreadsheet(tmp_path: Path, label: str) -> None:
    (row,) = table(write_table(tmp_path / "t.csv", [{"label": label, "volt": -2.0, "n": -3}]))
    assert row == {"label": f"'{label}", "volt": "-2.0", "n": "-3"}


def test_maps_of_components_add_up_to_what_the_file_says(experiment) -> None:
    measured = read_result(experiment[0] / "result.nxs")
    for part in measured.components:
        maps = measured.component_maps(part.state)[part.name]
        assert maps.low.sum() / maps.high.sum() == pytest.approx(part.emf, rel=1e-9)


def test_rates_are_differences_of_the_trend(exported) -> None:
    trend = [row for row in table(exported / "trend.csv") if row["name"] == "anode"]
    rates = [row for row in table(exported / "rates.csv") if row["name"] == "anode"]
    assert [(row["state"], row["next_state"]) for row in rates] == [
        (str(state), str(state + 1)) for state in range(1, 7)
    ]
    emf, sigma, soc = (column(trend, name) for name in ("emf", "emf_sigma", "soc"))
    np.testing.assert_allclose(column(rates, "demf"), np.diff(emf))
    np.testing.assert_allclose(column(rates, "demf_per_soc"), np.diff(emf) / np.diff(soc))
    np.testing.assert_allclose(column(rates, "demf_sigma"), np.hypot(sigma[1:], sigma[:-1]))
    hours = np.diff(column(trend, "time_s")) / 3600
    np.testing.assert_allclose(column(rates, "demf_per_hour"), np.diff(emf) / hours, rtol=1e-4)


def test_profiles_have_unit_area_between_the_outer_limits(exported) -> None:
    rows = table(exported / "profiles.csv")
    one = [row for row in rows if (row["name"], row["state"]) == ("anode", "4")]
    pz_au, j = column(one, "pz_au"), column(one, "j")
    inside = np.abs(pz_au) < 5
    assert j[inside].sum() * 0.1 == pytest.approx(1, rel=1e-6)
    assert j[np.argmin(np.abs(pz_au))] == pytest.approx(j.max(), rel=0.05)


def test_the_charge_of_the_cycler_takes_the_place_of_the_announced_one(
    experiment, hexlive, tmp_path: Path
) -> None:
    result = experiment[0] / "result.nxs"
    words = ("export", result, "--out", tmp_path, "--no-plots", "--capacity-ah", 0.002)
    code, said = hexlive(*words)
    assert code == 0, said
    rows = [row for row in table(tmp_path / "trend.csv") if row["name"] == "region_2"]
    np.testing.assert_array_equal(column(rows, "soc"), column(rows, "soc_counted"))
    np.testing.assert_allclose(
        column(rows, "soc"), [0.0, 0.2, 0.71, 1.0, 0.78, 0.23, 0.0], atol=0.12
    )
    code, said = hexlive(*words, "--initial-soc", 0.1)
    shifted = [row for row in table(tmp_path / "trend.csv") if row["name"] == "region_2"]
    np.testing.assert_allclose(column(shifted, "soc"), column(rows, "soc") + 0.1)


def test_a_capacity_that_the_counted_charge_exceeds_is_said(
    experiment, hexlive, caplog, tmp_path: Path
) -> None:
    result = experiment[0] / "result.nxs"
    words = ("export", result, "--out", tmp_path, "--no-plots", "--capacity-ah")
    code, said = hexlive(*words, 0.002)
    assert code == 0, said
    assert "check the capacity" not in caplog.text
    code, said = hexlive(*words, 0.001)
    assert code == 0, said
    assert caplog.text.count("check the capacity of 0.001 A h") == 1


def gamry_log(path: Path, times_s: np.ndarray) -> Path:
    """Voltage rises by 0.1 V/s from 3 V."""
    rows = "".join(f"\t{i}\t{t}\t{3 + t / 10}\t0.001\n" for i, t in enumerate(times_s))
    head = f"TAG\tPWR\nCURVE\tTABLE\t{len(times_s)}\n\tPt\tT\tVf\tIm\n\t#\ts\tV\tA\n"
    path.write_text(head + rows)
    return path


def test_a_file_of_the_cycler_can_come_after_the_run(experiment, hexlive, tmp_path: Path) -> None:
    measured = read_result(experiment[0] / "result.nxs")
    begin_s = min(each.begin_s for each in measured.exposures.values())
    log = gamry_log(tmp_path / "log.DTA", np.arange(10.0))
    words = ("export", measured.path, "--out", tmp_path / "x", "--no-plots", "--cycler", log)
    code, said = hexlive(*words, "--cycler-offset", begin_s - 1)
    assert code == 0, said
    first = table(tmp_path / "x" / "trend.csv")[0]
    assert float(first["voltage_volt"]) == pytest.approx(3.11, abs=1e-4)
    assert float(first["voltage_volt_span"]) == pytest.approx(0.02, abs=1e-4)


def test_a_cycler_that_stopped_early_has_readings_of_what_it_saw(
    experiment, hexlive, tmp_path: Path
) -> None:
    """It covers the first exposure: the cathode in state 1, and no other region in any state."""
    measured = read_result(experiment[0] / "result.nxs")
    first = measured.exposures[1, 1]
    log = gamry_log(tmp_path / "log.DTA", np.array([0.0, first.end_s - first.begin_s]))
    code, said = hexlive(
        "export", measured.path, "--out", tmp_path / "x", "--no-plots", "--cycler", log,
        "--cycler-offset", first.begin_s,
    )  # fmt: skip
    assert code == 0, said
    rows = table(tmp_path / "x" / "trend.csv")
    read = {(row["name"], row["state"]) for row in rows if row["voltage_volt"]}
    assert read == {("region_1", "1")}


def test_a_clock_of_another_run_is_said_and_the_rest_is_written(
    experiment, hexlive, tmp_path: Path
) -> None:
    code, said = hexlive(
        "export", experiment[0] / "result.nxs", "--out", tmp_path, "--no-plots",
        "--cycler-offset", 1e6,
    )  # fmt: skip
    assert code == 1
    assert "The tables lack the cycler" in said
    assert "check the offset of its clock" in said
    assert np.isnan(column(table(tmp_path / "trend.csv"), "voltage_volt")).all()


def test_hxt_spectra_are_those_of_the_result(experiment, hexlive, tmp_path: Path) -> None:
    result = experiment[0] / "result.nxs"
    short = tmp_path / "short.nxs"
    with h5py.File(result) as whole, h5py.File(short, "w") as file:
        entry = file.create_group("entry")
        for name in ("process", "segment_0001"):
            whole.copy(f"entry/{name}", entry)
        counts = whole["entry/segment_0001/counts"][()]
        edges_kev = whole["entry/segment_0001/energy_edges_kev"][()]
    code, said = hexlive("export", short, "--out", tmp_path, "--no-plots", "--hxt")
    assert code == 0, said
    path = tmp_path / "segment_0001.hxt"
    bins, spectra = read_hxt(path)
    np.testing.assert_array_equal(bins, edges_kev[:-1])
    np.testing.assert_array_equal(spectra, counts)
    header = path.read_bytes()[:184]
    assert header[:8] == b"HEXITECH"
    assert header[8:16] == (3).to_bytes(8, "little")
    assert header[52:56] == (12).to_bytes(4, "little")
    assert header[56:68] == b"segment_0001"
    assert header[172:184] == np.array(counts.shape, "<u4").tobytes()


def test_without_matplotlib_there_are_tables_and_one_sentence(
    experiment, hexlive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, said = hexlive("export", experiment[0] / "result.nxs", "--out", tmp_path)
    assert code == 1
    assert "pip install 'hexlive[export]'" in said
    assert "Traceback" not in said
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}


def test_a_capacity_without_a_cycler_is_wrong_use(experiment, hexlive, tmp_path: Path) -> None:
    short = tmp_path / "short.nxs"
    with h5py.File(experiment[0] / "result.nxs") as whole, h5py.File(short, "w") as file:
        entry = file.create_group("entry")
        for name in ("process", "segment_0001"):
            whole.copy(f"entry/{name}", entry)
    code, said = hexlive("export", short, "--out", tmp_path / "x", "--capacity-ah", 0.002)
    assert code == 2
    assert "--cycler" in said


def test_the_truth_of_the_experiment_says_what_it_holds_for(experiment) -> None:
    known = json.loads((experiment[0] / "truth.json").read_text())
    assert known["occupancy"] == 0.01
    assert len(known["emf"]) == 42
