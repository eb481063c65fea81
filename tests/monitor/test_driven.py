"""A session at the screen: always without one, and on a virtual display where Xvfb is installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from hexlive.stream.model import Snapshot

HERE = Path(__file__).parent
PATIENCE_S = 60
PICTURES = ("1-overview", "2-roi", "3-compare", "4-history", "5-light")


def folder(tmp_path: Path, name: str) -> Path:
    """Where the pictures stay: in HEXLIVE_PICTURES if that is set."""
    kept = os.environ.get("HEXLIVE_PICTURES")
    chosen = tmp_path if kept is None else Path(kept).resolve() / name
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def test_a_session_without_a_screen(
    qtbot: QtBot, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    import driven

    target = folder(tmp_path, "offscreen")
    monkeypatch.chdir(target)
    driven.drive(target, driven.of_window, snapshot)
    assert all((target / f"{name}.png").stat().st_size > 50_000 for name in PICTURES)


@pytest.fixture
def display() -> Iterator[str]:
    """A virtual display of full HD."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: apt-get install xvfb)")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1920x1080x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with server:
        try:
            yield f":{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def test_a_session_on_a_virtual_display(display: str, tmp_path: Path) -> None:
    target = folder(tmp_path, "xvfb")
    session = subprocess.run(
        [sys.executable, str(HERE / "driven.py"), str(target)],
        env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if "no Qt platform plugin could be initialized" in session.stderr:
        pytest.skip("Qt lacks libraries for X (Debian: see .ci/qt-libraries)")
    assert session.returncode == 0, session.stderr
    assert all((target / f"{name}.png").stat().st_size > 50_000 for name in PICTURES)
