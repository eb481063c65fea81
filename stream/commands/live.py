"""``hexlive run``, ``record`` and ``replay``: commands with a live stream on one side."""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hexlive.stream.calibration import load_calibration
from hexlive.stream.checkpoint import CheckpointFolder
from hexlive.stream.commands.console import ProgressSink, say
from hexlive.stream.commands.options import (
    Address,
    Backend,
    Checked,
    Compat,
    Dataset,
    Device,
    KeysFolder,
    Sparse,
    conclude,
    device_name,
    listing_adu,
    rate_hz,
)
from hexlive.stream.config import Config, load_config, with_overrides
from hexlive.stream.inputs import live_source
from hexlive.stream.interop.energies import step_calibration
from hexlive.stream.interop.facility import refuse_missing
from hexlive.stream.ledger import Ledger
from hexlive.stream.listing import listed
from hexlive.stream.model import Message
from hexlive.stream.pipeline import Pace, Sink
from hexlive.stream.pipeline import run as run_pipeline
from hexlive.stream.recorder import Recorder
from hexlive.stream.recordings import FileSource, open_file
from hexlive.stream.sending import PassedOn, Punctuality, ZmqSender, paced
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.stopping import stop_on_signals


def run(
    config_file: Annotated[Path, typer.Option("--config", help="TOML; see docs/formats.md.")],
    calibration: Annotated[
        Path | None, typer.Option(help="Instead of detector.calibration in the configuration.")
    ] = None,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="The frames are float32 keV, of odin's LiveView.")
    ] = False,
    backend: Backend = Device.auto,
    compat: Compat = None,
    commands: Annotated[
        str | None,
        typer.Option(help="Take commands of monitors here, such as tcp://127.0.0.1:5557."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option(help="Keep the checkpoint of a killed run aside and start anew.")
    ] = False,
) -> None:
    """Process a live stream until the series ends or Ctrl-C.

    Exit code 0 only if everything accepted is on disk. A run that was killed goes on when it is
    started again with the same configuration and calibration.

    Example: hexlive run --config beamtime.toml
    """
    device, config = device_name(backend, compat), load_config(config_file)
    refuse_missing(config.facility)
    path = calibration or config.detector.calibration
    if calibrated == (path is not None):
        raise typer.BadParameter(
            "name a calibration, [detector] calibration or --calibration, or say that frames are "
            "--calibrated."
        )
    stream = with_overrides(config.stream, {"commands": commands}, "stream")
    config, outputs = replace(config, stream=stream), Outputs.of(stream)
    file = Path(path) if path else None
    outputs.refuse({"the calibration": file, "the configuration": config_file})
    maps = step_calibration(config) if file is None else load_calibration(file)
    with (
        closing(live_source(config, calibrated=calibrated)) as source,
        stop_on_signals() as stop,
        closing(ProgressSink()) as progress,
    ):
        outcome = run_session(
            source,
            config,
            maps,
            outputs,
            device=device,
            checkpoint=_begun(source.address, outputs.result, fresh=fresh),
            stop=stop,
            progress=progress,
            on_publish=lambda address: say(f"publishing on {address}"),
        )
    conclude(outcome, outputs)


def _begun(address: str, result: Path, *, fresh: bool) -> CheckpointFolder:
    """Say where a run listens; the checkpoint of its result, empty where it is to start anew."""
    checkpoint = CheckpointFolder(result)
    if fresh and (aside := checkpoint.move_aside()):
        say(f"the checkpoint of an earlier run is kept as {aside}")
    say(f"listening on {address}; Ctrl-C ends the run")
    if result.exists():
        say(f"{result} is there, and is replaced when this run ends")
    return checkpoint


def record(
    address: Annotated[str, typer.Option("--from", help="Address to listen on; > connects.")],
    out: Annotated[Path, typer.Option(help="Recording to write; never overwritten.")],
    idle_timeout_s: Annotated[
        float | None, typer.Option("--idle-timeout", help="End after so many silent seconds.")
    ] = None,
    keys: KeysFolder = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Send everything on to this receiver, such as a run.")
    ] = None,
    to_keys: Annotated[
        Path | None, typer.Option("--to-keys", help="Folder of the keys for that receiver.")
    ] = None,
) -> None:
    """Record a stream without processing it, and send it on where that is asked for.

    Example: hexlive record --from tcp://127.0.0.1:5555 --out recording.h5
    """
    config = Config()
    with ExitStack() as stack:
        source = stack.enter_context(closing(live_source(config, address, keys)))
        stop = stack.enter_context(stop_on_signals())
        progress = stack.enter_context(closing(ProgressSink()))
        recorder = stack.enter_context(closing(Recorder(out)))
        sinks: list[Sink[Message]] = [recorder]
        if to:
            sender = ZmqSender(to, should_stop=stop.asked, keys=to_keys)
            sinks.append(passed_on := stack.enter_context(closing(PassedOn(sender))))
        say(f"listening on {source.address}; Ctrl-C ends the recording")
        ledger = Ledger(None, config.detector.frame_rate_hz)
        pace = Pace(
            idle_timeout_s=idle_timeout_s,
            # Without a disk there is nothing left to do, unless another machine waits for frames.
            should_stop=lambda: stop.asked() or (recorder.failed and not to),
        )
        report = run_pipeline(source, ledger, [], sinks, [progress], pace)
    say(f"{out}: {report.totals.received} frames, {report.totals.lost} missing")
    if recorder.failed:
        raise OSError(recorder.status)
    if to and passed_on.n_left:
        raise OSError(f"{passed_on.n_left} frames are recorded, but {to} did not take them.")


def replay(
    file: Annotated[Path, typer.Argument(help="A recording, HDF5 with frames, or camera .bin.")],
    address: Address,
    rate: Annotated[str, typer.Option(help="Frames per second, or max.")] = "9000",
    loop: Annotated[bool, typer.Option(help="Again and again, each time a new series.")] = False,
    dataset: Dataset = None,
    sparse: Sparse = None,
    keys: KeysFolder = None,
    checked: Checked = False,
) -> None:
    """Send a recording as a stream; says at the end how even its pace was.

    Example: hexlive replay recording.h5 --to tcp://127.0.0.1:5555 --rate max
    """
    speed_hz, punctuality = rate_hz(rate), Punctuality()
    source = open_file(file, dataset)
    if source.listing_adu is not None:
        say(
            f"{file} holds lists of the pixels from {source.listing_adu.min():g} ADU on: whatever "
            "lay below is sent as 0 ADU, so only counts of hits above are those of the run."
        )
    listing = listing_adu(sparse, source.shape)
    with (
        stop_on_signals() as stop,
        closing(ZmqSender(address, should_stop=stop.asked, keys=keys, checked=checked)) as sender,
    ):
        messages = paced(_series(source, loop), speed_hz, stop.asked, punctuality)
        sender.send_all(listed(messages, listing))
    say(f"{file}: {punctuality}")


def _series(source: FileSource, loop: bool) -> Iterator[Message]:
    """The messages of a file, with new series in each pass."""
    while True:
        fresh: defaultdict[str, str] = defaultdict(lambda: str(uuid.uuid4()))
        for message in source:
            if message is not None:
                yield msgspec.structs.replace(message, series=fresh[message.series])
        if not loop:
            return
