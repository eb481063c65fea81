"""A result that cannot be written is one sentence: the run goes on, and nothing it has is lost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream import sinks
from hexlive.stream.calibration import Calibration
from hexlive.stream.checkpoint import CheckpointFolder
from hexlive.stream.config import Config
from hexlive.stream.files import DiskFullError, FileError
from hexlive.stream.model import AnyMessage
from hexlive.stream.pipeline import Report
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sinks import ResultFile

LIMITED = (
    "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({},) * 2); "
    "from hexlive.stream.cli import main; main()"
)
SEGMENTS = [f"segment_{number:04d}" for number in range(1, 7)]


class Received:
    """A sink that keeps how many frames were counted."""

    def __init__(self) -> None:
        self.n_frames = 0

    def put(self, report: Report) -> None:
        self.n_frames = report.totals.received

    def close(self) -> None:
        pass


def live(make_source, messages: list[AnyMessage]):
    source = make_source(messages)
    source.live = True
    return source


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """No room for the second exposure, nor for any later; empty the list to make room."""
    asked = []

    def refuse(path: Path, n_bytes: int) -> None:
        asked.append(path)
        if len(asked) > 1:
            raise DiskFullError(f"No room for {path.name}: 1 MB are left.")

    monkeypatch.setattr(sinks, "require_room", refuse)
    return asked


def test_a_run_whose_result_has_no_room_goes_on_and_writes_it_when_started_again(
    make_source, sound_messages, config: Config, calibration: Calibration, tmp_path: Path,
    full: list[Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    outputs, received = Outputs(result=tmp_path / "r.nxs"), Received()
    checkpoint = CheckpointFolder(outputs.result)
    with pytest.raises(OSError, match=r"No result: No room for r\.nxs"):
        run_session(
            live(make_source, sound_messages), config, calibration, outputs,
            checkpoint=checkpoint, progress=received,
        )  # fmt: skip
    assert received.n_frames == 1152
    assert caplog.text.count("A live run goes on without it") == 1
    assert "started again, the run goes on from it" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["r.nxs.checkpoint"]
    monkeypatch.undo()
    run_session(live(make_source, []), config, calibration, outputs, checkpoint=checkpoint)
    whole = Outputs(result=tmp_path / "whole.nxs")
    run_session(make_source(sound_messages), config, calibration, whole)
    with h5py.File(outputs.result) as file, h5py.File(whole.result) as expected:
        assert [name for name in file["entry"] if name in SEGMENTS] == SEGMENTS
        for name in SEGMENTS:
            one, other = (each[f"entry/{name}/counts"][()] for each in (file, expected))
            np.testing.assert_array_equal(one, other)
    assert not checkpoint.path.exists()


def test_without_room_for_its_result_a_file_is_not_processed_to_its_end(
    make_source, sound_messages, config: Config, calibration: Calibration, tmp_path: Path,
    full: list[Path],
) -> None:  # fmt: skip
    taken = []

    def messages() -> Iterator[AnyMessage]:
        for message in sound_messages:
            taken.append(message)
            yield message

    outputs = Outputs(result=tmp_path / "r.nxs")
    with pytest.raises(OSError, match=r"No room for r\.nxs"):
        run_session(make_source(messages()), config, calibration, outputs)
    assert len(taken) < len(sound_messages)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit_bytes", [5_000, 20_000, 60_000])
def test_a_write_of_the_result_that_fails_is_one_sentence(
    source, config: Config, calibration: Calibration, calibration_file: Path, tmp_path: Path,
    limit_bytes: int,
) -> None:  # fmt: skip
    """HDF5 ends the process where it cannot write; at any place of the file."""
    made = Outputs(result=tmp_path / "live.nxs", recording=tmp_path / "recording.h5")
    run_session(source, config, calibration, made)
    assert made.result.stat().st_size > limit_bytes
    out = tmp_path / "out"
    out.mkdir()
    command = [
        sys.executable, "-c", LIMITED.format(limit_bytes), "process", str(made.recording),
        "--calibration", str(calibration_file), "--out", str(out / "result.nxs"),
    ]  # fmt: skip
    tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert tried.returncode == 1, tried.stderr
    assert "cannot be written: File too large" in tried.stderr
    assert "Traceback" not in tried.stderr
    assert not list(out.iterdir())


def test_two_runs_do_not_write_one_result(tmp_path: Path, config: Config) -> None:
    path, edges = tmp_path / "r.nxs", config.spectrum.edges_kev
    first = ResultFile(path, edges, {})
    with pytest.raises(FileError, match="another run is writing it"):
        ResultFile(path, edges, {})
    first.close()
    with h5py.File(path) as file:
        assert "entry/process" in file
    ResultFile(path, edges, {}).discard()
    assert [each.name for each in tmp_path.iterdir()] == ["r.nxs"]
