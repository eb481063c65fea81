"""The ``hexlive`` command. Each command is a thin shell around a public function."""

import logging
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from hexlive.stream.commands import advice as advise
from hexlive.stream.commands import compare, export, live, offline, simulate
from hexlive.stream.commands.calibrate import calibrate
from hexlive.stream.commands.campaign import campaign
from hexlive.stream.commands.options import KeysFolder
from hexlive.stream.commands.register import register
from hexlive.stream.doctor import examine
from hexlive.stream.keys import make_keys
from hexlive.stream.listening import examine_stream
from hexlive.stream.logs import LogStyle, as_event, begin

DEBUG: Final = "--debug"
app = typer.Typer(
    help="Live Compton and electron-momentum maps, and CT at scan end, from a HEXITEC stream.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(simulate.demo)
app.command()(live.run)
app.command()(simulate.simulate)
app.command()(live.record)
app.command()(live.replay)
app.command()(advise.advice)
app.command()(offline.recover)
app.command()(offline.process)
app.command()(campaign)
app.add_typer(calibrate, name="calibrate")
app.command()(offline.reconstruct)
app.command()(compare.morphology)
app.command()(register)
app.command()(export.export)


def _version(asked: bool) -> None:
    if asked:
        print(f"hexlive {version('hexlive')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Say which this is.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show where an error came from; anywhere in the line.")
    ] = False,
    log: Annotated[
        LogStyle, typer.Option(help="Events as text, or as one JSON object per line.")
    ] = LogStyle.text,
) -> None:
    """Options of every command, in front of it."""
    begin(log)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def monitor(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Address a pipeline publishes on.")],
    snapshot: Annotated[
        Path | None, typer.Option(help="Draw one picture to this PNG, without a screen.")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait for data.")] = 30,
    keys: KeysFolder = None,
) -> None:
    """Open a window on a running pipeline, here or elsewhere.

    Takes the other options of hexlive-monitor too, such as --every, --page and --theme.

    Example: hexlive monitor tcp://127.0.0.1:5556
    """
    command = monitor_command(address, snapshot, timeout_s, keys)
    debug = [DEBUG] if DEBUG in sys.argv else []
    raise typer.Exit(subprocess.call([*command, *context.args, *debug]))


def monitor_command(
    address: str, snapshot: Path | None, timeout_s: float, keys: Path | None = None
) -> list[str]:
    """The monitor is a program of its own, so that nothing here ever needs Qt."""
    command = [sys.executable, "-m", "hexlive.monitor.app", address, "--timeout", str(timeout_s)]
    options = {"--snapshot": snapshot, "--keys": keys}
    return command + [word for name, path in options.items() if path for word in (name, str(path))]


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def bench(context: typer.Context) -> None:
    """Measure what this machine sustains, beside its limits.

    Example: hexlive bench kernels --json kernels.json
    """
    command = [sys.executable, "-m", "hexlive.benchmarks.app", *context.args]
    raise typer.Exit(subprocess.call(command))


@app.command()
def keys(
    out: Annotated[Path, typer.Option(help="Folder for the keys; made if it is not there.")],
    client: Annotated[
        list[str], typer.Option("--client", help="Name of an end that connects; may be repeated.")
    ] = ["client"],  # noqa: B006
) -> None:
    """Make CurveZMQ keys for the end that listens, and for those that connect to it.

    Example: hexlive keys --out keys --client camera --client screen
    """
    for path in make_keys(out, client):
        print(path)


@app.command()
def doctor(
    stream: Annotated[
        str | None,
        typer.Option(help="Listen to the display leg of a run (stream.publish) instead."),
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to listen.")] = 10,
    keys: KeysFolder = None,
) -> None:
    """Say what this machine offers: OK, absent (with what to install), or ERROR.

    With --stream: whether a run is there, what it does, or what is wrong. It never listens to a
    data leg, as that would take frames from the run.

    Example: hexlive doctor --stream tcp://127.0.0.1:5556
    """
    findings = list(examine()) if stream is None else [examine_stream(stream, timeout_s, keys)]
    for finding in findings:
        print(f"{finding.verdict:7}{finding.subject:18}{finding.detail}")
    silent = stream is not None and findings[0].verdict != "OK"
    if silent or any(finding.verdict == "ERROR" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; errors are one sentence and exit code 1 (2 for wrong use)."""
    begin(LogStyle.text)
    try:
        app([word for word in sys.argv[1:] if word != DEBUG])
    except KeyboardInterrupt:
        _fail("Interrupted.")
    except (ValueError, RuntimeError, OSError, ArithmeticError, MemoryError) as error:
        _fail(str(error) or "Out of memory.")
    except Exception as error:  # a defect; its name and --debug help more than a page of trace
        _fail(f"Unexpected {type(error).__name__}: {error}; {DEBUG} shows where.")


def _fail(sentence: str) -> None:
    if DEBUG in sys.argv:
        raise
    if not as_event(logging.ERROR, sentence):
        print(f"hexlive: {sentence}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
