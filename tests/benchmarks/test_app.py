"""The program around the suites: which run, how long, and where their figures go."""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hexlive.benchmarks import app
from hexlive.benchmarks.table import Column, Table

COLUMNS = (Column(key="length", heading="length", unit="s"),)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, call_bench, tmp_path: Path):
    """The program with two suites, of which one cannot be imported; its exit code and words."""

    def add_options(parser: ArgumentParser) -> None:
        parser.add_argument("--length", type=float, default=60.0)

    def run(options: Namespace) -> Table:
        return Table(title="Here", columns=COLUMNS, rows=[{"length": options.length}])

    suite = SimpleNamespace(QUICK={"length": 1.0}, add_options=add_options, run=run)
    monkeypatch.setitem(sys.modules, "here", suite)
    monkeypatch.setattr(app, "SUITES", {"here": "here", "elsewhere": "not_installed"})
    monkeypatch.chdir(tmp_path)

    return call_bench


@pytest.mark.parametrize(
    ("words", "length"),
    [((), 1), (("--full",), 60), (("here",), 60), (("here", "--quick"), 1),
     (("here", "--quick", "--length", 5), 5)],
)  # fmt: skip
def test_all_suites_are_short_and_one_is_long_unless_asked(
    bench, words: tuple[object, ...], length: float
) -> None:
    ended, _ = bench(*words, "--json")
    assert ended is None
    document = json.loads(Path("bench.json").read_text())
    assert document["suites"]["here"]["rows"] == [{"length": length}]


def test_a_suite_that_cannot_run_is_left_out_of_all_and_said(bench) -> None:
    ended, said = bench()
    assert ended is None
    assert "The suite elsewhere needs not_installed, which is not installed." in said
    ended, _ = bench("elsewhere")
    assert ended == "hexlive: The suite elsewhere needs not_installed, which is not installed."


def test_a_suite_that_fails_is_said_and_the_others_are_written(bench, monkeypatch) -> None:
    def run(options: Namespace) -> Table:
        raise RuntimeError("There was no wind.")

    fails = SimpleNamespace(QUICK={}, add_options=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "fails", fails)
    monkeypatch.setattr(app, "SUITES", {"fails": "fails", "here": "here"})
    ended, said = bench("--json")
    assert ended == "hexlive: The suite fails failed: There was no wind."
    assert "Here" in said
    assert list(json.loads(Path("bench.json").read_text())["suites"]) == ["here"]


def test_figures_are_compared_with_those_of_an_earlier_file(bench) -> None:
    bench("here", "--length", 10, "--json", "old.json")
    ended, said = bench("here", "--length", 25, "--compare", "old.json")
    assert ended is None
    assert "2.50  beyond noise" in said
    ended, _ = bench("here", "--compare", "absent.json")
    assert "absent.json" in str(ended)
