import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexlive.benchmarks import app, campaign, gpu, latency, reconstruct, stages, throughput
from hexlive.benchmarks.frames import OCCUPANCIES, THRESHOLD_ADU, make_frames
from hexlive.benchmarks.kernels import COLUMNS
from hexlive.kernels.backend import BackendUnavailableError

SMALL = {
    "modules": ("--module-turns", "1"),
    "reconstruct": ("--size", "40/60", "--ct-turns", "2"),
    "kernels": ("--backend", "cpu", "--turns", "2", "--frames", "32"),
    "throughput": ("--seconds", "0.2", "--rounds", "1", "--sustain", "0"),
    "soak": ("--soak", "1"),
    "monitor": ("--watch", "0.5", "--pages", "overview"),
    "latency": ("--latency-seconds", "0.7"),
    "memory": ("--memory-seconds", "0.1"),
    "startup": ("--startup-turns", "1", "--cold-turns", "0"),
    "campaign": ("--campaign-seconds", "0.2", "--campaign-turns", "1"),
    "ct": ("--ct-projections", "60", "--ct-rows", "3", "--ct-columns", "64", "--ct-ms", "1"),
}
Bench = Callable[..., tuple[object, str]]
Figures = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def in_short() -> Iterator[None]:
    """What makes figures steady, which no test needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruct, "STEADY_S", 0.01)
        patch.setattr(stages, "SETTLE_S", 0.2)
        patch.setattr(latency, "WARM_UP_S", 0.3)
        patch.setattr(latency, "REPORTS_HZ", (10.0,))
        # The stages in between are those of the suites memory and latency.
        patch.setattr(throughput, "STAGES", ("transport", "record", "monitor"))
        patch.setattr(campaign, "DIFFERENT_S", 0.2)
        yield


@pytest.fixture(scope="module")
def figures(in_short: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Figures]:
    """The JSON of a suite, which is measured once for all tests of this file."""

    @cache
    def of(suite: str) -> Figures:
        path = tmp_path_factory.mktemp(suite) / "new" / "figures.json"
        words = ["bench", suite, *SMALL[suite], "--json", str(path)]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as said:
            patch.setattr("sys.argv", words)
            app.main()
        return written(path, suite, said.getvalue())

    return of


@pytest.fixture
def no_gpu() -> None:
    try:
        name = gpu.describe_gpu()["name"]
    except BackendUnavailableError:
        return
    pytest.skip(f"there is a GPU here ({name})")


def written(path: Path, suite: str, said: str) -> Figures:
    """What a suite wrote, of which it printed a table."""
    document = json.loads(path.read_text())
    assert document["suites"][suite]["title"] in said
    return document


def measured(call_bench: Bench, path: Path, suite: str, *words: str) -> Figures:
    """The JSON of a suite with other options or on another machine."""
    ended, said = call_bench(suite, *SMALL[suite], *words, "--json", path)
    assert ended is None, said
    return written(path, suite, said)


@pytest.mark.parametrize("suite", app.SUITES)
def test_every_row_has_a_figure_for_every_column(
    figures: Callable[[str], Figures], suite: str
) -> None:
    record = figures(suite)["suites"][suite]
    keys = {column["key"] for column in record["columns"]}
    assert record["rows"]
    assert all(set(row) == keys for row in record["rows"])


def test_the_kernels_are_compared_at_every_occupancy(figures: Callable[[str], Figures]) -> None:
    rows = figures("kernels")["suites"]["kernels"]["rows"]
    assert [row["occupancy_percent"] for row in rows] == [100 * o for o in OCCUPANCIES]
    assert all(row["per_core_hz"] > 0 < row["limit_percent"] for row in rows)
    assert all(row["memory_mib"] > 80 * 80 * 1000 * 4 / 2**20 for row in rows)


def test_figures_say_where_they_come_from_but_not_when(figures: Callable[[str], Figures]) -> None:
    document = figures("kernels")
    assert set(document) == {"machine", "compiler", "gpu", "suites"}
    assert document["machine"]["processor"]
    assert document["machine"]["cores"] >= 1
    assert {"numpy", "numba"} <= set(document["machine"]["packages"])


def test_all_policies_can_be_compared(call_bench: Bench, tmp_path: Path) -> None:
    document = measured(call_bench, tmp_path / "k.json", "kernels", "--policy", "all")
    policies = {row["policy"] for row in document["suites"]["kernels"]["rows"]}
    assert policies == {"add", "discriminate", "none"}


def test_without_a_compiler_the_comparator_is_absent_and_the_table_says_so(
    call_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    document = measured(call_bench, tmp_path / "k.json", "kernels")
    record = document["suites"]["kernels"]
    absent = ("facility_hz", "ratio", "native_ratio")
    assert all(row[key] is None for row in record["rows"] for key in absent)
    assert document["compiler"] is None
    assert any("No C++ compiler" in note for note in record["notes"])


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_its_figures_are_absent_and_the_table_says_so(
    call_bench: Bench, tmp_path: Path
) -> None:
    document = measured(call_bench, tmp_path / "k.json", "kernels", "--backend", "all")
    record = document["suites"]["kernels"]
    assert {row["backend"] for row in record["rows"]} == {"cpu"}
    assert any(note.startswith("No CUDA figures: ") for note in record["notes"])
    assert document["gpu"] is None


def test_reconstructions_are_compared_with_other_programs_and_with_the_phantom(
    figures: Callable[[str], Figures],
) -> None:
    record = figures("reconstruct")["suites"]["reconstruct"]
    rows = {row["program"]: row for row in record["rows"]}
    assert {"fourier", "numba", "ASTRA FBP", "scikit-image", "algotom fbp"} <= set(rows)
    assert all(row["seconds_per_slice"] > 0 < row["to_bare"] for row in rows.values())
    assert rows["bare finufft"]["rmse"] is None
    assert rows["fourier"]["rmse"] <= min(
        row["rmse"] for row in rows.values() if row["rmse"] is not None
    )
    chunks = next(note for note in record["notes"] if "12 rows of 40 columns" in note)
    within, peak = (int(found) for found in re.findall(r"(\d+) MB", chunks))
    assert peak <= within


def test_an_absent_program_is_said_and_left_out(
    call_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "algotom.rec.reconstruction", None)
    document = measured(call_bench, tmp_path / "r.json", "reconstruct")
    record = document["suites"]["reconstruct"]
    assert not any("algotom" in row["program"] for row in record["rows"])
    assert any("algotom needs algotom.rec.reconstruction" in note for note in record["notes"])


@pytest.mark.usefixtures("no_gpu")
def test_asking_for_a_gpu_that_is_not_there_is_one_sentence(call_bench: Bench) -> None:
    ended, _ = call_bench("kernels", "--backend", "cuda")
    assert str(ended).startswith("hexlive: CUDA ")
    assert "\n" not in str(ended)


def test_a_suite_may_be_called_by_the_name_of_its_subject(call_bench: Bench) -> None:
    ended, said = call_bench("reconstruction", "--help")
    assert ended == 0
    assert "--block-rows" in said


def test_an_unknown_suite_is_wrong_use(call_bench: Bench) -> None:
    ended, said = call_bench("nonsense")
    assert ended == 2
    assert "nonsense" in said


def test_help_shows_the_options_of_the_suite_and_an_example(call_bench: Bench) -> None:
    ended, said = call_bench("kernels", "--help")
    assert ended == 0
    assert "--turns" in said
    assert app.EPILOG in said


@pytest.mark.parametrize(
    ("name", "stem"),
    [("NVIDIA H200", "nvidia-h200"), ("NVIDIA A100-SXM4 (80GB)", "nvidia-a100-sxm4-80gb")],
)
def test_a_gpu_names_its_file(name: str, stem: str) -> None:
    assert gpu.file_stem(name) == stem


@pytest.mark.parametrize("occupancy", OCCUPANCIES)
def test_the_frames_have_the_occupancy_that_they_claim(occupancy: float) -> None:
    hit = make_frames(occupancy, 200) >= THRESHOLD_ADU
    assert hit.mean() == pytest.approx(occupancy, rel=0.08)


def test_three_in_ten_photons_are_shared() -> None:
    hit = make_frames(0.001, 2000) >= THRESHOLD_ADU
    pairs = np.count_nonzero(hit[:, :, 1:] & hit[:, :, :-1])
    assert pairs / (np.count_nonzero(hit) - pairs) == pytest.approx(0.3, abs=0.03)


def test_every_kernel_column_has_its_own_key() -> None:
    keys = [column.key for column in COLUMNS]
    assert len(set(keys)) == len(keys)
