"""A campaign: many recordings, each counted on the cluster and finished here, one after another.

The frames of a recording are counted apart from each other, on any worker, as often as it takes.
All that depends on their order, from the ledger to the drift monitor, is done here by the very
session that ``hexlive process`` runs, on an outline of the recording and the sums of the counts.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from hexlive.kernels.backend import Backend, Counts, EventSettings, PixelMaps, SpectrumSettings
from hexlive.stream.calibration import Calibration
from hexlive.stream.campaign.ahead import Ahead, Job, Work
from hexlive.stream.campaign.book import Book, Entry
from hexlive.stream.campaign.cluster import ClusterError
from hexlive.stream.campaign.counting import Gathered, Recorded, Rules, fingerprint
from hexlive.stream.campaign.plan import BATCH_FRAMES, Outline, plan
from hexlive.stream.checkpoint import MadeWith, deciding
from hexlive.stream.config import Config
from hexlive.stream.device import DeviceName, open_counter
from hexlive.stream.files import FileError
from hexlive.stream.inputs import fit_detector
from hexlive.stream.interop.energies import step_calibration
from hexlive.stream.listing_map import refuse_high_listing
from hexlive.stream.reducers import angles_and_pixels
from hexlive.stream.session import Outcome, Outputs, run_session
from hexlive.stream.stopping import Stop

if TYPE_CHECKING:
    from distributed import Client

STOPPED: Final = "Stopped; started again, the campaign goes on from here."
# What can be wrong with one recording, or with the machines that count it.
FAULTS: Final = (ValueError, RuntimeError, OSError, ArithmeticError, MemoryError)


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What a campaign is to do.

    Attributes
    ----------
    files
        The recordings.
    out
        Folder of the results; it is there when the campaign runs.
    config, explicit
        The configuration, and whether somebody stated it.
    calibration
        None: the frames are float32, keV.
    dataset
        Where in each file the frames are; None: at the usual places.
    device, threads
        What each worker counts with.
    resources
        What a worker must have, by Dask's names.
    batch_frames
        Frames in a batch, at most.
    """

    files: list[Path]
    out: Path
    config: Config
    explicit: bool = False
    calibration: Calibration | None = None
    dataset: str | None = None
    device: DeviceName = "cpu"
    threads: int | None = 1
    resources: dict[str, float] = field(default_factory=dict)
    batch_frames: int = BATCH_FRAMES


class Watcher:
    """Is told how a campaign goes on; this one does nothing."""

    def counted(self, n_frames: int, n_expected: int) -> None:
        """Further frames of the present recording, of so many."""

    def finished(self, entry: Entry) -> None:
        """A recording is finished, or cannot be."""


class Campaign:
    """One start of a campaign; recordings that an earlier start has done are left alone.

    Raises
    ------
    FileError
        The book of an earlier start cannot be read.
    """

    def __init__(self, order: Order) -> None:
        self._order, self._book = order, Book(order.out)
        paths = list(dict.fromkeys(path.resolve() for path in order.files))
        results = self._book.results(paths)
        self._made_with = _digest(order)
        drafts = [self._draft(path, results[path]) for path in paths]
        self._all = [draft.recording for draft in drafts]
        self._todo = [draft for draft in drafts if not self._book.done(draft)]
        self._settings: dict[tuple[int, int], tuple[Config, Calibration, Rules]] = {}

    @property
    def n_todo(self) -> int:
        """Recordings that are still to be done."""
        return len(self._todo)

    @property
    def n_kept(self) -> int:
        """Recordings that were done before."""
        return len(self._all) - len(self._todo)

    def entries(self) -> list[Entry]:
        """What is known of each recording of this campaign, as they were named."""
        known = (self._book.entry(Path(path)) for path in self._all)
        return [entry for entry in known if entry is not None]

    def run(self, client: "Client", stop: Stop, watcher: Watcher) -> None:
        """Do what is still to be done; one recording that fails does not stop the others.

        Raises
        ------
        InterruptedError
            A stop was asked for; started again, the campaign goes on.
        ClusterError
            The scheduler is gone.
        FileError
            The folder of the results cannot be written to.
        """
        ahead = Ahead(client, self._jobs(), self._order.resources, stop.asked)
        began_s = time.monotonic()
        for job in ahead:
            if stop.asked():
                raise InterruptedError(STOPPED)
            entry = self._finish(job, ahead, stop, watcher)
            now_s = time.monotonic()
            entry = msgspec.structs.replace(entry, seconds=round(now_s - began_s, 3))
            began_s = now_s
            self._book.put(entry)
            watcher.finished(entry)

    def _draft(self, path: Path, result: str) -> Entry:
        """The entry of a recording before anything is known of it."""
        try:
            n_bytes, modified_ns = fingerprint(path)
        except FileError:  # said when its turn comes
            n_bytes = modified_ns = 0
        return Entry(
            recording=str(path),
            result=result,
            status="failed",
            n_bytes=n_bytes,
            modified_ns=modified_ns,
            made_with=self._made_with,
            dataset=self._order.dataset,
        )

    def _jobs(self) -> Iterator[Job]:
        for draft in self._todo:
            try:
                yield Job(entry=draft, work=self._prepared(draft))
            except FAULTS as error:
                yield Job(entry=_failed(draft, error), work=None)

    def _prepared(self, draft: Entry) -> Work:
        """Open a recording and see what is to be counted of it."""
        order = self._order
        recorded = Recorded(
            path=Path(draft.recording),
            dataset=order.dataset,
            frame_rate_hz=order.config.detector.frame_rate_hz,
            calibrated=order.calibration is None,
            n_bytes=draft.n_bytes,
            modified_ns=draft.modified_ns,
        )
        source = recorded.open()
        config, calibration, rules = self._fitting(source.shape)
        if source.listing_adu is not None:
            refuse_high_listing(source.listing_adu, calibration, config.events, draft.recording)
        return Work(
            recorded=recorded,
            source=source,
            config=config,
            calibration=calibration,
            rules=rules,
            batches=plan(source, config, order.batch_frames),
        )

    def _fitting(self, shape: tuple[int, int]) -> tuple[Config, Calibration, Rules]:
        """Configuration, calibration and rules for frames of this shape."""
        order = self._order
        if shape not in self._settings:
            config = fit_detector(order.config, shape, explicit=order.explicit)
            calibration = order.calibration or step_calibration(config)
            _, pixels, _ = angles_and_pixels(config, calibration)
            rules = Rules(
                version=version("hexlive"),
                device=order.device,
                threads=order.threads,
                events=config.events,
                spectrum=config.spectrum,
                pixels=pixels,
            )
            self._settings[shape] = config, calibration, rules
        return self._settings[shape]

    def _finish(self, job: Job, ahead: Ahead, stop: Stop, watcher: Watcher) -> Entry:
        """Make the result of one recording from the counts of its batches."""
        if job.work is None:
            return job.entry
        try:
            return _concluded(job.entry, self._session(job, job.work, ahead, stop, watcher))
        except InterruptedError as error:
            raise InterruptedError(STOPPED) from error
        except ClusterError:
            raise
        except FAULTS as error:
            with suppress(OSError):  # it is not empty: an earlier start left a result
                (self._order.out / job.entry.result).parent.rmdir()
            return _failed(job.entry, error)

    def _session(self, job: Job, work: Work, ahead: Ahead, stop: Stop, watcher: Watcher) -> Outcome:
        def take() -> Counts:
            counts = ahead.take(job)
            watcher.counted(counts.n_frames, work.source.n_frames)
            return counts

        def gathered(
            name: DeviceName, *, events: EventSettings, spectrum: SpectrumSettings,
            pixels: PixelMaps,
        ) -> Backend:  # fmt: skip
            total = open_counter("cpu", events=events, spectrum=spectrum, pixels=pixels, threads=1)
            return Gathered(total, work.batches, take)

        result = self._order.out / job.entry.result
        result.parent.mkdir(exist_ok=True)
        return run_session(
            Outline(work.source),
            work.config,
            work.calibration,
            Outputs(result=result),
            device=self._order.device,
            counter=gathered,
            stop=stop,
        )


def _digest(order: Order) -> str:
    """Of all that decides on results."""
    calibration = order.calibration or step_calibration(order.config)
    made_with = MadeWith(
        version=version("hexlive"),
        calibration_id=calibration.id,
        chain="hexlive",
        config=deciding(order.config),
    )
    return hashlib.sha256(msgspec.json.encode(made_with)).hexdigest()


def _failed(entry: Entry, error: Exception) -> Entry:
    sentence = str(error) or type(error).__name__
    return msgspec.structs.replace(entry, status="failed", sentence=sentence)


def _concluded(entry: Entry, outcome: Outcome) -> Entry:
    totals = outcome.report.totals
    faults = outcome.faults or ([] if totals.expected else ["It holds no frames."])
    return msgspec.structs.replace(
        entry,
        status="failed" if faults else "done",
        sentence=" ".join(faults),
        frames=totals.received,
        missing=totals.lost,
        rejected=dict(outcome.report.rejected),
    )
