"""Figures beside those of before: the ratio of each, and which of them noise does not explain."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.benchmarks.turns import NOISY_PERCENT

Document = dict[str, Any]
Key = tuple[object, ...]
PERCENT: Final = 100.0
SPREAD: Final = "spread_percent"  # how steady a measurement was is no figure of what was measured
COLUMNS: Final = (
    Column(key="suite", heading="suite"),
    Column(key="row", heading="of"),
    Column(key="figure", heading="figure"),
    Column(key="before", heading="before"),
    Column(key="now", heading="now"),
    Column(key="ratio", heading="ratio", unit="x", digits=2),
    Column(key="verdict", heading=""),
)


def compared(before: Document, now: Document) -> Table:
    """Every figure that both documents have.

    A ratio is beyond noise where it differs from 1 by more than the turns of either measurement lay
    apart, and by more than 10 %.

    Parameters
    ----------
    before, now
        As ``hexlive bench --json`` writes them.
    """
    rows = [
        row
        for suite, record in now["suites"].items()
        if suite in before["suites"]
        for row in _compared_suite(suite, before["suites"][suite], record)
    ]
    beyond = sum(row["verdict"] != "" for row in rows)
    notes = [f"{beyond} of {len(rows)} figures differ beyond noise."]
    if before["machine"] != now["machine"]:
        notes.append(f"The machines differ: {_difference(before['machine'], now['machine'])}.")
    return Table(title="Compared with before", columns=COLUMNS, rows=rows, notes=notes)


def _compared_suite(suite: str, before: Document, now: Document) -> Iterator[dict[str, Cell]]:
    known = dict(_keyed(before))
    noise_percent = max(NOISY_PERCENT, _noise(before), _noise(now))
    for key, row in _keyed(now):
        for column in now["columns"]:
            if (name := column["key"]) == SPREAD:
                continue
            old, new = known.get(key, {}).get(name), row.get(name)
            if _given(column, new) or not isinstance(old, int | float) or new is None or not old:
                continue
            ratio = new / old
            yield {
                "suite": suite,
                "row": ", ".join(str(part) for part in key[:-1]),
                "figure": " ".join(filter(None, (column["heading"], column["unit"]))),
                "before": f"{old:.4g}",
                "now": f"{new:.4g}",
                "ratio": ratio,
                "verdict": "beyond noise" if _beyond(ratio, noise_percent) else "",
            }


def _beyond(ratio: float, noise_percent: float) -> bool:
    """Up and down alike: twice as much is as far as half as much."""
    return ratio <= 0 or abs(math.log(ratio)) > math.log1p(noise_percent / PERCENT)


def _keyed(record: Document) -> Iterator[tuple[Key, Document]]:
    """Each row by what was chosen, and by its place among those of the same choice."""
    seen: Counter[Key] = Counter()
    for row in record["rows"]:
        names = [c["key"] for c in record["columns"] if _given(c, row.get(c["key"]))]
        key = tuple(row[name] for name in names)
        seen[key] += 1
        yield (*key, seen[key]), row


def _given(column: Document, cell: object) -> bool:
    return isinstance(cell, str) or bool(column.get("given"))


def _noise(record: Document) -> float:
    return record.get("noise_percent") or 0.0


def _difference(before: Document, now: Document) -> str:
    return "; ".join(
        f"{name} was {before.get(name)}, is {now.get(name)}"
        for name in now
        if before.get(name) != now.get(name)
    )
