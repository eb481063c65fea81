"""What a screen may ask of a run: nothing unless it is told where, and nothing unasked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import zmq
from msgspec.structs import replace
from PySide6.QtWidgets import QInputDialog, QMessageBox
from pytestqt.qtbot import QtBot

from hexlive.monitor.commander import Commander
from hexlive.monitor.context import Context
from hexlive.monitor.controls import Controls
from hexlive.monitor.health import LogPanel
from hexlive.monitor.history import History
from hexlive.monitor.main_window import MonitorWindow
from hexlive.monitor.theme import DARK
from hexlive.stream.control import (
    Answer,
    MarkState,
    ReconstructNow,
    ResetWindow,
    decode_command,
    encode,
)
from hexlive.stream.model import AdviceList, Snapshot
from hexlive.stream.sockets import AddressError
from hexlive.stream.views import Advice

PATIENCE_MS = 10_000
YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


class CommandLeg:
    """The command leg of a run that obeys everything, or answers with these bytes."""

    def __init__(self, answer: bytes) -> None:
        self.heard: list[Any] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind("tcp://127.0.0.1:*")
        self.address = self._socket.last_endpoint.decode()
        self._answer, self._over = answer, threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.is_set():
            if self._socket.poll(20):
                self.heard.append(decode_command(self._socket.recv_multipart()))
                self._socket.send(self._answer)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._context.destroy()


@pytest.fixture
def make_leg() -> Iterator[Callable[[bytes], CommandLeg]]:
    legs: list[CommandLeg] = []

    def make(answer: bytes = encode(Answer(done=True, sentence="Marked 'a b'."))) -> CommandLeg:
        legs.append(CommandLeg(answer))
        return legs[-1]

    yield make
    for leg in legs:
        leg.close()


@pytest.fixture
def leg(make_leg: Callable[[], CommandLeg]) -> CommandLeg:
    return make_leg()


@pytest.fixture
def commander(leg: CommandLeg) -> Iterator[Commander]:
    with closing(Commander(leg.address)) as commander:
        yield commander


@pytest.fixture
def window(
    qtbot: QtBot, commander: Commander, snapshot: Snapshot, make_mailbox: Callable[..., Any]
) -> MonitorWindow:
    window = MonitorWindow(make_mailbox(snapshot), None, commander)
    qtbot.addWidget(window)
    return window


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answers the questions of the screen."""

    def answer(sure: bool = True, label: str = "") -> None:
        monkeypatch.setattr(QInputDialog, "getText", lambda *_: (label, sure))
        monkeypatch.setattr(QMessageBox, "question", lambda *_: YES if sure else NO)

    return answer


def controls(window: MonitorWindow) -> Controls:
    (found,) = window.findChildren(Controls)
    return found


def answered(qtbot: QtBot, window: MonitorWindow) -> str:
    """What the log says of the answer."""

    def there() -> bool:
        window.tick()
        return any("one: " in event.text for event in window.view.context.history.events)

    qtbot.waitUntil(there, timeout=PATIENCE_MS)
    return window.view.context.history.events[-1].text


def test_a_monitor_that_is_told_no_address_shows_no_commands(
    qtbot: QtBot, snapshot: Snapshot, make_mailbox: Callable[..., Any]
) -> None:
    window = MonitorWindow(make_mailbox(snapshot))
    qtbot.addWidget(window)
    assert not window.findChildren(Controls)


def test_a_mark_is_sent_and_its_answer_is_in_the_log(
    qtbot: QtBot, window: MonitorWindow, leg: CommandLeg, snapshot: Snapshot, say
) -> None:
    say(label="  a \n b ")
    controls(window).mark_state()
    assert answered(qtbot, window) == "Done: Marked 'a b'."
    assert leg.heard == [MarkState(series=snapshot.series, label="a b")]


def test_each_command_is_what_was_confirmed(
    qtbot: QtBot, window: MonitorWindow, leg: CommandLeg, snapshot: Snapshot, say
) -> None:
    say()
    window.shown = replace(snapshot, ct=replace(snapshot.ct, status="collecting"))
    controls(window).reset_window()
    answered(qtbot, window)
    window.view.context.history.events.clear()
    controls(window).reconstruct_now()
    answered(qtbot, window)
    series = snapshot.series
    assert leg.heard == [ResetWindow(series=series), ReconstructNow(series=series, scan=4)]


def test_nothing_is_sent_unless_it_is_confirmed(
    window: MonitorWindow, commander: Commander, leg: CommandLeg, say
) -> None:
    say(sure=False, label="a")
    for ask in ("mark_state", "reset_window", "reconstruct_now"):
        getattr(controls(window), ask)()
    say(label="   ")
    controls(window).mark_state()
    assert not commander.busy
    assert leg.heard == []


def test_only_what_the_run_can_do_is_offered(window: MonitorWindow, snapshot: Snapshot) -> None:
    offered = controls(window)
    offered.offer()
    assert [a.isEnabled() for a in offered.menu().actions()] == [True, True, False]
    window.shown = replace(snapshot, ct=replace(snapshot.ct, status="collecting"))
    offered.offer()
    assert [a.isEnabled() for a in offered.menu().actions()] == [True, True, True]
    window.shown = replace(snapshot, status="stopped")
    offered.offer()
    assert [a.isEnabled() for a in offered.menu().actions()] == [False, False, False]


def test_commands_stay_when_the_theme_changes(window: MonitorWindow) -> None:
    window.change_theme()
    assert len(window.view.findChildren(Controls)) == 1


def test_an_answer_of_nonsense_is_one_sentence(
    qtbot: QtBot, make_leg: Callable[[bytes], CommandLeg], snapshot: Snapshot
) -> None:
    with closing(Commander(make_leg(b"\xff nonsense").address)) as commander:
        commander.send(ResetWindow(series=snapshot.series))
        qtbot.waitUntil(lambda: not commander._thread.is_alive(), timeout=PATIENCE_MS)
        answer = commander.answer()
    assert not answer.done
    assert answer.sentence.startswith("The answer cannot be used")


def test_without_an_answer_it_says_so(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    monkeypatch.setattr("hexlive.monitor.commander.PATIENCE_S", 0.2)
    with closing(Commander("tcp://127.0.0.1:9")) as commander:
        commander.send(ResetWindow(series=snapshot.series))
        qtbot.waitUntil(lambda: not commander._thread.is_alive(), timeout=PATIENCE_MS)
        assert commander.answer().sentence.startswith("No answer from tcp://127.0.0.1:9")


def test_a_malformed_address_of_commands_is_refused_at_once() -> None:
    with pytest.raises(AddressError):
        Commander("nowhere")


def advice(number: int, subject: str, change: str, kind: str = "target") -> Advice:
    return Advice(
        number=number, kind=kind, subject=subject, segment=1, change=change, value=0.01,
        target=0.02, unit="", sentence=f"News of {subject}.", time_s=1.7e9 + number,
    )  # fmt: skip


def given(*news: Advice) -> AdviceList:
    return AdviceList(series="s", sequence=1, created_s=1.7e9, status="running", advice=list(news))


def test_advice_is_in_the_log_once_and_ends_when_it_no_longer_holds() -> None:
    history = History()
    reached = advice(1, "emf_anode_state_2", "rising")
    for _ in range(3):
        history.take_advice(given(reached))
    (event,) = history.events
    assert event.text == "Target reached: News of emf_anode_state_2."
    assert event.level == "good"
    assert event.until_s is None
    history.take_advice(given(advice(2, "emf_anode_state_2", "falling")))
    assert len(history.events) == 1
    assert event.until_s == 1.7e9 + 2


def test_an_alarm_of_advice_is_one_line_and_none_that_the_snapshot_says_itself() -> None:
    history = History()
    history.take_advice(given(advice(1, "stale", "rising", "alarm"), advice(2, "loss", "rising")))
    (event,) = history.events
    assert (event.level, event.text) == ("alarm", "News of stale.")
    history.take_advice(given(advice(3, "stale", "rising", "alarm")))
    assert [each.until_s for each in history.events] == [1.7e9 + 3, None]


def test_a_mark_is_in_the_log_once(snapshot: Snapshot) -> None:
    history = History()
    for _ in range(3):
        history.take(snapshot)
    marks = [event for event in history.events if event.text.startswith("Mark: ")]
    assert [(each.text, each.since_s) for each in marks] == [
        ("Mark: charge ends", snapshot.marks[0].time_s)
    ]


def test_what_alarms_now_is_at_the_top_of_the_log(qtbot: QtBot, snapshot: Snapshot) -> None:
    context = Context(DARK)
    lossy = replace(snapshot.health, frames_expected=1000, frames_missing=10)
    context.history.take(replace(snapshot, health=lossy))
    context.history.take_advice(given(advice(1, "emf_mean", "rising")))
    panel = LogPanel(context)
    qtbot.addWidget(panel.widget)
    panel.show(snapshot)
    lines = [panel._list.item(row).text() for row in range(panel._list.count())]
    assert lines[0].endswith("Lost 10 (1 %) frames.")
    assert lines[1].endswith("Target reached: News of emf_mean.")
    assert panel.widget._value.said == "1 to act on"
