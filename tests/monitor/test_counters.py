"""The counters of a run in words: all of them, and what counted."""

import json
from typing import Any

from msgspec.structs import replace

from hexlive.monitor.counters import counter_rows
from hexlive.stream.model import Snapshot
from hexlive.stream.wire import decode, encode


def rows(snapshot: Snapshot, **changes: Any) -> list[tuple[str, str, str]]:
    return list(counter_rows(replace(snapshot.health, **changes), float(snapshot.hits.sum())))


def test_what_was_received_and_lost_adds_up_with_its_shares(snapshot: Snapshot) -> None:
    found = rows(snapshot, frames_expected=1000, frames_received=988, frames_missing=12)
    assert found[:3] == [
        ("frames expected", "1,000", ""),
        ("frames received", "988", "98.8 %"),
        ("frames lost", "12", "1.2 %"),
    ]


def test_a_gpu_is_named_with_its_memory(snapshot: Snapshot) -> None:
    found = rows(snapshot, computing="Imagined GPU", gpu_used_mb=1234.4, gpu_total_mb=24_688.0)
    assert found[-2:] == [
        ("counted on Imagined GPU", "", ""),
        ("GPU memory, of 24,688 MB", "1,234 MB", "5 %"),
    ]


def test_without_a_gpu_nothing_is_said_of_its_memory(snapshot: Snapshot) -> None:
    found = rows(snapshot, computing="CPU, 2 threads (numba)")
    assert found[-1] == ("counted on CPU, 2 threads (numba)", "", "")
    assert not any("GPU" in row[0] for row in found)


def test_a_run_of_an_older_version_says_nothing_of_its_device(snapshot: Snapshot) -> None:
    header, *arrays = encode(snapshot)
    fields = json.loads(bytes(header))
    for name in ("computing", "gpu_used_mb", "gpu_total_mb", "result_fault"):
        del fields["health"][name]
    older = decode([json.dumps(fields).encode(), *arrays])
    assert isinstance(older, Snapshot)
    assert [row[0] for row in rows(older)][-1] == "room on the disk"
