"""Going on with a live run that was killed, from its checkpoint and its recordings."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from hexlive.stream.checkpoint import CheckpointFolder, MadeWith, RunFile
from hexlive.stream.checkpointing import Checkpointer, Parts
from hexlive.stream.exposure import Tally
from hexlive.stream.files import index_of
from hexlive.stream.inbox import NONE_QUEUED, Queued
from hexlive.stream.kept_exposures import Kept, Moment, damaged, read_exposure
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, Message
from hexlive.stream.pipeline import GapError, Queueing, Report, Sink, Source
from hexlive.stream.tape import Tape

LOG: Final = logging.getLogger(__name__)


class Resumed(NamedTuple):
    """What a run goes on with: in place of its source and recorder, and a further sink."""

    source: Source
    tape: Tape
    checkpointer: Checkpointer


class Continuation:
    """One start of a run: what earlier starts of it left, and the checkpoint that goes on.

    Raises
    ------
    FileError
        There is a checkpoint that cannot be used.
    """

    def __init__(self, folder: CheckpointFolder, made_with: MadeWith) -> None:
        self._folder = folder
        before = folder.open(made_with)
        self._resumes = before is not None
        self._before = before or RunFile(made_with=made_with)
        self._recording: Path | None = None
        self._begun = False

    @property
    def notes(self) -> list[str]:
        """What the result should say of it."""
        if not self._resumes:
            return []
        starts = ", ".join([*self._before.started, _now()])
        return [f"The run was interrupted and went on; it was started at {starts}."]

    def begin(self, recording: Path | None) -> Path | None:
        """Write down that the run starts; give the name to record to, which is never an old one.

        Raises
        ------
        FileError
            The folder cannot be written to.
        """
        before, self._begun = self._before, True
        if recording is not None and before.recordings:
            recording = _next_name(recording, before.recordings)
        new = [str(recording)] if recording else []
        self._folder.write(
            msgspec.structs.replace(
                before,
                recordings=[*before.recordings, *new],
                started=[*before.started, _now()],
            )
        )
        self._recording = recording
        return recording

    def resume(
        self, source: Source, parts: Parts, recorder: Sink[Message] | None, result: Sink[Report]
    ) -> Resumed:
        """Bring the parts of a run to where the checkpoint left them.

        Parameters
        ----------
        result
            Told of every exposure that is over, as if it were so now.

        Raises
        ------
        FileError
            The checkpoint is damaged.
        """
        moment, over = _restore(self._folder, parts, result)
        places = (moment.position, moment.scan_position) if moment else ()
        tape = Tape(recorder, self._recording, *places)
        if self._resumes:
            frames = parts.ledger.totals().received
            goes_on = f"; recording to {self._recording}" if self._recording else ""
            LOG.warning("Going on with %d frames of %s%s.", frames, self._folder.path, goes_on)
            for name in self._before.recordings:
                if index_of(Path(name)).exists():
                    LOG.warning("%s was not closed: hexlive recover makes it whole.", name)
        return Resumed(
            _Continued(source, parts.ledger, tape, self._before.recordings, moment),
            tape,
            Checkpointer(self._folder, parts, tape, over),
        )

    @contextmanager
    def until_done(self) -> Iterator[None]:
        """Remove the checkpoint when the run has its result, ended as it should, or never began."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, GapError) or (self._begun and self._folder.empty):
                self._folder.remove()
            elif self._begun:
                LOG.warning(
                    "%s is kept: started again, the run goes on from it.", self._folder.path
                )
            raise
        self._folder.remove()


def _restore(
    folder: CheckpointFolder, parts: Parts, result: Sink[Report]
) -> tuple[Moment | None, list[Moment]]:
    """The newest moment, and the last moment of each exposure that is over."""
    kept, over, paths = None, [], folder.exposures()
    for path in paths:
        kept = read_exposure(path)
        _restore_counts(path, kept, parts)
        if kept.moment.final:
            over.append(kept.moment)
            result.put(_final_report(kept.moment, parts))
        elif path != paths[-1]:
            raise damaged(path, ValueError("the exposure is not over, but a later one is there"))
    parts.tomography.restore(folder.scans())
    if kept is None:
        return None, over
    moment = kept.moment
    parts.cycler.restore(kept.cycler.tolist())
    parts.marks.restore(moment.marks, moment.segment)
    parts.drift.restore(kept.drift, moment.segment, moment.frame_rate_hz)
    parts.ledger.restore(moment.ledger)
    parts.ledger.rejected = Counter(moment.rejected)
    for message in parts.ledger.opening() if moment.final else ():
        for reducer in (parts.drift, parts.compton, parts.marks):
            reducer.add(message)
    return moment, over


def _restore_counts(path: Path, kept: Kept, parts: Parts) -> None:
    moment = kept.moment
    try:
        parts.compton.restore(moment.segment, kept.counts, moment.frame_rate_hz)
        parts.compton.correct_gain(float(kept.drift["gain"]))
    except (KeyError, ValueError, ArithmeticError) as error:
        raise damaged(path, error) from error


def _final_report(moment: Moment, parts: Parts) -> Report:
    """The report of an exposure that was over before the restart."""
    missing = np.array(moment.missing, np.uint64).reshape(-1, 2)
    return Report(
        final=True,
        stopped=False,
        series=moment.segment.series,
        results=(parts.compton.snapshot(),),
        tally=Tally(totals=moment.totals, missing=missing, unlisted=moment.unlisted),
        totals=moment.totals,
        rejected=Counter(),
        rate_hz=0.0,
        backlog_ms=None,
    )


class _Continued:
    """What was recorded after the checkpoint, then the source."""

    def __init__(
        self, source: Source, ledger: Ledger, tape: Tape, played: list[str], moment: Moment | None
    ) -> None:
        self.live, self.rejected, self._source = source.live, source.rejected, source
        self._ledger, self._tape, self._played, self._moment = ledger, tape, played, moment

    @property
    def queued(self) -> Queued:
        """What waits in the source."""
        return self._source.queued if isinstance(self._source, Queueing) else NONE_QUEUED

    def __iter__(self) -> Iterator[AnyMessage | None]:
        if self._moment is not None and self._moment.final and not self._ledger.running:
            return  # all that was still to be done is to write the result
        rejected = self._ledger.rejected.copy()
        regained = self._ledger.leave_scan(again=bool(self._played))
        yield from self._tape.play(self._played, self._ledger.next_scan, regain_scan=regained)
        self._ledger.rejected = rejected  # by an earlier start; or only played twice
        self._tape.record(self._ledger.opening())
        yield from self._source


def _next_name(path: Path, taken: list[str]) -> Path:
    """The first name of a further recording that was never used."""
    further = (path.with_name(f"{path.stem}_{number:04d}{path.suffix}") for number in count(2))
    names = chain([path], further)
    return next(name for name in names if str(name) not in taken and not name.exists())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
