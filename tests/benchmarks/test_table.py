import json
from dataclasses import replace

import pytest

from hexlive.benchmarks.table import Column, Table

TABLE = Table(
    title="two stages",
    columns=(
        Column(key="stage", heading="stage"),
        Column(key="rate_hz", heading="rate", unit="frames/s"),
        Column(key="ratio", heading="ratio", unit="x", digits=2),
    ),
    rows=[
        {"stage": "simulator", "rate_hz": 1234567.4, "ratio": 3.14159},
        {"stage": "ZeroMQ", "rate_hz": 98.6, "ratio": None},
    ],
    notes=["A note."],
)


def test_figures_stand_under_their_unit_and_absent_ones_say_so() -> None:
    assert TABLE.text().splitlines() == [
        "two stages",
        "",
        "stage           rate  ratio",
        "            frames/s      x",
        "simulator  1,234,567   3.14",
        "ZeroMQ            99    n/a",
        "",
        "A note.",
    ]


def test_the_record_keeps_every_digit_and_survives_json() -> None:
    record = json.loads(json.dumps(TABLE.record()))
    assert record["rows"][0]["rate_hz"] == 1234567.4
    assert record["rows"][1]["ratio"] is None
    assert record["columns"][1] == {
        "key": "rate_hz", "heading": "rate", "unit": "frames/s", "digits": 0, "given": False,
    }  # fmt: skip
    assert record["noise_percent"] is None
    assert record["notes"] == ["A note."]


def test_a_row_without_one_of_the_columns_is_an_error() -> None:
    table = Table(title="", columns=TABLE.columns, rows=[{"stage": "simulator"}])
    with pytest.raises(KeyError, match="rate_hz"):
        table.text()


def test_the_table_says_how_steady_the_machine_was() -> None:
    table = replace(TABLE, spreads_percent=[4.0, None, 30.0])
    assert table.text().splitlines()[-1].startswith("The machine was NOISY")
    assert table.record()["noise_percent"] == 30.0
