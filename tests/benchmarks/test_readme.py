"""The documents have the figures of the files that are kept, and no others."""

import json
from pathlib import Path

import pytest

from hexlive.benchmarks import readme
from hexlive.benchmarks.readme import BLOCK, ReadmeError, filled, together
from hexlive.benchmarks.table import Column, Table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
IN_SHORT = [RESULTS / "CPU.json"]
TABLE = Table(
    title="Two stages",
    columns=(
        Column(key="stage", heading="stage"),
        Column(key="rate_hz", heading="rate", unit="frames/s"),
        Column(key="ratio", heading="ratio", digits=1),
    ),
    rows=[
        {"stage": "one", "rate_hz": 403_271.9, "ratio": 1.0},
        {"stage": "two", "rate_hz": 98.76, "ratio": None},
    ],
    notes=["A note."],
    spreads_percent=[3.0],
)
DOCUMENT = {
    "machine": {"processor": "A processor", "cores": 2}, "suites": {"one": TABLE.record()}
}  # fmt: skip
TEXT = "Before.\n<!-- bench one: {keys} -->\n{inside}<!-- end of bench -->\nAfter.\n"


def test_a_block_becomes_the_table_of_its_suite_to_three_digits() -> None:
    text = filled(TEXT.format(keys="stage, rate_hz, ratio", inside="old\n"), DOCUMENT)
    inside = """| stage | rate, frames/s | ratio |
| --- | ---: | ---: |
| one | 403,000 | 1.0 |
| two | 99 |  |

A processor, 2 cores. Two stages. The machine was quiet: the turns lie at most 3 % apart.
"""
    assert text == TEXT.format(keys="stage, rate_hz, ratio", inside=inside)
    assert filled(text, DOCUMENT) == text


@pytest.mark.parametrize("block", ["one: nonsense", "two: stage"])
def test_figures_that_are_not_there_are_an_error(block: str) -> None:
    with pytest.raises(ReadmeError, match=r"has no column nonsense|have no suite two"):
        filled(f"<!-- bench {block} -->\n<!-- end of bench -->", DOCUMENT)


def test_the_command_fills_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, figures = tmp_path / "R.md", tmp_path / "f.json"
    text.write_text(TEXT.format(keys="stage", inside=""))
    figures.write_text(json.dumps(DOCUMENT))
    monkeypatch.setattr("sys.argv", ["readme", str(text), str(figures)])
    readme.main()
    assert "| one |" in text.read_text()


def test_of_a_suite_in_two_files_the_last_counts(tmp_path: Path) -> None:
    newer = {"machine": DOCUMENT["machine"], "suites": {"one": "newer"}}
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, document in zip(
        paths, [DOCUMENT | {"suites": {"one": 1, "two": 2}}, newer], strict=True
    ):
        path.write_text(json.dumps(document))
    assert together(paths)["suites"] == {"one": "newer", "two": 2}


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("README.md", IN_SHORT),
        ("docs/performance.md", [*IN_SHORT, *sorted(RESULTS.glob("CPU-*.json"))]),
    ],
)
def test_a_document_has_the_figures_that_are_kept(name: str, figures: list[Path]) -> None:
    text = (ROOT / name).read_text()
    assert BLOCK.search(text)
    assert filled(text, together(figures)) == text
