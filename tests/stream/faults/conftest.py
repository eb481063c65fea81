"""A real ``hexlive run`` on loopback, raw sockets to it, and the table of the faults it was given.

The result of the run is held against ``hexlive process`` of the messages that must have survived.
With HEXLIVE_FAULT_TABLE=FILE the table takes the place of what stands between two marks there.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zmq

from hexlive.monitor.counters import counter_rows
from hexlive.monitor.figures import Phrase, tiles
from hexlive.monitor.words import banner
from hexlive.stream.model import AnyMessage, Frames, Snapshot
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.simulator.injected import Parts

PATIENCE_S = 30.0
INTEGERS = ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames")
ATTRIBUTES = ("frames_expected", "frames_received", "frames_lost", "booked_hits", "live_time_s")
TABLE = os.environ.get("HEXLIVE_FAULT_TABLE")
MARKS = ("<!-- make reliability: begin -->", "<!-- end -->")
DETECTOR = "[detector]\nrows = 12\ncolumns = 10\n"


@dataclass
class Running:
    """A ``hexlive run``.

    Attributes
    ----------
    input, publish
        Where it listens, and where it publishes.
    watch
        A monitor of it.
    """

    process: subprocess.Popen[str]
    input: str
    publish: str
    folder: Path
    watch: Any

    @property
    def result(self) -> Path:
        """The result file."""
        return self.folder / "live.nxs"

    def wait(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Exit code, and what it said."""
        _, said = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, said


Start = Callable[..., Running]


@pytest.fixture
def start(calibration_file: Path, tmp_path: Path, make_watch: Callable[[], Any]) -> Iterator[Start]:
    """Start ``hexlive run`` for the small experiment; ``stream`` is further TOML of that table."""
    with ExitStack() as stack:

        def run(stream: str = "", input_: str = "tcp://127.0.0.1:*") -> Running:
            config = tmp_path / "live.toml"
            config.write_text(
                f'{DETECTOR}[stream]\ninput = "{input_}"\npublish = "tcp://127.0.0.1:*"\n'
                f'result = "{tmp_path}/live.nxs"\nrecord = "{tmp_path}/live.h5"\n{stream}\n'
            )
            words = ["run", "--config", config, "--calibration", calibration_file]
            process = stack.enter_context(_process(*words))
            where, watch = _addresses(process), make_watch()
            watch.attach(where[1], settle_s=0.0)
            return Running(process, *where, tmp_path, watch)

        yield run


@contextmanager
def _process(*words: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "hexlive.stream.cli", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.communicate()


def _addresses(process: subprocess.Popen[str]) -> list[str]:
    """Where a run listens, and where it publishes."""
    assert process.stderr is not None
    heard = ""
    for line in process.stderr:
        heard += line
        if len(found := re.findall(r"(?:listen|publish)ing on ([^;\s]+)", heard)) == 2:
            return found
    raise AssertionError(heard)


@pytest.fixture
def pusher() -> Iterator[Callable[[str], zmq.Socket[bytes]]]:
    """Open raw senders: bytes as they are; ``@`` in front of the address binds."""
    with zmq.Context() as context, ExitStack() as stack:

        def opened(address: str) -> zmq.Socket[bytes]:
            socket = stack.enter_context(context.socket(zmq.PUSH))
            socket.immediate = True
            socket.linger = 5_000
            socket.sndtimeo = int(1e3 * PATIENCE_S)
            where = address.lstrip("@")
            socket.bind(where) if address.startswith("@") else socket.connect(where)
            return socket

        yield opened


@dataclass
class Found:
    """What a result says, exposure by exposure, and what was refused."""

    segments: dict[str, dict[str, Any]]
    rejected: dict[str, int]

    @property
    def missing(self) -> set[int]:
        """Numbers of all missing frames."""
        ranges = np.concatenate([each["missing_frames"] for each in self.segments.values()])
        return {number for a, b in ranges.tolist() for number in range(a, b)}

    @property
    def received(self) -> int:
        """Frames counted."""
        return sum(int(each["frames_received"]) for each in self.segments.values())

    def assert_same(self, other: "Found") -> None:
        """Fail unless every integer of every exposure is the same."""
        assert list(self.segments) == list(other.segments)
        for name, arrays in self.segments.items():
            for key, value in arrays.items():
                np.testing.assert_array_equal(value, other.segments[name][key], f"{name}/{key}")


def read(path: Path) -> Found:
    """Integers of every exposure."""
    with h5py.File(path) as file:
        entry = file["entry"]
        segments = {
            name: {key: group[key][()] for key in INTEGERS}
            | {key: group.attrs[key] for key in ATTRIBUTES}
            for name, group in entry.items()
            if name.startswith("segment")
        }
        refused = entry["rejected"].attrs.items()
        return Found(segments, {why: int(n) for why, n in refused if why != "NX_class"})


@pytest.fixture
def processed(hexlive, calibration_file: Path, tmp_path: Path) -> Callable[..., Found]:
    """What ``hexlive process`` makes of these messages."""

    def process(messages: Iterable[AnyMessage]) -> Found:
        writer = RecordingWriter(tmp_path / "survivors.h5")
        for message in messages:
            writer.append(message)
        writer.close()
        config, out = tmp_path / "offline.toml", tmp_path / "survivors.nxs"
        config.write_text(DETECTOR)
        words = ("--calibration", calibration_file, "--config", config, "--out", out)
        code, said = hexlive("process", tmp_path / "survivors.h5", *words)
        assert code == 0, said
        return read(out)

    return process


class FaultTable:
    """A line per fault that was survived; written where HEXLIVE_FAULT_TABLE says."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, ...]] = []

    def add(self, fault: str, injected: str, counted: str, shown: str, recovered: str) -> None:
        """Called when everything was asserted, so the counts were equal."""
        self._rows.append((fault, injected, counted, "yes", shown, recovered))

    def text(self) -> str:
        """As Markdown."""
        head = ("fault", "injected", "counted", "counts equal", "on the screen", "recovered in")
        lines = (head, ("---",) * len(head), *self._rows)
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


@pytest.fixture(scope="session")
def fault_table() -> Iterator[FaultTable]:
    """The table of this run of the tests."""
    table = FaultTable()
    yield table
    if TABLE:
        page = Path(TABLE)
        before, _, rest = page.read_text().partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        page.write_text("\n".join([before + MARKS[0], "", table.text(), MARKS[1] + after]))


@pytest.fixture
def hold_against(processed, fault_table: FaultTable) -> Callable[..., Found]:
    """End a run, and hold its result against the messages that must have survived."""

    def hold(
        running: Running,
        survivors: list[AnyMessage],
        *,
        fault: str,
        missing: set[int],
        rejected: dict[str, int],
        recovered: str = "the next message",
        code: int = 0,
    ) -> Found:
        ended, said = running.wait()
        assert ended == code, said
        live = read(running.result)
        n_received = sum(len(each.frames) for each in survivors if isinstance(each, Frames))
        assert live.missing == missing
        assert live.received == n_received
        assert live.rejected == rejected
        live.assert_same(processed(survivors))
        shown = _shown(running.watch, len(missing), rejected)
        refused = "".join(f"; {n} {why}" for why, n in live.rejected.items())
        injected = "".join(f"; {n} {why}" for why, n in rejected.items())
        fault_table.add(
            fault,
            f"{len(missing)} frames lost{injected}",
            f"{len(live.missing)} missing{refused}",
            shown,
            recovered,
        )
        return live

    return hold


def _shown(watch: Any, n_missing: int, rejected: dict[str, int]) -> str:
    """Hold what a monitor says at the end against what was injected; what alarms or warns."""
    last = watch.over()
    health, words, level = last.health, *banner(last, "stopped", "")
    alarms, _, _ = words.partition("STOPPED")
    assert health.frames_missing == n_missing
    assert alarms.startswith("LOST ") == bool(n_missing)
    assert (level == "alarm") == bool(alarms)
    if n_missing:
        percent = f"{100 * n_missing / health.frames_expected:.2g} %"
        assert alarms.startswith(f"LOST {percent}")
        assert watch.log[f"Lost {n_missing:,} ({percent}) frames."] == "alarm"
    rows = list(counter_rows(health, 0.0))
    assert all((f"rejected: {why}", f"{n:,}", "") in rows for why, n in rejected.items())
    n_refused = sum(rejected.values())
    assert value_of(last, "rejected") == (f"{n_refused:,}", "warning" if n_refused else "plain")
    warned = [level for text, level in watch.log.items() if f"{n_refused:,} rejected." in text]
    assert warned == ["warning"] * bool(n_refused)
    said = [alarms.strip(" ·"), f"{n_refused:,} rejected" if n_refused else ""]
    return " · ".join(filter(None, said)) or "no alarm"


def value_of(snapshot: Snapshot, label: str) -> Phrase:
    """A figure of the status line."""
    return next(tile.value for tile in tiles(snapshot) if tile.label == label)


@pytest.fixture
def send_all() -> Callable[[zmq.Socket[bytes], Iterable[Parts]], None]:
    """Send multipart messages, in order."""

    def send(socket: zmq.Socket[bytes], messages: Iterable[Parts]) -> None:
        for parts in messages:
            socket.send_multipart(parts)

    return send
