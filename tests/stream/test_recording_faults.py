"""A disk that is full, read-only or robbed of its file ends the recording, and nothing else."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from hexlive.stream.files import index_of
from hexlive.stream.model import AnyMessage, Frames, Start
from hexlive.stream.recorder import RESERVE_BYTES
from hexlive.stream.recordings import open_file
from hexlive.stream.recovery import recover
from hexlive.stream.sending import ZmqSender
from hexlive.stream.session import Outputs, run_session

NOISE = np.random.default_rng(1).integers(0, 65536, (50, 80, 80)).astype("<u2")
PROGRAM = "from hexlive.stream.cli import main; main()"
LIMITED = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (4_000_000,) * 2); {PROGRAM}"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with these options; for root only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounts = []

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        mounts.append(folder)
        return folder

    yield mount
    for each in mounts:
        subprocess.run(["umount", str(each)], check=True)


def noise() -> Iterator[AnyMessage]:
    """Frames that do not pack, 0.6 MB in each batch, without end."""
    yield Start(series="s", rows=80, columns=80, frame_rate_hz=9000.0, started_s=0.0)
    for first in count(0, len(NOISE)):
        yield Frames(series="s", first_frame=first, timestamp_s=0.0, frames=NOISE)


def record(out: Path, address: str, program: str = PROGRAM) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, "record", "--from", address, "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def send_until_it_ends(
    process: "subprocess.Popen[str]", address: str, meanwhile: Callable[[], object] = list
) -> str:
    """Send without end, doing something else in between; gives what the receiver said."""
    try:
        with closing(ZmqSender(address, should_stop=lambda: process.poll() is not None)) as sender:
            sender._endpoint.socket.linger = 0
            for message in noise():
                meanwhile()
                if not sender.send(message):
                    break
                time.sleep(0.005)
        return process.communicate(timeout=30)[0]
    finally:
        process.kill()


def test_a_write_that_fails_ends_the_recording_with_a_sentence(
    tmp_path: Path, free_addresses: list[str]
) -> None:
    path = tmp_path / "recording.h5"
    recorder = record(path, free_addresses[0], LIMITED)
    said = send_until_it_ends(recorder, free_addresses[0])
    assert recorder.returncode == 1, said
    assert f"{path} cannot be written: File too large" in said
    assert f"hexlive recover {path}" in said
    assert "Traceback" not in said
    recover(path)
    batches = [message.frames for message in open_file(path) if isinstance(message, Frames)]
    assert sum(map(len, batches)) >= 256
    for frames in batches:
        np.testing.assert_array_equal(frames, NOISE[: len(frames)])


def test_a_recording_that_was_removed_is_missed(tmp_path: Path, free_addresses: list[str]) -> None:
    path = tmp_path / "recording.h5"
    recorder = record(path, free_addresses[0])

    def remove() -> None:
        if path.exists() and path.stat().st_size > 1_000_000:
            path.unlink()

    said = send_until_it_ends(recorder, free_addresses[0], remove)
    assert recorder.returncode == 1, said
    assert f"{path} was removed or renamed while it was being written" in said
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_without_the_recording_that_was_removed(
    source, make_source, config, calibration, tmp_path: Path, caplog
) -> None:
    outputs = Outputs(result=tmp_path / "r.nxs", recording=tmp_path / "recording.h5")

    def messages() -> Iterator[AnyMessage]:
        for number, message in enumerate(source):
            if number == 9:
                outputs.recording.rename(tmp_path / "elsewhere.h5")
                while "removed or renamed" not in caplog.text:
                    time.sleep(0.01)
            yield message

    outcome = run_session(make_source(messages()), config, calibration, outputs)
    assert "removed or renamed" in outcome.faults[0]
    assert outcome.report.totals == (1152, 1152)
    assert outputs.result.exists()
    assert open_file(tmp_path / "elsewhere.h5").n_frames > 0
    assert not index_of(outputs.recording).exists()


def test_a_full_disk_ends_the_recording_and_not_the_run(
    source, config, calibration, tmp_path: Path, mounted
) -> None:
    disk = mounted(f"size={RESERVE_BYTES + 1_100_000}")
    outputs = Outputs(result=tmp_path / "r.nxs", recording=disk / "recording.h5")
    outcome = run_session(source, config, calibration, outputs)
    assert "No room for recording.h5" in outcome.faults[0]
    assert outcome.report.totals == (1152, 1152)
    assert outputs.result.exists()
    assert 0 < open_file(outputs.recording).n_frames < 1152
    assert [each.name for each in disk.iterdir()] == ["recording.h5"]


@pytest.mark.parametrize("command", ["run", "record"])
def test_a_read_only_folder_is_refused_before_anything_starts(
    hexlive, calibration_file, tmp_path: Path, free_addresses, mounted, command
) -> None:
    recording, config = mounted("ro") / "recording.h5", tmp_path / "live.toml"
    config.write_text(
        f'[detector]\nrows = 12\ncolumns = 10\ncalibration = "{calibration_file}"\n'
        f'[stream]\ninput = "{free_addresses[0]}"\nrecord = "{recording}"\n'
        f'result = "{tmp_path / "r.nxs"}"\n'
    )
    record = ("record", "--from", free_addresses[0], "--out", recording)
    code, said = hexlive(*(("run", "--config", config) if command == "run" else record))
    assert code == 1
    assert said == f"hexlive: Cannot write {recording}: the folder is read-only.\n"
