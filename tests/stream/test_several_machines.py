"""Camera, recorder, processor and screen as machines of their own, each with its address and keys.

Every address of 127.0.0.0/8 is this machine on Linux, so each program has one of its own.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import h5py
import pytest
from PySide6.QtGui import QImage

from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.sending import PassedOn, ZmqSender

PATIENCE_S = 60
DETECTOR = "[detector]\nrows = 12\ncolumns = 10\n"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Needs all of 127.0.0.0/8.")


@contextmanager
def started(*words: object, module: str = "stream.cli") -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", f"hexlive.{module}", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def heard(process: "subprocess.Popen[str]", word: str) -> str:
    """The address that follows a word of what a program says."""
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(rf"{word} on ([^;\s]+)", said):
            return found[1]
    raise AssertionError(said)


def ended(process: "subprocess.Popen[str]") -> str:
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said


def make_keys(folder: Path, *clients: str) -> Path:
    words = [word for client in clients for word in ("--client", client)]
    with started("keys", "--out", folder, *words) as process:
        ended(process)
    return folder


def for_client(server: Path, name: str, folder: Path) -> Path:
    """What is carried to the machine of a client."""
    folder.mkdir(mode=0o700)
    for file in ("server.key", f"{name}.key_secret"):
        shutil.copy(server / file, folder / file)
    (server / f"{name}.key_secret").unlink()
    return folder


def integrals(path: Path) -> list[tuple[int, int]]:
    with h5py.File(path) as file:
        names = sorted(name for name in file["entry"] if name.startswith("segment"))
        groups = [file["entry"][name] for name in names]
        return [(int(g["counts"][()].sum()), int(g.attrs["frames_lost"])) for g in groups]


def test_four_machines_with_keys_count_what_one_does(
    sound_messages, calibration_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    at_recorder = make_keys(tmp_path / "recorder", "camera")
    at_processor = make_keys(tmp_path / "processor", "recorder", "screen")
    camera_keys = for_client(at_recorder, "camera", tmp_path / "camera")
    onward_keys = for_client(at_processor, "recorder", tmp_path / "onward")
    screen_keys = for_client(at_processor, "screen", tmp_path / "screen")
    with closing(RecordingWriter(tmp_path / "camera.h5")) as writer:
        for message in sound_messages:
            writer.append(message)
    config = tmp_path / "live.toml"
    config.write_text(
        f'{DETECTOR}[stream]\ninput = "tcp://127.0.0.3:*"\npublish = "tcp://127.0.0.3:*"\n'
        f'result = "{tmp_path}/live.nxs"\n[security]\nkeys = "{at_processor}"\n'
    )
    with ExitStack() as stack:

        def start(*words: object, **where: str) -> "subprocess.Popen[str]":
            return stack.enter_context(started(*words, **where))

        processor = start("run", "--config", config, "--calibration", calibration_file)
        onward, screen_address = heard(processor, "listening"), heard(processor, "publishing")
        screen = start(
            screen_address, "--snapshot", tmp_path / "screen.png", "--keys", screen_keys,
            module="monitor.app",
        )  # fmt: skip
        recorder = start(
            "record", "--from", "tcp://127.0.0.2:*", "--out", tmp_path / "recording.h5",
            "--keys", at_recorder, "--to", onward, "--to-keys", onward_keys,
        )  # fmt: skip
        first = heard(recorder, "listening")
        camera = start("replay", tmp_path / "camera.h5", "--to", first, "--keys", camera_keys,
                       "--rate", "500")  # fmt: skip
        for process in (camera, recorder, processor, screen):
            ended(process)
        once_more = start(
            "process", tmp_path / "recording.h5", "--config", config,
            "--calibration", calibration_file, "--out", tmp_path / "offline.nxs",
        )  # fmt: skip
        ended(once_more)
    assert integrals(tmp_path / "live.nxs") == integrals(tmp_path / "offline.nxs")
    assert sum(counts for counts, _ in integrals(tmp_path / "live.nxs")) > 0
    assert {lost for _, lost in integrals(tmp_path / "live.nxs")} == {0}
    assert not QImage(str(tmp_path / "screen.png")).isNull()


def test_what_a_stop_leaves_behind_is_counted(sound_messages, free_addresses):
    passed_on = PassedOn(ZmqSender(free_addresses[0], should_stop=lambda: True))
    with closing(passed_on):
        for message in sound_messages:
            passed_on.put(message)
    assert passed_on.n_frames == 0
    assert passed_on.n_left > 0
