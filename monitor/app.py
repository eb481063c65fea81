"""hexlive-monitor: a window on a running pipeline, or one picture of it without a screen."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hexlive.monitor.client import Client, judge
from hexlive.monitor.commander import Commander
from hexlive.monitor.look import FULL_HD, PLAIN, Look, PageName, ThemeName
from hexlive.monitor.words import hindrance
from hexlive.stream.keys import KeysError
from hexlive.stream.model import AdviceList, Snapshot
from hexlive.stream.sockets import AddressError

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

POLL_S: Final = 0.05
PROBE_S: Final = 30.0
SMALLEST: Final = (800, 600)
LARGEST: Final = (7680, 4320)
DEBIAN_PACKAGES: Final = "libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0"
OFFSCREEN: Final = ["-platform", "offscreen"]
PROBE: Final = (
    "from PySide6.QtWidgets import QApplication; "
    "size = QApplication([]).primaryScreen().size(); print(size.width(), size.height())"
)
SCALE: Final = "QT_SCALE_FACTOR"
SMALLEST_SCALE: Final = 0.5


class MonitorError(RuntimeError):
    """The monitor cannot do what was asked; the text is one sentence for the user."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Entry point of ``hexlive-monitor``."""
    app()


@app.command()
def monitor(
    address: Annotated[str, typer.Argument(help="Of the pipeline, such as tcp://127.0.0.1:5556.")],
    snapshot: Annotated[
        Path | None, typer.Option(help="Draw one picture into this PNG, without a screen.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the first snapshot.")] = 30.0,
    when_stopped: Annotated[
        bool, typer.Option("--when-stopped", help="Picture the end of the run, not its present.")
    ] = False,
    keys: Annotated[Path | None, typer.Option(help="Folder of CurveZMQ keys.")] = None,
    commands: Annotated[
        str | None,
        typer.Option(help="Command leg of the run (its stream.commands); the window gets a menu."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(help="Draw the picture again every so many seconds.")
    ] = None,
    page: Annotated[PageName, typer.Option(help="Page of the picture.")] = PageName.overview,
    theme: Annotated[ThemeName, typer.Option(help="Of the picture.")] = ThemeName.dark,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the picture, pixels.")] = "1920x1080",
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Watch a running pipeline.

    Example: hexlive-monitor tcp://127.0.0.1:5556 --snapshot now.png
    """
    try:
        if snapshot is None:
            raise typer.Exit(run_window(address, keys, commands))
        look = Look(size=parse_size(size), page=page, theme=theme)
        if every is None:
            save_snapshot(address, snapshot, timeout, look, when_stopped=when_stopped, keys=keys)
        elif every <= 0 or when_stopped:
            raise typer.BadParameter("give seconds above 0, and not with --when-stopped.")
        else:
            save_snapshots(address, snapshot, every, look, keys=keys)
    except (AddressError, KeysError, MonitorError) as error:
        if debug:
            raise
        typer.echo(str(error), err=True)
        raise typer.Exit(2 if isinstance(error, AddressError) else 1) from error


def run_window(address: str, keys: Path | None = None, commands: str | None = None) -> int:
    """Show the window until it is closed or the process is told to stop; returns the exit code.

    Parameters
    ----------
    commands
        Address of the command leg; None: the window shows no commands.

    Raises
    ------
    AddressError
        The address is malformed.
    MonitorError
        Qt is missing, or there is no display.
    """
    _require_qt()
    os.environ.setdefault(SCALE, f"{scale_of(_require_display()):.3f}")
    from PySide6.QtCore import QSettings

    from hexlive.monitor.main_window import MonitorWindow

    with ExitStack() as stack:
        client = stack.enter_context(Client(address, keys))
        commander = None
        if commands is not None:
            commander = stack.enter_context(closing(Commander(commands, keys)))
        application = _application([])
        window = MonitorWindow(client, QSettings("hexlive", "monitor"), commander)
        window.show()
        with _on_signals(application.quit):
            return application.exec()


def save_snapshot(
    address: str,
    path: Path,
    timeout_s: float,
    look: Look = PLAIN,
    *,
    when_stopped: bool = False,
    keys: Path | None = None,
) -> None:
    """Wait for a snapshot and draw it into a PNG; no screen needed.

    Parameters
    ----------
    when_stopped
        Wait until the run is over, at most ``timeout_s``, and draw the newest snapshot then.

    Raises
    ------
    AddressError
        The address is malformed.
    MonitorError
        Nothing came within ``timeout_s``, the file cannot be written, or Qt is missing.
    """
    _require_qt()
    with Client(address, keys) as client:
        snapshot = _awaited(client, timeout_s, when_stopped=when_stopped)
        time.sleep(POLL_S)  # advice comes right behind its snapshot
        advice = client.advice
    render(snapshot, path, look, advice)


def save_snapshots(
    address: str, path: Path, every_s: float, look: Look, *, keys: Path | None = None
) -> None:
    """Draw the newest snapshot every so many seconds, until the process is told to stop.

    The picture goes on from run to run, and says so when nothing comes.

    Raises
    ------
    AddressError
        The address is malformed.
    MonitorError
        The file cannot be written, or Qt is missing.
    """
    _require_qt()
    from hexlive.monitor.easel import Easel

    application, stopped, newest = _application(OFFSCREEN), threading.Event(), None
    with Client(address, keys) as client, _on_signals(stopped.set):
        easel = Easel(look)
        while not stopped.is_set():
            newest = client.latest() or newest
            with _one_sentence():
                easel.screen.take_advice(client.advice)
                hindered = hindrance(client.invalid, client.refused)
                easel.draw(newest, path, client.freshness, client.age_s, address, hindered)
            application.processEvents()
            stopped.wait(every_s)


def render(
    snapshot: Snapshot, path: Path, look: Look = PLAIN, advice: AdviceList | None = None
) -> None:
    """Draw a snapshot into a PNG; call in the main thread.

    The file is whole or absent.

    Raises
    ------
    MonitorError
        The file cannot be written, or Qt is missing.
    """
    _require_qt()
    from hexlive.monitor.easel import Easel

    _application(OFFSCREEN)
    easel = Easel(look)
    easel.screen.take_advice(advice)
    with _one_sentence():
        easel.draw(snapshot, path, judge(snapshot, 0.0), 0.0)


@contextmanager
def _one_sentence() -> Iterator[None]:
    from hexlive.monitor.saving import SavingError

    try:
        yield
    except SavingError as error:
        raise MonitorError(str(error)) from error


def _awaited(client: Client, timeout_s: float, *, when_stopped: bool) -> Snapshot:
    newest: Snapshot | None = None
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        newest = client.latest() or newest
        if newest is not None and not (when_stopped and newest.status == "running"):
            return newest
        time.sleep(POLL_S)
    if newest is not None:
        return newest
    why = hindrance(client.invalid, client.refused) or "check that a pipeline publishes there"
    raise MonitorError(f"No snapshot came from {client.address} within {timeout_s:g} s: {why}.")


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from ``1920x1080``."""
    width, _, height = text.partition("x")
    if width.isdecimal() and height.isdecimal():
        size = int(width), int(height)
        if all(low <= n <= high for low, n, high in zip(SMALLEST, size, LARGEST, strict=True)):
            return size
    raise typer.BadParameter(
        f"{text!r} is not WIDTHxHEIGHT between 800x600 and 7680x4320 pixels.", param_hint="--size"
    )


def _require_qt() -> None:
    """Say what to install, before anything else imports Qt."""
    try:
        importlib.import_module("PySide6.QtWidgets")
        importlib.import_module("pyqtgraph")
    except ModuleNotFoundError as error:
        raise MonitorError(
            f"The monitor needs {error.name}; install it with pip install 'hexlive[monitor]'."
        ) from error
    except ImportError as error:
        raise MonitorError(
            f"Qt lacks a system library ({error}); on Debian, apt-get install {DEBIAN_PACKAGES}."
        ) from error


def scale_of(screen: tuple[int, int]) -> float:
    """How large everything is drawn, so that a screen of any size holds what full HD does."""
    whole = min(length / full for length, full in zip(screen, FULL_HD, strict=True))
    return max(whole, SMALLEST_SCALE)


def _require_display() -> tuple[int, int]:
    """Width and height of the screen, pixels.

    Asked in a process of its own, because without a display Qt ends the process it runs in.
    """
    command = [sys.executable, "-c", PROBE]
    try:
        tried = subprocess.run(command, check=True, capture_output=True, timeout=PROBE_S)
        width, height = map(int, tried.stdout.split())
    except (subprocess.SubprocessError, ValueError) as error:
        raise MonitorError(
            "Qt cannot open a window here (no display, or no libxcb-cursor0); "
            "draw a picture instead with --snapshot FILE.png."
        ) from error
    return width, height


@contextmanager
def _on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop; the timer of the window lets Python see them."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _application(arguments: list[str]) -> "QApplication":
    from PySide6.QtWidgets import QApplication

    running = QApplication.instance()
    return running if isinstance(running, QApplication) else QApplication(["hexlive", *arguments])


if __name__ == "__main__":
    main()
