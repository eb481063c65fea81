"""Campaigns on a real cluster of two processes: the results of ``process``, whatever happens."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.campaign.book import Entry
from hexlive.stream.campaign.running import Campaign, Order, Watcher
from hexlive.stream.config import to_toml
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.stopping import Stop

BATCH_FRAMES = 37  # does not divide an exposure, nor a message


class Each(Watcher):
    """Calls a function with every batch, another with every recording."""

    def __init__(
        self,
        counted: Callable[[], object] = lambda: None,
        finished: Callable[[], object] = lambda: None,
    ) -> None:
        self._counted, self._finished = counted, finished
        self.entries: list[Entry] = []

    def counted(self, n_frames: int, n_expected: int) -> None:
        self._counted()

    def finished(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._finished()


@pytest.fixture
def order(config, calibration, tmp_path: Path) -> Order:
    (tmp_path / "out").mkdir()
    return Order(
        files=[], out=tmp_path / "out", config=config, calibration=calibration,
        batch_frames=BATCH_FRAMES,
    )  # fmt: skip


@pytest.fixture
def process(config, calibration, tmp_path: Path):
    """The result that one process makes."""

    def made(path: Path, config=config) -> Path:
        result = tmp_path / f"{path.stem}_process.nxs"
        run_session(open_file(path), config, calibration, Outputs(result=result))
        return result

    return made


def done(order: Order, client, *files: Path, watcher: Watcher | None = None) -> list[Entry]:
    """Run a campaign to its end."""
    campaign = Campaign(replace(order, files=list(files)))
    campaign.run(client, Stop(), watcher or Watcher())
    return campaign.entries()


def damage(path: Path) -> Path:
    """Spoil the last frames of a recording."""
    with h5py.File(path) as file:
        frames = file["entry/instrument/detector/data"]
        chunk = frames.id.get_chunk_info(frames.id.get_num_chunks() - 1)
    with path.open("rb+") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    return path


def test_each_result_is_that_of_process(
    order, client, record, process, assert_same_results
) -> None:
    files = [record("a.h5", 1), record("b.h5", 2, lose=(0, 4, 7)), record("c.h5", 3, lose=(14,))]
    entries = done(order, client, *files)
    assert [(e.status, e.frames, e.missing) for e in entries] == [
        ("done", 900, 0), ("done", 720, 180), ("done", 840, 60),
    ]  # fmt: skip
    for path, entry in zip(files, entries, strict=True):
        assert entry.result == f"{path.stem}/result.nxs"
        assert_same_results(order.out / entry.result, process(path))
    with h5py.File(order.out / "a/result.nxs") as file:
        assert len(file["entry/drift/time"]) > 3
        assert np.ptp(file["entry/drift/applied_gain"][()]) > 0
        assert file["entry/process/backend"].asstr()[()] == "cluster"


@pytest.mark.parametrize(
    "events",
    [{"next_frame": True}, {"dither": True, "keep_multiplicity": True}],
    ids=["next frame", "dither and multiplicity"],
)
def test_rules_that_need_numbers_and_neighbours_of_frames_hold_across_batches(
    order, client, record, process, with_events, assert_same_results, events: dict[str, bool]
) -> None:
    path, config = record("a.h5", lose=(2,)), with_events(**events)
    (entry,) = done(replace(order, config=config), client, path)
    assert_same_results(order.out / entry.result, process(path, config))


def test_a_killed_worker_costs_time_only(
    order, client, record, process, assert_same_results
) -> None:
    pids = client.run(os.getpid)
    victim = next(iter(pids.values()))
    killed: list[int] = []

    def kill_once() -> None:
        if not killed:
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    files = [record("a.h5", 1), record("b.h5", 2)]
    entries = done(order, client, *files, watcher=Each(counted=kill_once))
    assert killed
    assert [entry.status for entry in entries] == ["done", "done"]
    for path, entry in zip(files, entries, strict=True):
        assert_same_results(order.out / entry.result, process(path))
    client.wait_for_workers(2, timeout=30)
    assert victim not in client.run(os.getpid).values()


def test_a_file_that_cannot_be_used_is_one_sentence_and_the_others_are_done(
    order, client, record, tmp_path: Path
) -> None:
    (tmp_path / "text.h5").write_text("no frames")
    files = [
        damage(record("damaged.h5")), tmp_path / "text.h5", tmp_path / "absent.h5",
        record("good.h5"),
    ]  # fmt: skip
    entries = done(order, client, *files)
    assert [entry.status for entry in entries] == 3 * ["failed"] + ["done"]
    assert "damaged.h5 is damaged at row" in entries[0].sentence
    assert "text.h5 is not a readable HDF5 file" in entries[1].sentence
    assert "There is no file" in entries[2].sentence
    assert not any("\n" in entry.sentence for entry in entries)
    assert sorted(path.name for path in order.out.iterdir()) == ["campaign.json", "good"]
    assert [path.name for path in (order.out / "good").iterdir()] == ["result.nxs"]


def test_a_stopped_campaign_goes_on_where_it_was(order, client, record) -> None:
    files, stop = [record(f"{name}.h5", seed) for seed, name in enumerate("abc")], Stop()
    first = Campaign(replace(order, files=files))
    with pytest.raises(InterruptedError):
        first.run(client, stop, Each(finished=stop.request))
    assert [entry.recording for entry in first.entries()] == [str(files[0])]
    made = (order.out / "a/result.nxs").stat().st_mtime_ns
    assert not list(order.out.rglob("*.part"))

    second, watcher = Campaign(replace(order, files=files)), Each()
    assert (second.n_kept, second.n_todo) == (1, 2)
    second.run(client, Stop(), watcher)
    assert [entry.recording for entry in watcher.entries] == [str(path) for path in files[1:]]
    assert [entry.status for entry in second.entries()] == 3 * ["done"]
    assert (order.out / "a/result.nxs").stat().st_mtime_ns == made


def test_what_has_changed_is_done_again(order, client, record, with_events) -> None:
    a, b = record("a.h5", 1), record("b.h5", 2)
    order = replace(order, files=[a, b])
    done(order, client, a, b)
    assert Campaign(order).n_todo == 0
    os.utime(a, ns=(0, 0))
    assert Campaign(order).n_todo == 1
    (order.out / "b/result.nxs").unlink()
    assert Campaign(order).n_todo == 2
    done(order, client, a, b)
    assert Campaign(order).n_todo == 0
    assert Campaign(replace(order, config=with_events(dither=True))).n_todo == 2
    assert Campaign(replace(order, calibration=replace(order.calibration, id="new"))).n_todo == 2


def test_the_command_says_how_each_recording_went(
    hexlive, client, config, record, calibration_file, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(to_toml(config))
    words = (
        "campaign", record("good.h5", lose=(3,)), damage(record("damaged.h5")),
        "--calibration", calibration_file, "--config", tmp_path / "c.toml",
        "--scheduler", client.scheduler.address, "--out", tmp_path / "out",
    )  # fmt: skip
    code, said = hexlive(*words)
    assert code == 1
    assert f"1 of 2 recordings failed; see {tmp_path / 'out/campaign.json'}." in said
    (told,) = (line for line in said.splitlines() if line.startswith(f"{tmp_path}/damaged.h5"))
    assert told.count("damaged.h5") == 1
    assert "is damaged at row" in told
    assert "840" in said
    page = json.loads((tmp_path / "out/campaign.json").read_text())
    assert [entry["status"] for entry in page["recordings"]] == ["done", "failed"]
    code, said = hexlive(*words)
    assert code == 1
    assert "1 of 2 recordings were done before" in said
