"""What commands say on the terminal: a progress line on long work, quiet when not a terminal."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hexlive.stream.logs import as_event
from hexlive.stream.pipeline import Report
from hexlive.stream.results import CtResult
from hexlive.stream.views import CtView

_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line for the user, on standard error; standard output is for results."""
    if not as_event(logging.INFO, text):
        _console.print(text, markup=False, soft_wrap=True)


@contextmanager
def fraction_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar for work that tells how much of it is done, 0 to 1."""
    quiet = not _console.file.isatty()
    with Progress(console=_console, transient=True, disable=quiet) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda done: progress.update(task, completed=done)


def line(*, bar: bool) -> Progress:
    """A line that changes while work goes on, with a bar where its end is known."""
    return Progress(
        TextColumn("{task.description}"),
        *([BarColumn()] if bar else []),
        TimeElapsedColumn(),
        console=_console,
        transient=True,
        disable=not _console.file.isatty(),
    )


class ProgressSink:
    """A sink that shows frames, rate and losses; a bar where the total is known."""

    def __init__(self, n_frames: int | None = None) -> None:
        self._progress = line(bar=bool(n_frames))
        self._task = self._progress.add_task("", total=n_frames)

    def put(self, report: Report) -> None:
        """Show where the run is."""
        totals = report.totals
        text = f"{totals.received:,} frames  {report.rate_hz:,.0f}/s  {totals.lost:,} missing"
        ct = report.find(CtResult)
        if ct is not None and ct.scans and ct.scans[-1].status != "done":
            text += f"  CT {ct.scans[-1].scan} {_scan(ct.scans[-1])}"
        self._progress.update(self._task, completed=totals.received, description=text)
        self._progress.start()
        if report.stopped:
            self.close()

    def close(self) -> None:
        """Take the line away, if there is one."""
        if self._progress.live.is_started:
            self._progress.stop()


def _scan(view: CtView) -> str:
    if view.status == "collecting":
        return f"{view.n_images:,} of {view.n_expected:,} images"
    if view.status == "failed" or view.progress is None:
        return view.status
    left = "" if view.eta_s is None else f", {view.eta_s:.0f} s left"
    return f"{view.stage} {100 * view.progress:.0f} %{left}"
