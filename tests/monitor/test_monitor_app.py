"""The command: a picture without a screen, one-sentence errors, a clean end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PySide6.QtGui import QImage
from typer.testing import CliRunner, Result

from hexlive.monitor import app as app_module
from hexlive.monitor.app import MonitorError, app, render, save_snapshot, scale_of
from hexlive.monitor.look import PageName, ThemeName
from hexlive.monitor.panels import PAGES
from hexlive.monitor.theme import THEMES
from hexlive.stream.model import Snapshot

NOBODY = "tcp://127.0.0.1:9"
WINDOW_THAT_SIGNALS_ITSELF = """
import os, sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from hexlive.monitor.app import run_window
application = QApplication([])
QTimer.singleShot(500, lambda: os.kill(os.getpid(), int(sys.argv[2])))
sys.exit(run_window(sys.argv[1]))
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def running(publisher: Any, snapshot: Snapshot) -> Iterator[str]:
    """Address of a pipeline that publishes ten times a second."""
    done = threading.Event()

    def publish() -> None:
        while not done.wait(0.1):
            publisher.send(snapshot)

    thread = threading.Thread(target=publish)
    thread.start()
    yield publisher.address
    done.set()
    thread.join()


def colours(path: Path) -> set[int]:
    image = QImage(str(path))
    return {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, 1080, 7)}


@pytest.mark.usefixtures("qapp")
def test_a_snapshot_is_a_picture_that_is_not_blank(running: str, tmp_path: Path) -> None:
    path = tmp_path / "now.png"
    result = call(running, "--snapshot", str(path), "--timeout", "10")
    assert result.exit_code == 0, result.output
    assert (QImage(str(path)).width(), QImage(str(path)).height()) == (1920, 1080)
    assert len(colours(path)) > 100
    assert [file.name for file in tmp_path.iterdir()] == ["now.png"]


def test_the_picture_needs_no_display(running: str, tmp_path: Path) -> None:
    path = tmp_path / "now.png"
    done = monitor_process(running, "--snapshot", str(path), "--size", "1280x720")
    assert done.returncode == 0, done.stderr
    assert QImage(str(path)).width() == 1280


def test_a_periodic_picture_follows_the_run_until_it_is_told_to_stop(
    publisher: Any, snapshot: Snapshot, tmp_path: Path
) -> None:
    path = tmp_path / "now.png"
    words = [publisher.address, "--snapshot", str(path), "--every", "0.1", "--page", "cell"]
    process = subprocess.Popen([sys.executable, "-m", "hexlive.monitor.app", *words])
    try:
        waiting = _next_picture(path, b"", lambda: None)
        shown = _next_picture(path, waiting, lambda: publisher.send(snapshot))
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
    assert (code, bool(shown)) == (0, True)
    assert [file.name for file in tmp_path.iterdir()] == ["now.png"]


def _next_picture(path: Path, before: bytes, meanwhile: Callable[[], None]) -> bytes:
    """The first picture that differs from one."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        meanwhile()
        if path.exists() and (content := path.read_bytes()) != before:
            return content
        time.sleep(0.05)
    raise AssertionError("no new picture")


def test_the_command_line_knows_every_page_and_theme() -> None:
    assert [page.value for page in PageName] == [name.lower() for name in PAGES]
    assert [theme.value for theme in ThemeName] == list(THEMES)


@pytest.mark.usefixtures("qapp")
def test_the_end_of_a_run_is_waited_for(
    publisher: Any, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Snapshot] = []
    monkeypatch.setattr(app_module, "render", lambda newest, *_: drawn.append(newest))
    done = threading.Event()

    def run() -> None:
        for sequence in range(1000):
            status = "running" if sequence < 20 else "stopped"
            publisher.send(replace(snapshot, sequence=sequence, status=status))
            if done.wait(0.05):
                return

    thread = threading.Thread(target=run)
    thread.start()
    save_snapshot(publisher.address, tmp_path / "end.png", 20.0, when_stopped=True)
    done.set()
    thread.join()
    assert [newest.status for newest in drawn] == ["stopped"]


@pytest.mark.usefixtures("qapp")
def test_a_run_that_does_not_end_is_drawn_in_the_end(
    running: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Snapshot] = []
    monkeypatch.setattr(app_module, "render", lambda newest, *_: drawn.append(newest))
    save_snapshot(running, tmp_path / "end.png", 1.0, when_stopped=True)
    assert [newest.status for newest in drawn] == ["running"]


@pytest.mark.usefixtures("qapp")
def test_drawing_is_repeatable(snapshot: Snapshot, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        render(snapshot, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_a_pipeline_it_says_so_in_time() -> None:
    result = call(NOBODY, "--snapshot", "never.png", "--timeout", "0.2")
    assert result.exit_code == 1
    assert result.stderr == (
        "No snapshot came from tcp://127.0.0.1:9 within 0.2 s: "
        "check that a pipeline publishes there.\n"
    )
    assert not Path("never.png").exists()


def test_messages_that_are_no_snapshots_are_mentioned(publisher: Any) -> None:
    done = threading.Event()

    def publish() -> None:
        while not done.wait(0.02):
            publisher.send_bytes(b"not a snapshot")

    thread = threading.Thread(target=publish)
    thread.start()
    result = call(publisher.address, "--snapshot", "never.png", "--timeout", "1")
    done.set()
    thread.join()
    assert result.exit_code == 1
    assert "within 1 s: what comes cannot be read (header " in result.stderr


@pytest.mark.usefixtures("qapp")
def test_a_picture_that_cannot_be_written_is_one_sentence(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    with pytest.raises(MonitorError, match=r"^Cannot write .*: No such file or directory\.$"):
        render(snapshot, tmp_path / "absent" / "now.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere", "--snapshot", "never.png"),
        (NOBODY, "--snapshot", "never.png", "--size", "big"),
        (NOBODY, "--snapshot", "never.png", "--size", "99999x99999"),
        (NOBODY, "--snapshot", "never.png", "--size", "-5x10"),
        (NOBODY, "--snapshot", "never.png", "--page", "nowhere"),
        (NOBODY, "--snapshot", "never.png", "--every", "0"),
        (NOBODY, "--snapshot", "never.png", "--every", "1", "--when-stopped"),
        (),
    ],
)
def test_wrong_use_exits_with_two(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_missing_qt_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(app_module.importlib, "import_module", absent)
    result = call(NOBODY, "--snapshot", "never.png")
    assert result.exit_code == 1
    assert "PySide6" in result.stderr
    assert "pip install 'hexlive[monitor]'" in result.stderr


def test_a_missing_system_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(app_module.importlib, "import_module", broken)
    result = call(NOBODY)
    assert result.exit_code == 1
    assert "libEGL.so.1" in result.stderr
    assert "apt-get install" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_without_a_display_it_points_to_the_snapshot() -> None:
    done = monitor_process(NOBODY, QT_QPA_PLATFORM="xcb", DISPLAY=":987")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "--snapshot FILE.png" in done.stderr


@pytest.mark.parametrize(
    ("screen", "scale"),
    [((1920, 1080), 1.0), ((1280, 800), 2 / 3), ((3440, 1440), 4 / 3), ((640, 480), 0.5)],
)
def test_a_screen_of_any_size_holds_what_full_hd_does(
    screen: tuple[int, int], scale: float
) -> None:
    assert scale_of(screen) == pytest.approx(scale)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_window(running: str, number: signal.Signals) -> None:
    command = [sys.executable, "-c", WINDOW_THAT_SIGNALS_ITSELF, running, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_help_has_an_example() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert "hexlive-monitor tcp://" in result.output


def monitor_process(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A real process, without the display and the Qt platform of the tests."""
    hidden = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    kept = {name: text for name, text in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-m", "hexlive.monitor.app", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_example_of_a_panel_is_drawn(running, tmp_path):
    example = Path(__file__).parents[2] / "docs" / "examples" / "backlog_panel.py"
    out = tmp_path / "panel.png"
    command = [sys.executable, str(example), running, "--snapshot", str(out), "--page", "health"]
    subprocess.run(command, check=True, timeout=100)
    assert len(colours(out)) > 3
