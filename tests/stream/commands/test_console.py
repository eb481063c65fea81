"""The progress line comes with the first report and goes without a trace."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from hexlive.stream.commands import console
from hexlive.stream.exposure import Totals

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    shown_on = Console(file=made, force_terminal=True, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "_console", shown_on)
    return made


def report(*, stopped: bool) -> SimpleNamespace:
    return SimpleNamespace(totals=Totals(1200, 1000), rate_hz=9000.0, stopped=stopped)


def test_nothing_is_shown_before_the_first_report(terminal: Terminal) -> None:
    console.ProgressSink(1200).close()
    assert terminal.getvalue() == ""


def test_the_cursor_comes_back_however_often_the_line_is_closed(terminal: Terminal) -> None:
    sink = console.ProgressSink(1200)
    sink.put(report(stopped=False))
    sink.put(report(stopped=True))
    sink.close()
    said = terminal.getvalue()
    assert "1,000 frames" in said
    assert "200 missing" in said
    assert said.count(HIDE_CURSOR) == said.count(SHOW_CURSOR) == 1
