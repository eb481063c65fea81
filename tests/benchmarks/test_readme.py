"""README.md has the figures of the file that is kept, and no others."""

import json
from pathlib import Path

import pytest

from hexlive.benchmarks import readme
from hexlive.benchmarks.readme import BLOCK, ReadmeError, filled
from hexlive.benchmarks.table import Column, Table

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "benchmarks/results/CPU.json"
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


def test_the_readme_is_what_the_figures_give() -> None:
    text = (ROOT / "README.md").read_text()
    if not BLOCK.search(text):
        pytest.skip("README.md has no <!-- bench ... --> block yet")
    assert filled(text, json.loads(FIGURES.read_text())) == text
