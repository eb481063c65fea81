"""Events for programs: one JSON object per line, errors included."""

import json
import logging
import subprocess
import sys

import pytest

from hexlive.stream.logs import JsonLines


def test_whatever_is_in_a_message_is_one_line() -> None:
    record = logging.LogRecord("hexlive.x", logging.WARNING, "f", 1, 'a "b"\n%s', ("µ",), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["source"], event["message"]) == (
        "warning", "hexlive.x", 'a "b"\nµ',
    )  # fmt: skip
    assert event["time"].endswith("+00:00")


@pytest.mark.parametrize("style", ["json", "text"])
def test_an_error_of_a_command_is_an_event_in_the_style_asked_for(style: str, tmp_path) -> None:
    """In a process of its own: the style holds for a whole process."""
    words = "--log", style, "process", tmp_path / "nothing.h5", "--calibration", tmp_path / "c.h5"
    command = [sys.executable, "-m", "hexlive.stream.cli", *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    if style == "text":
        assert line.startswith("hexlive: There is no file")
        return
    event = json.loads(line)
    assert event["level"] == "error"
    assert event["message"].startswith("There is no file")
