"""The ``hexlive`` command. Each command is a thin shell around a public function."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hexlive.stream.calibration import load_calibration
from hexlive.stream.calibration_cli import calibrate
from hexlive.stream.config import Config, load_config
from hexlive.stream.console import ProgressSink, say
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import Message
from hexlive.stream.pipeline import run as run_pipeline
from hexlive.stream.recorder import Recorder
from hexlive.stream.recordings import FileSource, open_file
from hexlive.stream.sending import ZmqSender, paced
from hexlive.stream.session import (
    Outcome,
    Outputs,
    fit_detector,
    run_session,
    stop_on_signals,
)
from hexlive.stream.sources import ZmqSource

app = typer.Typer(
    help="Live Compton and electron-momentum maps, and CT at scan end, from a 9 kHz HEXITEC stream.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(calibrate, name="calibrate")

BYTES_PER_PIXEL = 2
BATCH_FRAMES = 256


class Device(StrEnum):
    """Where events are counted."""

    auto = "auto"
    cuda = "cuda"
    cpu = "cpu"


ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML; see docs/formats.md. Default: the paper's.")
]
CalibrationFile = Annotated[Path, typer.Option("--calibration", help="From hexlive calibrate.")]
Backend = Annotated[Device, typer.Option("--backend", help="Where events are counted.")]
Address = Annotated[
    str, typer.Option("--to", help="Address of the receiver; a leading @ binds instead.")
]
ResultPath = Annotated[Path, typer.Option("--out", help="Result file (NeXus).")]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Options of every command; main() reads them from the command line."""


@app.command()
def run(
    config_file: Annotated[Path, typer.Option("--config", help="TOML; see docs/formats.md.")],
    calibration: Annotated[
        Path | None, typer.Option(help="Instead of detector.calibration in the configuration.")
    ] = None,
    backend: Backend = Device.auto,
) -> None:
    """Process a live stream until the series ends or Ctrl-C.

    Exit code 0 only if everything accepted is on disk.

    Example: hexlive run --config beamtime.toml
    """
    config = load_config(config_file)
    path = calibration or config.detector.calibration
    if path is None:
        raise typer.BadParameter("name a calibration: [detector] calibration, or --calibration.")
    stream = config.stream
    outputs = Outputs(
        result=Path(stream.result),
        recording=Path(stream.record) if stream.record else None,
        publish=stream.publish,
    )
    maps = load_calibration(Path(path))
    with _live_source(config, stream.input) as source, stop_on_signals() as should_stop:
        say(f"listening on {source.address}; Ctrl-C ends the run")
        progress = ProgressSink()
        outcome = run_session(
            source, config, maps, outputs,
            backend=backend.value, should_stop=should_stop, progress=progress,
        )  # fmt: skip
    _conclude(outcome, outputs)


@app.command()
def process(
    file: Annotated[Path, typer.Argument(help="A recording, or HDF5 with frames.")],
    calibration: CalibrationFile,
    config_file: ConfigFile = None,
    dataset: Annotated[
        str | None, typer.Option(help="Path of the frames; default: the usual places.")
    ] = None,
    backend: Backend = Device.auto,
    out: ResultPath = Path("result.nxs"),
) -> None:
    """Process a recording, as fast as this machine can: the same counts as live.

    Example: hexlive process recording.h5 --calibration cal.h5 --out result.nxs
    """
    config = load_config(config_file)
    source = open_file(file, dataset, config.detector.frame_rate_hz)
    config = fit_detector(config, source.shape, explicit=config_file is not None)
    progress = ProgressSink(source.n_frames)
    outputs = Outputs(result=out)
    with stop_on_signals() as should_stop:
        outcome = run_session(
            source, config, load_calibration(calibration), outputs,
            backend=backend.value, should_stop=should_stop, progress=progress,
        )  # fmt: skip
    _conclude(outcome, outputs)


@app.command()
def record(
    address: Annotated[str, typer.Option("--from", help="Address to listen on; > connects.")],
    out: Annotated[Path, typer.Option(help="Recording to write; never overwritten.")],
    idle_timeout_s: Annotated[
        float | None, typer.Option("--idle-timeout", help="End after so many silent seconds.")
    ] = None,
) -> None:
    """Record a stream without processing it.

    Example: hexlive record --from tcp://127.0.0.1:5555 --out recording.h5
    """
    recorder = Recorder(out)
    try:
        with _live_source(Config(), address) as source, stop_on_signals() as should_stop:
            say(f"listening on {source.address}; Ctrl-C ends the recording")
            report = run_pipeline(
                source, Ledger(None, Config().detector.frame_rate_hz), [], [recorder],
                [ProgressSink()], idle_timeout_s=idle_timeout_s, should_stop=should_stop,
            )  # fmt: skip
    finally:
        recorder.close()
    expected, received = report.totals
    say(f"{out}: {received} frames, {expected - received} missing")
    if recorder.failed:
        raise OSError(recorder.status)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recording, or HDF5 with frames.")],
    address: Address,
    rate: Annotated[str, typer.Option(help="Frames per second, or max.")] = "9000",
    loop: Annotated[bool, typer.Option(help="Again and again, each time a new series.")] = False,
    dataset: Annotated[str | None, typer.Option(help="Path of the frames.")] = None,
) -> None:
    """Send a recording as a stream.

    Example: hexlive replay recording.h5 --to tcp://127.0.0.1:5555 --rate max
    """
    source = open_file(file, dataset)
    rate_hz = _rate_hz(rate)
    message_bytes = source.shape[0] * source.shape[1] * BYTES_PER_PIXEL * BATCH_FRAMES
    with stop_on_signals() as should_stop, ZmqSender(address, message_bytes=message_bytes) as out:
        for message in paced(_series(source, loop), rate_hz):
            if should_stop():
                break
            out.send(message)


def _series(source: FileSource, loop: bool) -> Iterator[Message]:
    """The messages of a file, each pass as a series of its own."""
    while True:
        series = str(uuid.uuid4())
        for message in source:
            if message is not None:
                yield msgspec.structs.replace(message, series=series)
        if not loop:
            return


@app.command()
def monitor(
    address: Annotated[str, typer.Argument(help="Address a pipeline publishes on.")],
    snapshot: Annotated[
        Path | None, typer.Option(help="Draw one picture to this PNG, without a screen.")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait for data.")] = 30,
) -> None:
    """Open a window on a running pipeline, here or elsewhere.

    Example: hexlive monitor tcp://127.0.0.1:5556
    """
    command = [sys.executable, "-m", "hexlive.monitor.app", address, "--timeout", str(timeout_s)]
    if snapshot is not None:
        command += ["--snapshot", str(snapshot)]
    raise typer.Exit(subprocess.call(command))


def _live_source(config: Config, address: str) -> ZmqSource:
    detector = config.detector
    message_bytes = detector.rows * detector.columns * BYTES_PER_PIXEL * BATCH_FRAMES
    return ZmqSource(
        address,
        high_water_mark_mb=config.stream.high_water_mark_mb,
        message_bytes=message_bytes,
    )


def _rate_hz(text: str) -> float | None:
    if text == "max":
        return None
    try:
        rate_hz = float(text)
    except ValueError:
        rate_hz = 0.0
    if not rate_hz > 0:
        raise typer.BadParameter(f"--rate takes frames per second or max, not {text!r}.")
    return rate_hz


def _conclude(outcome: Outcome, outputs: Outputs) -> None:
    """Say what was written; exit with 1 unless everything accepted is on disk."""
    expected, received = outcome.report.totals
    say(f"{outputs.result}: {received} frames, {expected - received} missing")
    rejected = ", ".join(f"{count} {why}" for why, count in outcome.report.rejected.items())
    if rejected:
        say(f"rejected: {rejected}")
    if not outcome.complete:
        raise OSError(outcome.recording)


def main() -> None:
    """Run the command line; errors are one sentence and exit code 1 (2 for wrong use)."""
    try:
        app()
    except (ValueError, RuntimeError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        text = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        print(f"hexlive: {text}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
