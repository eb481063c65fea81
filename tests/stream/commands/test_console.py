"""The progress line comes with the first report and goes without a trace."""

from io import StringIO
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from hexlive.stream.commands import console
from hexlive.stream.exposure import Totals
from hexlive.stream.results import CtResult
from hexlive.stream.views import CtView

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


def report(*, stopped: bool, ct: CtResult | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        totals=Totals(1200, 1000), rate_hz=9000.0, stopped=stopped, find=lambda kind: ct
    )


def scan(**changes: Any) -> CtResult:
    view = CtView(
        scan=2, state=1, status="collecting", note="", n_images=90, n_expected=3600, pixel_um=5.0
    )
    return CtResult(scans=(msgspec.structs.replace(view, **changes),))


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "CT 2 90 of 3,600 images"),
        ({"status": "reconstructing"}, "CT 2 reconstructing"),
        (
            {"status": "reconstructing", "stage": "volume", "progress": 0.25, "eta_s": 31.0},
            "CT 2 volume 25 %, 31 s left",
        ),
        ({"status": "failed"}, "CT 2 failed"),
    ],
)
def test_the_line_says_where_a_scan_stands(
    terminal: Terminal, changes: dict[str, Any], words: str
) -> None:
    sink = console.ProgressSink()
    sink.put(report(stopped=False, ct=scan(**changes)))
    sink.close()
    assert words in terminal.getvalue()


def test_a_scan_that_is_done_leaves_the_line(terminal: Terminal) -> None:
    sink = console.ProgressSink()
    sink.put(report(stopped=False, ct=scan(status="done")))
    sink.close()
    assert "CT" not in terminal.getvalue()
