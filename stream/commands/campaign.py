"""``hexlive campaign``: many recordings through ``process`` on a Dask cluster."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table

from hexlive.stream.calibration import load_calibration
from hexlive.stream.campaign.book import NAME, Entry
from hexlive.stream.campaign.cluster import MEMORY_MB, ClusterSettings, open_cluster
from hexlive.stream.campaign.plan import BATCH_FRAMES
from hexlive.stream.campaign.running import Campaign, Order, Watcher
from hexlive.stream.commands.console import line, say
from hexlive.stream.commands.options import (
    Calibrated,
    CalibrationFile,
    ConfigFile,
    Dataset,
    refuse_uncalibrated,
)
from hexlive.stream.config import load_config
from hexlive.stream.stopping import stop_on_signals

NUMBERS: Final = ("frames", "missing", "seconds")
WIDE: Final = 10_000  # where nobody looks at it, no line of the table is broken


def campaign(
    files: Annotated[list[Path], typer.Argument(help="Recordings, as for hexlive process.")],
    out: Annotated[Path, typer.Option(help="Folder of the results; made if it is not there.")],
    calibration: CalibrationFile = None,
    config_file: ConfigFile = None,
    dataset: Dataset = None,
    calibrated: Calibrated = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Of Dask, tcp://host:8786; default: workers on this machine.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="On this machine; default: one per core.")
    ] = None,
    memory_mb: Annotated[
        float,
        typer.Option("--memory-mb", min=1, help="A worker here that needs more MB is replaced."),
    ] = MEMORY_MB,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Count on workers that offer the Dask resource GPU.")
    ] = False,
    batch: Annotated[
        int, typer.Option(min=1, help="Frames that a worker counts at a time, at most.")
    ] = BATCH_FRAMES,
) -> None:
    """Process many recordings on a cluster: the results of hexlive process, one folder each.

    Started again it goes on where it was stopped; one recording that fails does not stop the
    others.

    Example: hexlive campaign scans/*.h5 --calibration cal.h5 --out results
    """
    refuse_uncalibrated(calibration, calibrated=calibrated)
    if scheduler is not None and workers is not None:
        raise typer.BadParameter("--workers are started on this machine, not with --scheduler.")
    settings = ClusterSettings(scheduler=scheduler, workers=workers, memory_mb=memory_mb, gpu=gpu)
    order = Order(
        files=files,
        out=out,
        config=load_config(config_file),
        explicit=config_file is not None,
        calibration=None if calibration is None else load_calibration(calibration),
        dataset=dataset,
        device="cuda" if gpu else "cpu",
        resources=settings.resources,
        batch_frames=batch,
    )
    made = Campaign(order)
    try:
        if made.n_todo:
            _run(made, settings, out)
    finally:
        _show(made, out)
    if n_failed := sum(entry.status == "failed" for entry in made.entries()):
        raise OSError(f"{n_failed} of {len(made.entries())} recordings failed; see {out / NAME}.")


def _run(made: Campaign, settings: ClusterSettings, out: Path) -> None:
    with (
        stop_on_signals() as stop,
        open_cluster(settings) as client,
        _Progress(made.n_todo) as progress,
    ):
        out.mkdir(parents=True, exist_ok=True)
        made.run(client, stop, progress)


def _show(made: Campaign, out: Path) -> None:
    """The table at the end, if anything was begun; where the results are."""
    if not made.entries():
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("recording", *NUMBERS, "result"):
        justify: JustifyMethod = "right" if heading in NUMBERS else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for entry in made.entries():
        words = str(out / entry.result) if entry.status == "done" else entry.sentence
        numbers = (f"{entry.frames:,}", f"{entry.missing:,}", f"{entry.seconds:.1f}")
        table.add_row(Path(entry.recording).name, *numbers, words)
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, width=width).print(table)
    if made.n_kept:
        say(f"{made.n_kept} of {len(made.entries())} recordings were done before.")


class _Progress(Watcher):
    """A line on the terminal, and a sentence for each recording that is finished."""

    def __init__(self, n_recordings: int) -> None:
        self._line = line(bar=True)
        self._task = self._line.add_task("", total=n_recordings)
        self._began_s, self._n_frames, self._n_finished = time.monotonic(), 0, 0

    def __enter__(self) -> "_Progress":
        self._line.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.stop()

    def counted(self, n_frames: int, n_expected: int) -> None:
        """Show how many frames have been counted, and how fast."""
        self._n_frames += n_frames
        rate_hz = self._n_frames / (time.monotonic() - self._began_s)
        text = f"{self._n_frames:,} frames  {rate_hz:,.0f}/s"
        self._line.update(self._task, description=text, advance=n_frames / n_expected)

    def finished(self, entry: Entry) -> None:
        """Say how it went."""
        self._n_finished += 1
        self._line.update(self._task, completed=self._n_finished)
        went = f"{entry.frames} frames, {entry.missing} missing"
        sentence = went if entry.status == "done" else entry.sentence
        named = entry.recording in sentence  # what is wrong with a file mostly names it
        say(sentence if named else f"{entry.recording}: {sentence}")
