"""Putting a run together: reducers, recorder, result file, publisher around one source."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hexlive.stream.calibration import Calibration
from hexlive.stream.checkpoint import CheckpointFolder
from hexlive.stream.checkpointing import INTERVAL_S, Parts
from hexlive.stream.command_leg import commanded
from hexlive.stream.config import Config, StreamSettings
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.device import Counter, DeviceName, describe_device, open_counter
from hexlive.stream.drift import DriftReducer
from hexlive.stream.files import part_of, refuse_same
from hexlive.stream.interop.facility import reported, watched
from hexlive.stream.ledger import Ledger
from hexlive.stream.listing import Listing
from hexlive.stream.listing_map import recorded_listing
from hexlive.stream.marks import MarkReducer
from hexlive.stream.model import Message
from hexlive.stream.notes import OccupancyWatch
from hexlive.stream.pipeline import Pace, Reducer, Report, Sink, Source, run
from hexlive.stream.provenance import made_with, provenance
from hexlive.stream.recorder import Recorder, Written
from hexlive.stream.reducers import ComptonReducer, CyclerReducer
from hexlive.stream.results import CtResult
from hexlive.stream.resume import Continuation
from hexlive.stream.sinks import ResultFile, Thinned
from hexlive.stream.stopping import Stop
from hexlive.stream.storage import Storage, free_bytes
from hexlive.stream.supervision import Guarded, display_leg
from hexlive.stream.views import CtView

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the products of a run go; None: not made."""

    result: Path
    recording: Path | None = None
    publish: str | None = None

    @classmethod
    def of(cls, stream: StreamSettings) -> "Outputs":
        """What the configuration of a live run asks for."""
        recording = Path(stream.record) if stream.record else None
        return cls(result=Path(stream.result), recording=recording, publish=stream.publish)

    def refuse(self, inputs: Mapping[str, Path | None]) -> None:
        """Refuse products that would replace an input, or each other.

        Parameters
        ----------
        inputs
            What to call each input, and where it is.

        Raises
        ------
        FileError
            Two of them are the same file, or a folder cannot be written to.
        """
        refuse_same({"The result": self.result, "the recording": self.recording}, inputs)
        for path in filter(None, (self.result, self.recording)):
            part_of(path)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    report
        The last report.
    recording
        What became of the recording: "off", "recording", or the sentence of its failure.
    """

    report: Report
    recording: str

    @property
    def faults(self) -> list[str]:
        """What was accepted and is not on disk; a sentence each."""
        faults = [self.recording] if self.recording.startswith("recording stopped") else []
        for scan in _scans(self.report):
            if scan.status != "done":
                faults.append(f"CT scan {scan.scan} {scan.status}: {scan.note}")
        return faults


def run_session(
    source: Source,
    config: Config,
    calibration: Calibration,
    outputs: Outputs,
    *,
    device: DeviceName = "auto",
    counter: Counter = open_counter,
    checkpoint: CheckpointFolder | None = None,
    stop: Stop | None = None,
    progress: Sink[Report] | None = None,
    watchers: Sequence[Sink[Message]] = (),
    on_publish: Callable[[str], None] = lambda address: None,
) -> Outcome:
    """Process one source to a result file, and whatever else was asked for.

    Parameters
    ----------
    device, counter
        Where events are counted, and what opens it, see `ComptonReducer`.
    checkpoint
        Where to keep what it takes to go on after a crash; what an earlier start of the same run
        left there is gone on with.
    stop
        Ends the run early.
    progress, watchers
        Further sinks: of reports, such as the line on the terminal, and of accepted messages.
    on_publish
        Told the address of the display leg once it is open.

    Returns
    -------
    Outcome
        A run in which nothing came writes nothing, and leaves an older result alone.

    Raises
    ------
    ValueError, OSError
        Anything that cannot be used or written, or a stop in the middle of a file; nothing is left
        half written.
    """
    compton = _counting(config, calibration, device, counter)
    same = made_with(config, calibration, device)
    listing = recorded_listing(config, calibration) if outputs.recording else None
    kept = Continuation(checkpoint, same) if checkpoint else None
    if kept:
        compton.notes += kept.notes
    process = provenance(config, calibration, compton)
    with ExitStack() as stack:
        if kept:
            stack.enter_context(kept.until_done())
        session = _Session(source, config, outputs, stack, compton)
        session.open_displays(progress, on_publish)  # which hear of a result that fails at its end
        session.open_result(process)
        recording = kept.begin(outputs.recording) if kept else outputs.recording
        session.open_recording(recording, listing)
        report = session.run(stop or Stop(), kept, watchers)
    return Outcome(report=report, recording=session.recording())


def _counting(
    config: Config, calibration: Calibration, device: DeviceName, counter: Counter
) -> ComptonReducer:
    """Open where events are counted, and say what there is to know of it."""
    compton = ComptonReducer(config, calibration, device, counter)
    LOG.info(describe_device(device, compton.backend.name))
    for note in compton.notes:
        LOG.warning(note)
    return compton


class _Session:
    """The parts of one run, opened one after the other; the stack closes them in reverse."""

    def __init__(
        self,
        source: Source,
        config: Config,
        outputs: Outputs,
        stack: ExitStack,
        compton: ComptonReducer,
    ) -> None:
        self._source, self._config, self._outputs, self._stack = source, config, outputs, stack
        tomography = TomographyReducer(
            config.tomography, outputs.result.resolve(), config.live_scan
        )
        stack.callback(tomography.close)
        ct: Reducer = tomography
        if source.live:
            products = (outputs.result, outputs.recording)
            ct = stack.enter_context(watched(tomography, config, products))
        self._parts = parts = Parts(
            ledger=Ledger(config.detector.shape, config.detector.frame_rate_hz),
            drift=_drift(config, compton),
            compton=compton,
            tomography=tomography,
            cycler=CyclerReducer(),
            marks=MarkReducer(),
        )
        self._reducers: list[Reducer] = [parts.drift, parts.compton, ct, parts.cycler, parts.marks]
        self._displays: list[Sink[Report]] = []
        self._recorder: Recorder | None = None

    def open_result(self, process: dict[str, str]) -> None:
        """Begin the result file."""
        result = result_file(self._outputs.result, self._config, process)
        self._result = self._stack.enter_context(result)

    def open_displays(
        self, progress: Sink[Report] | None, on_publish: Callable[[str], None]
    ) -> None:
        """Whoever watches: the terminal, monitors, and what the facility has."""
        config, outputs = self._config, self._outputs
        if progress:
            self._displays.append(progress)
        if outputs.publish:
            publisher = self._stack.enter_context(
                display_leg(outputs.publish, config, self._storage)
            )
            self._displays.append(publisher)
            on_publish(publisher.address)
        if self._source.live:
            further = self._stack.enter_context(reported(config, self.recording))
            self._displays += [Guarded(sink) for sink in further]

    def open_recording(self, path: Path | None, listing: Listing) -> None:
        """Begin the recording, where there is to be one."""
        if path:
            self._recorder = Recorder(path, listing)
            self._stack.callback(self._recorder.close)

    def run(
        self, stop: Stop, kept: Continuation | None, watchers: Sequence[Sink[Message]]
    ) -> Report:
        """Run, from the checkpoint on where there is one."""
        source, result, displays = self._source, self._result, self._displays
        tapes: list[Sink[Message]] = [self._recorder] if self._recorder else []
        keepers: list[Sink[Report]] = []
        pace = _pace(self._config, stop, displayed=bool(displays))
        if not source.live:
            pace = replace(pace, should_stop=lambda: stop.asked() or result.fault is not None)
        if kept:
            resumed = kept.resume(source, self._parts, self._recorder, result)
            source, tapes = resumed.source, [resumed.tape]
            checkpointer = self._stack.enter_context(closing(resumed.checkpointer))
            keepers = [Thinned(checkpointer, INTERVAL_S / 2)]
            if pace.report_interval_s > INTERVAL_S:
                asked_s = pace.report_interval_s - INTERVAL_S / 2
                displays = [Thinned(each, asked_s) for each in displays]
                pace = replace(pace, report_interval_s=INTERVAL_S)
        if source.live and self._config.stream.commands:
            source = self._stack.enter_context(commanded(source, self._config, self._parts))
        sinks = [*keepers, result, OccupancyWatch(), *displays]
        report = run(source, self._parts.ledger, self._reducers, [*tapes, *watchers], sinks, pace)
        if stop.asked() and not source.live:
            raise InterruptedError("Stopped before the end of the file; no result was written.")
        if result.fault:
            raise OSError(result.fault)
        if not report.totals.expected and not _scans(report):
            result.discard()
        return report

    def recording(self) -> str:
        """What became of the recording so far, see `Outcome`."""
        return self._recorder.status if self._recorder else "off"

    def _storage(self) -> Storage:
        return Storage(
            recording=self.recording(),
            written=self._recorder.written if self._recorder else Written(),
            result_fault=self._result.fault or "",
            free_bytes=free_bytes(self._outputs.result, self._outputs.recording),
        )


def _drift(config: Config, compton: ComptonReducer) -> DriftReducer:
    """The drift monitor of these counts; it comes first, to see an exposure before it is over."""
    return DriftReducer(
        config.drift,
        config.spectrum.edges_kev,
        lambda: compton.backend.snapshot().spectra,
        compton.valid,
        compton.correct_gain,
    )


def _scans(report: Report) -> tuple[CtView, ...]:
    ct = report.find(CtResult)
    return ct.scans if ct else ()


def _pace(config: Config, stop: Stop, *, displayed: bool) -> Pace:
    """Without anyone to show them to, there are only the final reports."""
    return Pace(
        report_interval_s=1 / config.monitor.rate_hz if displayed else float("inf"),
        idle_timeout_s=config.stream.idle_timeout_s,
        fail_on_gap=config.stream.on_gap == "fail",
        should_stop=stop.asked,
        should_abandon=stop.insisted,
    )


@contextmanager
def result_file(path: Path, config: Config, process: dict[str, str]) -> Iterator[ResultFile]:
    """A result file that is complete at the end, or absent after an error."""
    result = ResultFile(path, config.spectrum.edges_kev, process)
    try:
        yield result
        result.close()
    except BaseException:
        result.discard()
        raise
