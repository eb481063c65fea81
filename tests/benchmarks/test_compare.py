"""Figures beside those of before."""

import copy
from typing import Any

import pytest

from hexlive.benchmarks.compare import compared
from hexlive.benchmarks.table import Column, Table

TABLE = Table(
    title="",
    columns=(
        Column(key="program", heading="program"),
        Column(key="size", heading="size", unit="px", given=True),
        Column(key="rate_hz", heading="rate", unit="frames/s"),
        Column(key="spread_percent", heading="spread", unit="%"),
    ),
    rows=[
        {"program": "a", "size": 1.0, "rate_hz": 100.0, "spread_percent": 2.0},
        {"program": "a", "size": 2.0, "rate_hz": 200.0, "spread_percent": 3.0},
        {"program": "b", "size": 1.0, "rate_hz": None, "spread_percent": None},
    ],
    spreads_percent=[4.0, None],
)


def document(**machine: object) -> dict[str, Any]:
    return {"machine": {"cores": 2} | machine, "suites": {"one": TABLE.record()}}


def changed(factor: float, noise_percent: float = 0.0) -> dict[str, Any]:
    new = copy.deepcopy(document())
    new["suites"]["one"]["rows"][1]["rate_hz"] *= factor
    new["suites"]["one"]["rows"][1]["spread_percent"] *= 5  # is no figure
    new["suites"]["one"]["noise_percent"] = noise_percent
    return new


@pytest.mark.parametrize(
    ("factor", "noise_percent", "beyond"),
    [
        (1.0, 0.0, False), (1.09, 0.0, False), (1.2, 0.0, True), (0.8, 0.0, True),
        (1.2, 25.0, False), (1 / 1.24, 25.0, False), (1 / 1.26, 25.0, True),
    ],
)  # fmt: skip
def test_a_change_counts_where_noise_does_not_explain_it(
    factor: float, noise_percent: float, beyond: bool
) -> None:
    table = compared(document(), changed(factor, noise_percent))
    assert [row["ratio"] for row in table.rows] == pytest.approx([1.0, factor])
    assert [row["verdict"] != "" for row in table.rows] == [False, beyond]
    assert table.notes == [f"{int(beyond)} of 2 figures differ beyond noise."]


def test_rows_are_matched_by_what_was_chosen_not_by_their_place() -> None:
    new = document()
    new["suites"]["one"]["rows"].reverse()
    table = compared(document(), new)
    assert {row["row"]: row["ratio"] for row in table.rows} == {"a, 1.0": 1.0, "a, 2.0": 1.0}


def test_what_was_not_measured_before_is_left_out() -> None:
    new = document()
    new["suites"]["two"] = TABLE.record()
    assert {row["suite"] for row in compared(document(), new).rows} == {"one"}


def test_another_machine_is_said() -> None:
    assert compared(document(), document(cores=8)).notes[1] == (
        "The machines differ: cores was 2, is 8."
    )
