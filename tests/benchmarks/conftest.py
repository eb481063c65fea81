"""Calling ``hexlive bench`` in this process."""

from collections.abc import Callable

import pytest

from hexlive.benchmarks import app

Bench = Callable[..., tuple[object, str]]


@pytest.fixture
def call_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run the program; give back what it ended with (None: success) and what it printed."""

    def call(*words: object) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["bench", *map(str, words)])
        ended: object = None
        try:
            app.main()
        except SystemExit as exit_:
            ended = exit_.code
        said = capsys.readouterr()
        return ended, said.out + said.err

    return call
