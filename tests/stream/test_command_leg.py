"""What a person may do to a run from a screen: three things, each answered, none by default."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import zmq

from hexlive.reconstruct.emf import window_sum_emf
from hexlive.stream.calibration import Calibration
from hexlive.stream.command_leg import Commanded
from hexlive.stream.config import Config, SecuritySettings, StreamSettings
from hexlive.stream.control import (
    MAX_BYTES,
    Answer,
    MarkState,
    ReconstructNow,
    ResetWindow,
    decode_answer,
    decode_command,
    encode,
)
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.keys import make_keys, secure
from hexlive.stream.ledger import Ledger
from hexlive.stream.marks import MarkReducer
from hexlive.stream.model import AnyMessage, Frames, Mark, Projections, ScanStart, Segment
from hexlive.stream.recent import RecentCounts
from hexlive.stream.recordings import open_file
from hexlive.stream.results import ComptonResult, MarksResult
from hexlive.stream.session import Outcome, Outputs, run_session
from hexlive.stream.sockets import AddressError, Endpoint
from hexlive.stream.worker import Progress

PATIENCE_S = 60.0
PATIENCE_MS = 30_000
KNOCK_MS = 400
SERIES = "series"
MARK = encode(MarkState(series=SERIES, label="cell opened"))


class Halting:
    """A live source that waits in the middle of its messages until it is let go."""

    live = True

    def __init__(self, messages: list[AnyMessage]) -> None:
        self.rejected: Counter[str] = Counter()
        self._messages = messages
        self.halted, self.go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[AnyMessage | None]:
        # In the second exposure, which is of state 1.
        halt = next(i for i, m in enumerate(self._messages) if isinstance(m, Segment) and i > 3) + 3
        yield from self._messages[:halt]
        self.halted.set()
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.go_on.is_set() and time.monotonic() < deadline_s:
            yield None
            time.sleep(0.005)
        yield from self._messages[halt:]
        while True:
            yield None


class Run:
    """A run with its command leg open, and someone who sends to it."""

    def __init__(self, source: Halting, address: str) -> None:
        self.source, self.address = source, address
        self.outcome: Outcome | None = None

    def ask(self, *parts: bytes, keys: Path | None = None, patience_ms: int = PATIENCE_MS):
        """The answer; None where none came."""
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.linger = 0
            if keys is not None:
                secure(socket, keys, listening=False)
            socket.connect(self.address)
            socket.send_multipart(parts)
            if not socket.poll(patience_ms):
                return None
            return decode_answer(socket.recv_multipart())


@pytest.fixture
def commanded_run(
    sound_messages, config: Config, calibration: Calibration, tmp_path: Path, free_addresses
) -> Callable[..., Run]:
    """Starts a run that halts in its second exposure; over when its block is left."""

    @contextmanager
    def start(keys: Path | None = None) -> Iterator[Run]:
        run = Run(Halting(sound_messages), free_addresses[0])
        settings = replace(
            config,
            stream=StreamSettings(commands=run.address),
            security=SecuritySettings(keys=None if keys is None else str(keys)),
        )
        outputs = Outputs(result=tmp_path / "result.nxs", recording=tmp_path / "recording.h5")

        def work() -> None:
            run.outcome = run_session(run.source, settings, calibration, outputs)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert run.source.halted.wait(PATIENCE_S)
            yield run
        finally:
            run.source.go_on.set()
            thread.join(PATIENCE_S)
        assert run.outcome is not None

    return start


def marks(path: Path) -> dict[str, list]:
    with h5py.File(path) as file:
        group = file["entry"].get("marks", {})
        return {
            name: (each.asstr() if name == "label" else each)[()].tolist()
            for name, each in group.items()
        }


def test_a_mark_is_in_the_result_the_report_and_a_replay_of_the_recording(
    commanded_run, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    with commanded_run() as run:
        answer = run.ask(MARK)
    assert answer == Answer(done=True, sentence="Marked 'cell opened'.")
    written = marks(tmp_path / "result.nxs")
    assert written["label"] == ["cell opened"]
    assert (written["segment"], written["state"]) == ([2], [1])
    assert written["frame"] == [4 * 64]
    assert abs(written["time"][0] - time.time()) < 120
    report = run.outcome.report
    assert [mark.label for mark in report.find(MarksResult).marks] == ["cell opened"]
    again = tmp_path / "again.nxs"
    run_session(open_file(tmp_path / "recording.h5"), config, calibration, Outputs(result=again))
    replayed = marks(again)
    for each in (written, replayed):
        assert np.isnan(each.pop("soc")).all()
    assert replayed == written


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((b"",), "command_header"),
        ((b"\xff\xfe",), "command_header"),
        ((b"[" * MAX_BYTES,), "command_header"),
        ((b'{"type":"stop","series":"series"}',), "command_header"),
        ((b'{"type":"mark_state","series":"series"}',), "command_header"),
        ((b'{"type":"mark_state","series":"series","label":"a","more":1}',), "command_header"),
        ((b'{"type":"mark_state","series":"series","label":"a\\nb"}',), "command_header"),
        ((encode(MarkState(series=SERIES, label="a" * 81)),), "command_header"),
        ((MARK + b" " * MAX_BYTES,), "command_length"),
        ((MARK, MARK), "command_parts"),
        ((encode(MarkState(series="another", label="a")),), "command_refused"),
        ((encode(ReconstructNow(series=SERIES, scan=1)),), "command_refused"),
    ],
)
def test_what_is_no_command_is_answered_counted_and_changes_nothing(
    commanded, parts: tuple[bytes, ...], reason: str
) -> None:
    answer = commanded.ask(*parts)
    assert not answer.done
    assert answer.sentence.endswith(".")
    assert commanded.rejected == {reason: 1}
    assert commanded.brought == []


def test_what_is_too_large_for_zeromq_never_arrives_and_the_next_command_does(commanded) -> None:
    assert commanded.ask(b"x" * 1_000_000, patience_s=0.4) is None
    assert commanded.ask(MARK).done


class Silent:
    """A live source from which nothing comes."""

    live = True

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class Idle:
    """A worker that is never done."""

    progress = Progress(None, None)

    def submit(self, *_: object) -> Future:
        return Future()

    def kill(self) -> None:
        """Nothing runs."""


class Bench:
    """The command leg around a source that says nothing, without a run behind it."""

    def __init__(self, endpoint: Endpoint) -> None:
        silent = Silent()
        ledger = Ledger(None, 9000.0)
        ledger.accept(Segment(series=SERIES, number=1, first_frame=0))
        slow = TomographyReducer(Config().tomography, Path("result.nxs"))
        recent = SimpleNamespace(n_restarts=0)
        recent.restart_recent = lambda: setattr(recent, "n_restarts", recent.n_restarts + 1)
        self.parts = SimpleNamespace(
            ledger=ledger, compton=recent, tomography=slow, marks=MarkReducer()
        )
        self._source = Commanded(silent, endpoint, self.parts)
        self._endpoint = endpoint
        self.rejected = silent.rejected
        self.brought: list[AnyMessage] = []

    def ask(self, *parts: bytes, patience_s: float = PATIENCE_S) -> Answer | None:
        """Send a command and let the source go round until it is answered."""
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.linger = 0
            socket.connect(self._endpoint.address)
            socket.send_multipart(parts)
            deadline_s = time.monotonic() + patience_s
            for message in self._source:
                self.brought += [] if message is None else [message]
                if socket.poll(1):
                    return decode_answer(socket.recv_multipart())
                if time.monotonic() > deadline_s:
                    return None
        return None


@pytest.fixture
def commanded() -> Iterator[Bench]:
    with closing(
        Endpoint(
            zmq.REP, "tcp://127.0.0.1:*", bind=True, high_water_mark=8, max_message_bytes=65_536
        )
    ) as endpoint:
        yield Bench(endpoint)


def test_the_last_seconds_begin_again_and_nothing_enters_the_stream(commanded) -> None:
    answer = commanded.ask(encode(ResetWindow(series=SERIES)))
    assert answer.done
    assert commanded.parts.compton.n_restarts == 1
    assert commanded.brought == []
    assert not commanded.rejected


def test_recent_counts_restart_at_the_next_update() -> None:
    def sums(n: int):
        return window_sum_emf(np.full((2, 2), 10 * n), np.full((2, 2), 20 * n))

    recent = RecentCounts(60.0)
    assert recent.update(1.0, sums(1)).windows.low[0, 0] == 10
    recent.restart()
    recent.update(2.0, sums(2))
    since = recent.update(3.0, sums(5))
    assert since.live_time_s == 1.0
    assert since.windows.low[0, 0] == 30


def scan_of(n_images: int, n_expected: int = 360) -> list[AnyMessage]:
    """The beginning of a scan: a flat field, then projections every half degree."""
    key = np.array([1, *[0] * (n_images - 1)], np.uint8)
    images = np.full((n_images, 4, 16), 1000, np.uint16)
    return [
        ScanStart(series=SERIES, scan=7, rows=4, columns=16, n_images=n_expected, pixel_um=5.0),
        Projections(
            series=SERIES, scan=7, first_image=0, angles_deg=np.arange(n_images) * 0.5,
            image_key=key, images=images,
        ),
    ]  # fmt: skip


@pytest.fixture
def scanning(tmp_path: Path) -> Iterator[Callable[[int], tuple[Ledger, TomographyReducer]]]:
    reducer = TomographyReducer(
        Config().tomography, tmp_path / "result.nxs", workers=(Idle(), Idle())
    )

    def begin(n_images: int) -> tuple[Ledger, TomographyReducer]:
        ledger = Ledger(None, 9000.0)
        for message in scan_of(n_images):
            for item in ledger.accept(message).messages:
                reducer.add(item)
        return ledger, reducer

    yield begin
    reducer.clear()
    reducer.close()


def test_a_scan_that_is_reconstructed_now_ends_as_its_sender_would_end_it(commanded, scanning):
    commanded.parts.ledger, reducer = scanning(300)
    commanded.parts.tomography = reducer
    answer = commanded.ask(encode(ReconstructNow(series=SERIES, scan=1)))
    assert answer.done
    assert "300 images" in answer.sentence
    (end,) = commanded.brought
    for item in commanded.parts.ledger.accept(end).messages:
        reducer.add(item)
    (view,) = reducer.snapshot().scans
    assert view.status == "reconstructing"
    assert "Ended on request after 300 of 360 images" in view.note
    again = commanded.ask(encode(ReconstructNow(series=SERIES, scan=1)))
    assert not again.done


def test_a_scan_with_too_little_in_it_goes_on(commanded, scanning) -> None:
    commanded.parts.ledger, reducer = scanning(100)
    commanded.parts.tomography = reducer
    answer = commanded.ask(encode(ReconstructNow(series=SERIES, scan=1)))
    assert not answer.done
    assert "Only 100 of 360 images" in answer.sentence
    (view,) = reducer.snapshot().scans
    assert (view.status, view.note) == ("collecting", "")


def test_only_listed_keys_command_a_run(commanded_run, tmp_path: Path) -> None:
    keys, strangers = tmp_path / "keys", tmp_path / "strangers"
    make_keys(keys, ["screen"])
    make_keys(strangers, ["screen"])
    with commanded_run(keys) as run:
        assert run.ask(MARK, patience_ms=KNOCK_MS) is None
        assert run.ask(MARK, keys=strangers, patience_ms=KNOCK_MS) is None
        assert run.ask(MARK, keys=keys).done
    assert marks(tmp_path / "result.nxs")["label"] == ["cell opened"]
    assert run.outcome.report.rejected["command_handshake"] >= 1


def test_commands_from_other_machines_need_keys(
    sound_messages, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    open_to_all = replace(config, stream=StreamSettings(commands="tcp://*:5557"))
    with pytest.raises(AddressError, match="without keys"):
        run_session(
            Halting(sound_messages), open_to_all, calibration, Outputs(result=tmp_path / "r.nxs")
        )
    assert not list(tmp_path.glob("r.nxs"))


def test_nobody_commands_a_run_unless_an_address_is_configured() -> None:
    assert Config().stream.commands is None


def test_counts_are_the_same_with_commands_and_without(
    commanded_run, make_source, sound_messages, config, calibration, tmp_path: Path
) -> None:
    with commanded_run() as run:
        for command in (MARK, encode(ResetWindow(series=SERIES)), b"nonsense"):
            run.ask(command)
    without = run_session(
        make_source(sound_messages), config, calibration, Outputs(result=tmp_path / "other.nxs")
    )
    one, other = (
        outcome.report.find(ComptonResult).counts.spectra for outcome in (run.outcome, without)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "command",
    [
        MarkState(series=SERIES, label="é, 7 °C"),
        ResetWindow(series=SERIES),
        ReconstructNow(series=SERIES, scan=3),
    ],
)
def test_commands_survive_the_wire(command) -> None:
    assert decode_command([encode(command)]) == command


def test_marks_know_the_frame_the_exposure_and_the_state() -> None:
    reducer = MarkReducer()
    frames = np.zeros((8, 2, 2), np.uint16)
    reducer.add(Segment(series="s", number=4, first_frame=64, state=2, soc=0.2))
    reducer.add(Frames(series="s", first_frame=64, timestamp_s=0.0, frames=frames))
    reducer.add(Mark(series="s", label="a", time_s=5.0))
    (found,) = reducer.snapshot().marks
    assert (found.frame, found.segment, found.state, found.soc) == (72, 4, 2, 0.2)


def test_the_command_line_opens_the_leg_and_refuses_it_without_keys(
    hexlive, calibration_file: Path, free_addresses, tmp_path: Path
) -> None:
    settings = tmp_path / "c.toml"
    settings.write_text(
        "[detector]\nrows = 12\ncolumns = 10\n"
        f'[stream]\ninput = "{free_addresses[0]}"\nresult = "{tmp_path / "r.nxs"}"\n'
        f'publish = "{free_addresses[1]}"\n'
    )
    code, said = hexlive(
        "run", "--config", settings, "--calibration", calibration_file, "--commands", "tcp://*:5557"
    )
    assert code == 1
    assert "stream.commands = tcp://*:5557 is open to other machines without keys" in said
