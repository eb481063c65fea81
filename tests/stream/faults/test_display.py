"""What a person sees of a fault, in the words of a monitor that watches the run it happens to.

What is wrong with single messages is watched where it is tried (``_shown`` in conftest.py); here is
what a pattern of them looks like, what the disks do, and silence.
"""

import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hexlive.monitor import client as client_module
from hexlive.monitor.figures import tiles
from hexlive.monitor.words import age, banner
from hexlive.stream import recorder, sinks, storage
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, SecuritySettings
from hexlive.stream.files import DiskFullError
from hexlive.stream.keys import make_keys
from hexlive.stream.model import AnyMessage, End, Frames, ScanEnd, ScanStart, Snapshot
from hexlive.stream.publisher import Publisher
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.injected import packed

DAY_S = 86_400.0
FRESH_S, STALE_S = 0.7, 1.4
RATE = "[monitor]\nrate_hz = 20.0"
Messages = list[AnyMessage]


def cut(messages: Messages, n_batches: int) -> tuple[Messages, list[Frames], End]:
    """What begins the first exposure, so many of its batches, and an end right behind them."""
    begin = next(i for i, message in enumerate(messages) if isinstance(message, Frames))
    batches = [each for each in messages[begin : begin + n_batches] if isinstance(each, Frames)]
    assert len(batches) == n_batches
    return messages[:begin], batches, End(series="series", last_frame=batches[-1].end_frame - 1)


def stolen(messages: Messages) -> Messages:
    head, batches, end = cut(messages, 20)
    return [*head, *batches[::2], end]


def sent_again(messages: Messages) -> Messages:
    head, batches, end = cut(messages, 12)
    return [*head, *batches, *batches, end]


def sent_twice(messages: Messages) -> Messages:
    head, batches, end = cut(messages, 12)
    twice = chain.from_iterable((each, each) for each in batches)
    return [*head, *twice, end]


def of_another_series(messages: Messages) -> Messages:
    head, batches, end = cut(messages, 12)
    foreign = [msgspec.structs.replace(each, series="another") for each in batches]
    return [*head, batches[0], *foreign, end]


def a_day_late(messages: Messages) -> Messages:
    sent_s = time.time() - DAY_S
    return [
        msgspec.structs.replace(each, timestamp_s=sent_s) if isinstance(each, Frames) else each
        for each in messages
    ]


def empty_scan(messages: Messages) -> Messages:
    *others, end = messages
    scan = ScanStart(series="series", scan=1, rows=4, columns=4, n_images=9, pixel_um=3.0)
    return [*others, scan, ScanEnd(series="series", scan=1, n_images=9), end]


def refuse_room(monkeypatch: pytest.MonkeyPatch, module: Any, after: int, until: int) -> None:
    """Let a disk be full from the nth time on that room is asked for."""
    asked = count()

    def refuse(path: Path, *n_bytes: int) -> None:
        if after <= next(asked) < until:
            raise DiskFullError(f"No room for {path.name}: 1 MB are left.")

    monkeypatch.setattr(module, "require_room", refuse)


def no_room_to_record(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_room(monkeypatch, recorder, 4, 1000)


def no_room_for_an_exposure(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_room(monkeypatch, sinks, 1, 1000)


def no_room_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_room(monkeypatch, sinks, 6, 1000)


def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = storage.shutil.disk_usage("/")._replace(free=1_200_000_000)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda folder: usage)


@dataclass(frozen=True)
class Seen:
    """A fault, and what a monitor shows while it lasts.

    Attributes
    ----------
    sent
        What becomes of the messages.
    broken
        What is broken around them.
    banner, log
        How the banner begins and what is in it; what is in the log as an alarm.
    tile
        A figure that warns: its label and its words.
    """

    banner: tuple[str, str] = ("", "")
    log: str = ""
    tile: tuple[str, str] | None = None
    sent: Callable[[Messages], Messages] = list
    broken: Callable[[pytest.MonkeyPatch], None] = lambda monkeypatch: None
    error: type[Exception] | None = None


SEEN = {
    "another receiver takes every second message": Seen(
        banner=("LOST 50 %", "another receiver is connected to this sender and takes them"),
        log="1 of every 2 messages are missing",
        sent=stolen,
    ),
    "a sender begins the same series again": Seen(
        banner=("Frames that were counted come again", "restarted"),
        log="Frames that were counted come again",
        sent=sent_again,
    ),
    "two senders share a series": Seen(
        banner=("Frames come twice", "two senders share one series"),
        log="Frames come twice",
        sent=sent_twice,
    ),
    "a second sender sends another series": Seen(
        banner=("LOST 92 %", "Frames of another series are refused"),
        log="Frames of another series are refused",
        sent=of_another_series,
    ),
    "the clock of the sender is a day late": Seen(tile=("backlog", "86,4"), sent=a_day_late),
    "the disk of the recording is full": Seen(
        banner=("NOT RECORDING", "No room for recording.h5"),
        log="No room for recording.h5",
        tile=("recording", "FAILED"),
        broken=no_room_to_record,
    ),
    "the disk of the result is full": Seen(
        banner=("NO RESULT", "No room for r.nxs"),
        log="No result: No room for r.nxs",
        broken=no_room_for_an_exposure,
        error=OSError,
    ),
    "the disk of the result is full at the very end": Seen(
        banner=("ERROR: No room for r.nxs", ""),
        log="Error: No room for r.nxs",
        broken=no_room_for_the_end,
        error=OSError,
    ),
    "the disk is nearly full": Seen(
        banner=("DISK FULL", ""),
        log="Disk: 1.2 GB free.",
        tile=("disk free", "1.2 GB"),
        broken=little_room,
    ),
    "a CT scan without images": Seen(
        banner=("CT 1 FAILED", ""), log="CT scan 1: ", sent=empty_scan
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", SEEN)
def test_a_fault_is_seen_on_the_screen(
    long_source: Any, make_source: Any, config: Config, calibration: Calibration, tmp_path: Path,
    watch: Any, monkeypatch: pytest.MonkeyPatch, fault: str,
) -> None:  # fmt: skip
    expected = SEEN[fault]
    expected.broken(monkeypatch)
    source = make_source(expected.sent(list(long_source._messages)))
    source.live = True
    outputs = Outputs(
        result=tmp_path / "r.nxs", recording=tmp_path / "recording.h5", publish="tcp://127.0.0.1:*"
    )
    raised = None
    try:
        run_session(source, config, calibration, outputs, on_publish=watch.attach)
    except OSError as error:
        raised = error
    assert isinstance(raised, expected.error or type(None))
    begin, within = expected.banner

    def said(snapshot: Snapshot) -> bool:
        text, level = banner(snapshot, client_module.judge(snapshot, 0.0), "")
        return text.startswith(begin) and within in text and level == "alarm"

    watch.until(said if begin else lambda snapshot: snapshot.status == "stopped")
    if expected.log:
        assert "alarm" in [level for text, level in watch.log.items() if expected.log in text]
    if expected.tile is not None:
        label, words = expected.tile
        shown = [tile.value for each in watch.seen for tile in tiles(each) if tile.label == label]
        assert any(words in each.text and each.level in ("warning", "alarm") for each in shown)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data are old in seconds, for a monitor of these tests."""
    monkeypatch.setattr(client_module, "FRESH_S", FRESH_S)
    monkeypatch.setattr(client_module, "STALE_S", STALE_S)


def halves(messages: Messages) -> tuple[Messages, Messages]:
    middle = len(messages) // 2
    return messages[:middle], messages[middle:]


def becomes(watch: Any, freshness: str) -> bool:
    """Wait until the pill says so, and whether the banner agrees."""
    deadline_s = time.monotonic() + 20.0
    while watch.client.freshness != freshness:
        assert time.monotonic() < deadline_s, watch.client.freshness
        time.sleep(0.01)
    silent = watch.banner.text.startswith("NO NEW DATA")
    pill = age(freshness, watch.client.age_s)
    assert pill.text.startswith(freshness.upper())
    assert pill.level == ("alarm" if freshness == "old" else "good")
    return silent


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("who", ["the sender", "the run, stopped", "the run, killed"])
def test_silence_is_seen_whoever_is_silent(
    start: Callable[..., Any], pusher: Callable[..., Any], send_all: Callable[..., None],
    sound_messages: Messages, who: str,
) -> None:  # fmt: skip
    """A sender that is silent while the run goes on, and a run of which nothing comes."""
    running = start(RATE)
    push, (first, second) = pusher(running.input), halves(sound_messages)
    send_all(push, map(packed, first))
    assert not becomes(running.watch, "fresh")
    if who == "the run, stopped":
        running.process.send_signal(signal.SIGSTOP)
    elif who == "the run, killed":
        running.process.kill()
    assert becomes(running.watch, "old")
    if who == "the run, killed":
        return
    running.process.send_signal(signal.SIGCONT)
    send_all(push, map(packed, second[:-1]))
    assert not becomes(running.watch, "fresh")
    push.send_multipart(packed(second[-1]))
    assert running.wait()[0] == 0
    assert running.watch.over().health.frames_missing == 0


@pytest.mark.parametrize("own", ["none", "others"])
def test_a_monitor_with_the_wrong_keys_says_so(
    config: Config, tmp_path: Path, watch: Any, own: str
) -> None:
    for name in ("keys", "others"):
        make_keys(tmp_path / name, ["screen"])
    secured = replace(config, security=SecuritySettings(keys=str(tmp_path / "keys")))
    with closing(Publisher("tcp://127.0.0.1:*", secured)) as publisher:
        watch.attach(publisher.address, None if own == "none" else tmp_path / own)
        deadline_s = time.monotonic() + 20.0
        while watch.banner.level != "warning":
            assert time.monotonic() < deadline_s, watch.banner
            time.sleep(0.01)
    assert watch.banner.text.endswith(
        ": it turns us away; is it a pipeline, and are these its keys?"
    )
