"""Putting a run together: reducers, recorder, result file, publisher around one source."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from hexlive.stream.calibration import Calibration
from hexlive.stream.checkpoint import CheckpointFolder, MadeWith, deciding
from hexlive.stream.checkpointing import INTERVAL_S, Parts
from hexlive.stream.command_leg import commanded
from hexlive.stream.config import Config, ConfigError, to_toml
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.device import Counter, DeviceName, describe_device, open_counter
from hexlive.stream.drift import DriftReducer
from hexlive.stream.files import part_of, refuse_same
from hexlive.stream.interop.facility import reported, watched
from hexlive.stream.interop.liveview import OdinSource
from hexlive.stream.ledger import Ledger
from hexlive.stream.listing import Listing
from hexlive.stream.listing_map import read_listing, refuse_high_listing
from hexlive.stream.marks import MarkReducer
from hexlive.stream.model import CtView, Message
from hexlive.stream.notes import OccupancyWatch
from hexlive.stream.pipeline import Pace, Reducer, Report, Sink, Source, run
from hexlive.stream.publisher import Publisher
from hexlive.stream.recorder import Recorder, Written
from hexlive.stream.reducers import ComptonReducer, CyclerReducer
from hexlive.stream.results import CtResult
from hexlive.stream.resume import Continuation
from hexlive.stream.sinks import ResultFile, Thinned
from hexlive.stream.sources import ZmqSource
from hexlive.stream.stopping import Stop
from hexlive.stream.supervision import Guarded, SupervisedPublisher

BYTES_PER_PIXEL: Final = 2
LIVEVIEW: Final = "odin+"

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the products of a run go; None: not made."""

    result: Path
    recording: Path | None = None
    publish: str | None = None

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
    device
        Where events are counted, see `ComptonReducer`.
    counter
        Opens it.
    checkpoint
        Where to keep what it takes to go on after a crash; what an earlier start of the same run
        left there is gone on with.
    stop
        Ends the run early.
    progress
        A further sink of reports, such as the line on the terminal.
    watchers
        Further sinks of accepted messages.
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
    stop = stop or Stop()
    compton = ComptonReducer(config, calibration, device, counter)
    LOG.info(describe_device(device, compton.backend.name))
    for note in compton.notes:
        LOG.warning(note)
    made_with = _made_with(config, calibration, device)
    listing = _listing(config, calibration) if outputs.recording else None
    kept = Continuation(checkpoint, made_with) if checkpoint else None
    process = _provenance(config, calibration, compton, kept.notes if kept else [])
    with ExitStack() as stack:
        if kept:
            stack.enter_context(kept.until_done())
        tomography = TomographyReducer(
            config.tomography, outputs.result.resolve(), config.live_scan
        )
        stack.callback(tomography.close)
        ct: Reducer = tomography
        if source.live:
            products = (outputs.result, outputs.recording)
            ct = stack.enter_context(watched(tomography, config, products))
        result = stack.enter_context(result_file(outputs.result, config, process))
        parts = Parts(
            ledger=Ledger(config.detector.shape, config.detector.frame_rate_hz),
            drift=_drift(config, compton),
            compton=compton,
            tomography=tomography,
            cycler=CyclerReducer(),
            marks=MarkReducer(),
        )
        recorders: list[Recorder] = []
        displays: list[Sink[Report]] = [progress] if progress else []
        if outputs.publish:
            leg = display_leg(
                outputs.publish,
                config,
                lambda: _recording(recorders),
                lambda: _written(recorders),
                outputs.result.resolve().parent,
            )
            publisher = stack.enter_context(leg)
            displays.append(publisher)
            on_publish(publisher.address)
        if source.live:
            further = stack.enter_context(reported(config, lambda: _recording(recorders)))
            displays += [Guarded(sink) for sink in further]
        recording = kept.begin(outputs.recording) if kept else outputs.recording
        if recording:
            recorders.append(Recorder(recording, listing))
            stack.callback(recorders[0].close)
        tapes: list[Sink[Message]] = [*recorders]
        sinks: list[Sink[Report]] = [result, OccupancyWatch(), *displays]
        pace = _pace(config, stop, displayed=bool(displays))
        if not source.live:
            pace = replace(pace, should_stop=lambda: stop.asked() or result.fault is not None)
        if kept:
            resumed = kept.resume(source, parts, next(iter(recorders), None), result)
            source, tapes = resumed.source, [resumed.tape]
            checkpointer = stack.enter_context(closing(resumed.checkpointer))
            displays = [Thinned(each, pace.report_interval_s) for each in displays]
            sinks = [Thinned(checkpointer, INTERVAL_S / 2), result, OccupancyWatch(), *displays]
            pace = replace(pace, report_interval_s=min(pace.report_interval_s, INTERVAL_S))
        if source.live and config.stream.commands:
            source = stack.enter_context(commanded(source, config, parts))
        reducers: list[Reducer] = [parts.drift, parts.compton, ct, parts.cycler, parts.marks]
        report = run(source, parts.ledger, reducers, [*tapes, *watchers], sinks, pace)
        if stop.asked() and not source.live:
            raise InterruptedError("Stopped before the end of the file; no result was written.")
        if result.fault:
            raise OSError(result.fault)
        if not report.totals.expected and not _scans(report):
            result.discard()
    return Outcome(report=report, recording=_recording(recorders))


def _drift(config: Config, compton: ComptonReducer) -> DriftReducer:
    """The drift monitor of these counts; it comes first, to see an exposure before it is over."""
    return DriftReducer(
        config.drift,
        config.spectrum.edges_kev,
        lambda: compton.backend.snapshot().spectra,
        compton.valid,
        compton.correct_gain,
    )


def _made_with(config: Config, calibration: Calibration, device: DeviceName) -> MadeWith:
    """What must be the same for a killed run to go on; all devices but the odin chain are."""
    return MadeWith(
        version=version("hexlive"),
        calibration_id=calibration.id,
        chain=device if device.startswith("odin") else "hexlive",
        config=deciding(config),
    )


def _provenance(
    config: Config, calibration: Calibration, compton: ComptonReducer, notes: list[str]
) -> dict[str, str]:
    """What the result says of how it was made."""
    process = {
        "config": to_toml(config),
        "calibration_id": calibration.id,
        "backend": compton.backend.name,
    }
    notes = [*compton.notes, *notes]
    return process | ({"notes": "\n".join(notes)} if notes else {})


def _listing(config: Config, calibration: Calibration) -> Listing:
    """From which ADU on pixels are recorded; None: all are."""
    if config.stream.record_listing_adu is None:
        return None
    what = "stream.record_listing_adu"
    adu = read_listing(str(config.stream.record_listing_adu), config.detector.shape, what)
    refuse_high_listing(adu, calibration, config.events, what)
    return adu


def _scans(report: Report) -> tuple[CtView, ...]:
    ct = report.find(CtResult)
    return ct.scans if ct else ()


def _recording(recorders: list[Recorder]) -> str:
    return recorders[0].status if recorders else "off"


def _written(recorders: list[Recorder]) -> Written:
    return recorders[0].written if recorders else Written()


def _pace(config: Config, stop: Stop, *, displayed: bool) -> Pace:
    """Without anyone to show them to, there are only the final reports."""
    return Pace(
        report_interval_s=1 / config.monitor.rate_hz if displayed else float("inf"),
        idle_timeout_s=config.stream.idle_timeout_s,
        fail_on_gap=config.stream.on_gap == "fail",
        should_stop=stop.asked,
        should_abandon=stop.insisted,
    )


def live_source(
    config: Config,
    address: str | None = None,
    keys: Path | None = None,
    *,
    calibrated: bool = False,
) -> ZmqSource | OdinSource:
    """Listen at ``config.stream.input``, or at another address; ``odin+`` in front is a LiveView.

    Parameters
    ----------
    keys
        Instead of those of the configuration.
    calibrated
        Frames of the LiveView are float32, keV.

    Raises
    ------
    AddressError
        The address cannot be used.
    KeysError
        The keys cannot be used.
    """
    detector, where = config.detector, address or config.stream.input
    if where.startswith(LIVEVIEW):
        return OdinSource(
            where.removeprefix(LIVEVIEW),
            frame_rate_hz=detector.frame_rate_hz,
            high_water_mark_mb=config.stream.high_water_mark_mb,
            frame_bytes=detector.rows * detector.columns * BYTES_PER_PIXEL,
            dataset=config.stream.dataset,
            calibrated=calibrated,
        )
    if calibrated:
        raise ConfigError(
            f"Only a LiveView sends calibrated frames: {LIVEVIEW}tcp://..., not {where}."
        )
    return ZmqSource(
        where,
        high_water_mark_mb=config.stream.high_water_mark_mb,
        keys=keys or config.security.folder,
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


@contextmanager
def display_leg(
    address: str,
    config: Config,
    recording: Callable[[], str],
    written: Callable[[], Written],
    folder: Path | None = None,
) -> Iterator[SupervisedPublisher]:
    """A publisher that tells its monitors when the run ends in an error."""
    publisher = SupervisedPublisher(Publisher(address, config, recording, written, folder))
    try:
        yield publisher
    except Exception as error:
        publisher.fail(str(error))
        raise
    finally:
        publisher.close()


def fit_detector(config: Config, shape: tuple[int, int], *, explicit: bool) -> Config:
    """Take the frame size from a file, unless the configuration states another one.

    Raises
    ------
    ConfigError
        A configuration was given and is of another size.
    """
    detector = config.detector
    if detector.shape == shape:
        return config
    if explicit:
        raise ConfigError(
            f"The frames are {shape[0]} x {shape[1]}, but the configuration has [detector] "
            f"rows = {detector.rows}, columns = {detector.columns}."
        )
    return replace(config, detector=replace(detector, rows=shape[0], columns=shape[1]))
