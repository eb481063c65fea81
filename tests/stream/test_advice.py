"""What a scan control may act on: each change once, and whoever comes late learns what holds."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from hexlive.stream import advice as advice_module
from hexlive.stream.advice import Adviser
from hexlive.stream.calibration import Calibration
from hexlive.stream.commands.advice import listen, news
from hexlive.stream.config import AdviceSettings, Config
from hexlive.stream.drift import DriftReducer, DriftResult
from hexlive.stream.exposure import Totals
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AdviceList, AnyMessage, Segment
from hexlive.stream.pipeline import Pace, Report, run
from hexlive.stream.reducers import ComptonReducer
from hexlive.stream.sending import ZmqSender
from hexlive.stream.stopping import Stop
from hexlive.stream.views import Advice
from hexlive.stream.wire import decode, encode

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "next_height.py"
PATIENCE_S = 40.0
ENOUGH = 300


class Review:
    """A sink that keeps what the adviser says of each report."""

    def __init__(self, config: Config, recording: list[str]) -> None:
        self._adviser = Adviser(config, lambda: recording[-1])
        self.said: list[list[Advice]] = []

    def put(self, report: Report) -> None:
        self.said.append(self._adviser.review(report))

    def close(self) -> None:
        pass


def reviewed(
    source: Any, config: Config, calibration: Calibration, recording: list[str]
) -> list[list[Advice]]:
    """Advice after each report, one report per message."""
    review = Review(config, recording)
    ledger = Ledger(config.detector.shape, config.detector.frame_rate_hz)
    pace = Pace(report_interval_s=-1.0, idle_timeout_s=20.0)
    run(source, ledger, [ComptonReducer(config, calibration, "cpu")], [], [review], pace)
    return review.said


def changes(said: list[list[Advice]], subject: str) -> list[tuple[str, int | None]]:
    """Each change of a subject, once."""
    seen = {item.number: item for items in said for item in items if item.subject == subject}
    return [(item.change, item.segment) for _, item in sorted(seen.items())]


def test_a_count_target_is_said_once_per_exposure(
    source: Any, config: Config, calibration: Calibration
) -> None:
    config = replace(config, advice=AdviceSettings(target_counts=ENOUGH))
    said = reviewed(source, config, calibration, ["off"])
    found = changes(said, "compton_counts")
    assert [segment for change, segment in found if change == "rising"] == [*range(1, 7)]
    assert [change for change, _ in found] == ["rising", *["falling", "rising"] * 5]
    reached = next(item for items in said for item in items if item.subject == "compton_counts")
    assert reached.kind == "target"
    assert reached.value is not None
    assert reached.value >= ENOUGH == reached.target
    numbers = sorted({item.number for items in said for item in items})
    assert numbers == list(range(1, len(numbers) + 1))


def test_an_alarm_rises_falls_and_rises_again_in_the_next_exposure(
    lossy_source: Any, config: Config, calibration: Calibration
) -> None:
    said = reviewed(lossy_source, config, calibration, ["off"])
    found = changes(said, "loss")
    assert found[0][0] == "rising"
    assert len(found) > 1
    # Never repeated while nothing changes.
    assert all(one != other for one, other in pairwise(found))


def test_a_recorder_that_stops_is_an_alarm_of_the_run(
    sound_messages: list[AnyMessage], make_source: Any, config: Config, calibration: Calibration
) -> None:
    recording = ["recording"]

    def messages() -> Iterator[AnyMessage]:
        for i, message in enumerate(sound_messages):
            if i == 6:
                recording.append("recording stopped: the disk is full.")
            yield message

    said = reviewed(make_source(messages()), config, calibration, recording)
    assert changes(said, "recording") == [("rising", None)]
    alarm = next(item for item in said[-1] if item.subject == "recording")
    assert (alarm.kind, alarm.sentence) == ("alarm", recording[-1])


def last_report(source: Any, config: Config, calibration: Calibration) -> Report:
    """Of a run with the drift monitor, as at its end but for being over."""
    kept: list[Report] = []
    keeper = SimpleNamespace(put=kept.append, close=lambda: None)
    compton = ComptonReducer(config, calibration, "cpu")
    drift = DriftReducer(
        config.drift, config.spectrum.edges_kev, lambda: compton.backend.snapshot().spectra,
        compton.valid,
    )  # fmt: skip
    ledger = Ledger(config.detector.shape, config.detector.frame_rate_hz)
    run(source, ledger, [drift, compton], [], [keeper], Pace(idle_timeout_s=20.0))
    return replace(kept[-1], final=False, stopped=False)


def with_gain_alarm(report: Report) -> Report:
    found = [
        replace(each, alarm="The gain has changed.") if isinstance(each, DriftResult) else each
        for each in report.results
    ]
    return replace(report, results=tuple(found))


def of(subject: str, items: list[Advice]) -> Advice | None:
    return next((item for item in items if item.subject == subject), None)


@pytest.mark.parametrize("subject", ["gain", "series"])
def test_an_alarm_rises_and_falls_and_is_not_repeated(
    source: Any, config: Config, calibration: Calibration, subject: str
) -> None:
    good = last_report(source, config, calibration)
    bad = with_gain_alarm(good)
    if subject == "series":
        bad = replace(good, suspicions=("Frames come twice.",))
    adviser = Adviser(config, lambda: "off")
    assert of(subject, adviser.review(good)) is None
    rising = of(subject, adviser.review(bad))
    assert (rising.kind, rising.change) == ("alarm", "rising")
    assert of(subject, adviser.review(bad)) == rising
    falling = of(subject, adviser.review(good))
    assert (falling.number, falling.change) == (rising.number + 1, "falling")
    assert of(subject, adviser.review(good)) == falling


def test_data_that_do_not_come_are_an_alarm_while_an_exposure_runs(
    source: Any, config: Config, calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0], time=lambda: 0.0)
    monkeypatch.setattr(advice_module, "time", clock)
    running = last_report(source, config, calibration)
    adviser = Adviser(replace(config, advice=AdviceSettings(stale_s=2.0)), lambda: "off")
    now_s[0] += 60.0  # waited for the beginning of the exposure, which is nobody's fault
    for wait_s, stale in ((0.0, False), (1.5, False), (1.0, True)):
        now_s[0] += wait_s
        found = of("stale", adviser.review(running))
        assert (found is not None and found.change == "rising") is stale
    more = replace(running, totals=Totals(10_000, 10_000))
    assert of("stale", adviser.review(more)).change == "falling"
    now_s[0] += 60.0
    assert of("stale", adviser.review(replace(more, stopped=True))).change == "falling"


def test_crowded_pixels_are_an_alarm(source: Any, config: Config, calibration: Calibration) -> None:
    report = last_report(source, config, calibration)
    found = of("occupancy", Adviser(config, lambda: "off").review(report))
    assert found.value == pytest.approx(100 / 6, rel=0.1)
    patient = replace(config, advice=AdviceSettings(occupancy_percent=50.0))
    assert of("occupancy", Adviser(patient, lambda: "off").review(report)) is None


def advice_list(sequence: int, *numbers: int) -> AdviceList:
    items = [
        Advice(
            number=number, kind="alarm", subject=f"s{number}", segment=None, change="rising",
            value=None, target=None, unit="", sentence="It is so.", time_s=0.0,
        )
        for number in numbers
    ]  # fmt: skip
    return AdviceList(series="s", sequence=sequence, created_s=0.0, status="running", advice=items)


def test_a_list_survives_the_wire_and_begins_with_its_topic() -> None:
    parts = encode(advice_list(3, 1, 2))
    assert len(parts) == 1
    assert bytes(parts[0]).startswith(b'{"type":"advice"')
    back = decode(parts)
    assert isinstance(back, AdviceList)
    assert [item.number for item in back.advice] == [1, 2]


def test_a_listener_says_each_change_once_and_begins_again_with_another_run() -> None:
    first, second, other = advice_list(1, 1, 2), advice_list(9, 1, 2, 5), advice_list(0, 1)
    assert [item.number for item in news(None, first)] == [1, 2]
    assert news(first, first) == []
    assert [item.number for item in news(first, second)] == [5]
    assert [item.number for item in news(second, other)] == [1]


@contextmanager
def child(*words: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_scan_control_moves_on_when_the_counts_suffice(
    calibration_file: Path,
    free_addresses: list[str],
    sound_messages: list[AnyMessage],
    tmp_path: Path,
) -> None:
    """The example of the documents and ``hexlive advice`` beside a real run."""
    data, display = free_addresses
    config = tmp_path / "run.toml"
    config.write_text(
        f'[detector]\nrows = 12\ncolumns = 10\n[stream]\ninput = "{data}"\n'
        f'publish = "{display}"\nresult = "{tmp_path}/result.nxs"\n'
        f"[monitor]\nrate_hz = 20.0\n[advice]\ntarget_counts = {ENOUGH}\n"
    )
    hexlive = sys.executable, "-m", "hexlive.stream.cli"
    run_words = "run", "--config", config, "--calibration", calibration_file
    with (
        child(*hexlive, "advice", display, "--json") as advice,
        child(sys.executable, EXAMPLE, display, 3) as control,
        child(*hexlive, *run_words) as running,
        ExitStack() as stack,
    ):
        sender = stack.enter_context(closing(ZmqSender(data)))
        assert control.stdout is not None
        heights = 1
        for message in sound_messages:
            if isinstance(message, Segment) and 1 < message.number <= 3:
                heights += 1  # the scan control waits for the advice before it moves
                assert json.loads(control.stdout.readline()) == {
                    "type": "segment",
                    "number": heights,
                }
            sender.send(message)
        assert running.wait(PATIENCE_S) == 0
        assert control.wait(PATIENCE_S) == 0
        said, _ = advice.communicate(timeout=PATIENCE_S)
    items = [json.loads(line) for line in said.splitlines()]
    reached = [each for each in items if each["subject"] == "compton_counts"]
    rising = [each["segment"] for each in reached if each["change"] == "rising"]
    assert rising == sorted(set(rising))  # it may have come late, and exposures may be short
    assert rising[-1] == 6
    assert np.all(np.diff([item["number"] for item in items]) > 0)


def enough(number: int, segment: int) -> Advice:
    return Advice(
        number=number, kind="target", subject="compton_counts", segment=segment, change="rising",
        value=5.0, target=4.0, unit="", sentence="Enough.", time_s=0.0,
    )  # fmt: skip


def test_a_scan_control_moves_once_though_a_run_that_was_killed_says_it_again() -> None:
    """Its numbers begin again, and what holds is said again."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        with child(sys.executable, EXAMPLE, f"tcp://127.0.0.1:{port}", 3) as control:
            assert publisher.poll(1e3 * PATIENCE_S)
            for item in (enough(7, 1), enough(1, 1), enough(1, 1), enough(2, 2)):
                listed = msgspec.structs.replace(advice_list(0), advice=[item])
                publisher.send_multipart(encode(listed))
            assert control.wait(PATIENCE_S) == 0
            assert control.stdout is not None
            moves = [json.loads(line)["number"] for line in control.stdout]
    assert moves == [2, 3]


def test_a_listener_that_hears_nothing_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexlive.stream.commands.advice.SILENT_POLLS", 2)
    stop = Stop()
    threading.Timer(0.5, stop.request).start()
    assert not list(listen("tcp://127.0.0.1:9", None, stop))
    assert caplog.text.count("nothing comes from tcp://127.0.0.1:9") == 1


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 40
