"""Writing the checkpoint of a live run: with each report, in a thread of its own."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from hexlive.stream.checkpoint import CheckpointFolder
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.drift import DriftReducer
from hexlive.stream.exposure import Tally
from hexlive.stream.kept_exposures import (
    NUMBERS,
    Kept,
    Moment,
    write_exposure,
    write_scan_view,
)
from hexlive.stream.ledger import Ledger
from hexlive.stream.marks import MarkReducer
from hexlive.stream.pipeline import Report
from hexlive.stream.reducers import ComptonReducer, CyclerReducer
from hexlive.stream.results import ComptonResult, CtResult, CyclerResult
from hexlive.stream.tape import Tape

INTERVAL_S: Final = 0.5  # with what writing takes, a crash costs less than a second
MAX_WAITING: Final = 8  # files; beyond, an exposure that is over waits for the disk

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a run that have something to keep."""

    ledger: Ledger
    drift: DriftReducer
    compton: ComptonReducer
    tomography: TomographyReducer
    cycler: CyclerReducer
    marks: MarkReducer


class Checkpointer:
    """A sink of reports that keeps what it takes to go on from each of them.

    Parameters
    ----------
    over
        The last moment of each exposure that is over already.
    """

    def __init__(
        self, folder: CheckpointFolder, parts: Parts, tape: Tape, over: list[Moment]
    ) -> None:
        self._folder, self._parts, self._tape = folder, parts, tape
        self._n_over, self._last = len(over), over[-1] if over else None
        self._newest = b""
        self._scans: dict[int, str] = {}
        self._writer = _Writer()

    def put(self, report: Report) -> None:
        """Keep the present exposure, and every CT scan of which there is news."""
        result, ct = report.find(ComptonResult), report.find(CtResult)
        for scan in ct.scans if ct else ():
            if self._scans.get(scan.scan) != scan.status:
                self._scans[scan.scan] = scan.status
                path = self._folder.scan(scan.scan)
                self._writer.submit(path, partial(write_scan_view, path, scan))
        moment = self._moment(report)
        if moment is None or result is None:
            return
        number = self._n_over + (not moment.final or report.final)
        if moment.final:
            self._n_over, self._last = number, moment
        cycler = report.find(CyclerResult)
        rows = np.array(cycler.rows if cycler else (), np.float64).reshape(-1, 4)
        news = msgspec.json.encode((moment, len(rows)))
        if news != self._newest:
            self._newest = news
            path = self._folder.exposure(number)
            kept = Kept(
                moment=moment, counts=result.counts, cycler=rows, drift=self._parts.drift.state()
            )
            job = partial(write_exposure, path, kept)
            self._writer.submit(path, job, patient=moment.final)

    def close(self) -> None:
        """Write what is waiting."""
        self._writer.close()

    def _moment(self, report: Report) -> Moment | None:
        """What the run knows now; None as long as there has been no exposure."""
        result, parts = report.find(ComptonResult), self._parts
        if result is None or result.segment is None:
            return None
        ledger = parts.ledger.state()
        known: dict[str, Any] = {
            "ledger": ledger,
            "rejected": dict(report.rejected),
            "position": self._tape.position,
            "scan_position": self._tape.scan,
            "marks": list(parts.marks.snapshot().marks),
        }
        if ledger.exposure is None and not report.final:
            # Between two exposures, the one before still has its counts, but not its frame rate.
            return self._last and msgspec.structs.replace(self._last, **known)
        return Moment(
            final=report.final,
            segment=result.segment,
            totals=report.tally.totals,
            missing=_ranges(report.tally) if report.final else [],
            unlisted=report.tally.unlisted,
            frame_rate_hz=parts.compton.frame_rate_hz,
            numbers={name: getattr(result.counts, name) for name in NUMBERS},
            dropped_hits=result.counts.dropped_hits,
            **known,
        )


def _ranges(tally: Tally) -> list[tuple[int, int]]:
    return [(int(begin), int(end)) for begin, end in tally.missing]


class _Writer:
    """Writes files one by one; of each, only the newest version that waits.

    After one that cannot be written there are no more: what is there goes together.
    """

    def __init__(self) -> None:
        self._jobs: dict[Path, Callable[[], None]] = {}
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._work, name="checkpoint", daemon=True)
        self._thread.start()

    def submit(self, path: Path, job: Callable[[], None], *, patient: bool = False) -> None:
        """Queue the writing of a file; ``patient``: wait while too many are queued."""
        with self._changed:
            if patient:
                self._changed.wait_for(lambda: len(self._jobs) < MAX_WAITING or self._over)
            if not self._over:
                self._jobs[path] = job
                self._changed.notify_all()

    def close(self) -> None:
        """Write what is queued."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                job()
        except Exception as error:  # the thread ends here: whatever it was, the run must hear of it
            LOG.error("%s The run goes on; after a crash, it would go on from here.", error)
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._over)
            path = next(iter(self._jobs), None)
            job = None if path is None else self._jobs.pop(path)
            self._changed.notify_all()
            return job
