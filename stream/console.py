"""What commands say on the terminal: a progress line on long work, quiet when not a terminal."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hexlive.stream.pipeline import Report

_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line for the user, on standard error; standard output is for results."""
    _console.print(text, markup=False, soft_wrap=True)


class ProgressSink:
    """A sink that shows frames, rate and losses; a bar where the total is known."""

    def __init__(self, n_frames: int | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            *([BarColumn()] if n_frames else []),
            TimeElapsedColumn(),
            console=_console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("waiting for frames", total=n_frames)
        self._progress.start()

    def put(self, report: Report) -> None:
        """Show where the run is."""
        expected, received = report.totals
        text = f"{received:,} frames  {report.rate_hz:,.0f}/s  {expected - received:,} missing"
        self._progress.update(self._task, completed=received, description=text)
        if report.stopped:
            self.close()

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()
