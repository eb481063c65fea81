"""Bad bytes do nothing: one error, a count, bounded memory; nothing runs, nothing is opened."""

import importlib.util
import pickle
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from hexlive.stream.config import Config
from hexlive.stream.listing import MAX_FRAMES_BYTES
from hexlive.stream.model import (
    Cycler,
    End,
    EventList,
    Frames,
    Message,
    Projections,
    ScanEnd,
    ScanStart,
    Segment,
    Start,
)
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource
from hexlive.stream.wire import WireError, decode, encode


def _load(name: str) -> ModuleType:
    """A file beside this one; the tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = _load("hostile")
PATIENCE_S = 20.0
ROOM_BYTES = 4 << 20
LISTED = np.arange(4, dtype=np.uint32)
VALID = [
    Start(series="s", rows=2, columns=3, frame_rate_hz=9000.0, started_s=0.0),
    Segment(series="s", number=1, first_frame=0, state=1, soc=0.25, height_mm=-1.5),
    Frames(series="s", first_frame=7, timestamp_s=1.5, frames=np.ones((2, 2, 3), np.uint16)),
    EventList(
        series="s", first_frame=7, timestamp_s=1.5, count=4, shape=(2, 3),
        frame=LISTED, pixel=LISTED, adu=LISTED.astype(np.uint16),
    ),
    ScanStart(series="s", scan=1, rows=2, columns=3, n_images=2, pixel_um=3.24),
    Projections(
        series="s", scan=1, first_image=0, angles_deg=np.array([0.0, 0.5]),
        image_key=np.zeros(2, np.uint8), images=np.ones((2, 2, 3), np.uint16),
    ),
    ScanEnd(series="s", scan=1, n_images=2),
    Cycler(series="s", time_s=1.0, voltage_volt=3.7, current_ampere=-1e-3, capacity_ah=2e-3),
    End(series="s", last_frame=8),
]  # fmt: skip


def as_bytes(message: Message) -> list[bytes]:
    return [bytes(part) for part in encode(message)]


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_hostile_bytes_are_one_error_within_bounded_memory(name: str) -> None:
    parts, reason = hostile.HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as caught:
            decode(parts)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value).split(":", 1)[0] == reason
    assert len(str(caught.value)) < 400
    assert most < ROOM_BYTES + 40 * sum(len(part) for part in parts)


def test_the_corpus_over_a_socket_is_counted_by_reason_and_the_receiver_lives() -> None:
    corpus = [(parts, reason) for parts, reason in hostile.HOSTILE.values() if parts]
    expected = Counter(reason for _, reason in corpus)
    with (
        closing(ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=64)) as source,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as pusher,
    ):
        pusher.connect(source.address)
        for parts, _ in corpus:
            pusher.send_multipart(parts)
        pusher.send_multipart(as_bytes(VALID[-1]))
        deadline = time.monotonic() + PATIENCE_S
        arrived = []
        for message in source:
            arrived += [] if message is None else [message]
            if arrived or time.monotonic() > deadline:
                break
    assert [type(message) for message in arrived] == [End]
    assert source.rejected == expected


def decoded_or_refused(parts: list[bytes]) -> None:
    try:
        message = decode(parts)
    except WireError:
        return
    assert isinstance(message, msgspec.Struct)
    if isinstance(message, Frames):
        assert message.frames.nbytes <= max(MAX_FRAMES_BYTES, *map(len, parts))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_arbitrary_bytes(parts: list[bytes]) -> None:
    decoded_or_refused(parts)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_flipped_bits_anywhere(message: Message, data: st.DataObject) -> None:
    parts = [bytearray(part) for part in as_bytes(message)]
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from([part for part in parts if part]))
        bit = data.draw(st.integers(0, 8 * len(part) - 1))
        part[bit // 8] ^= 1 << bit % 8
    decoded_or_refused([bytes(part) for part in parts])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_parts_cut_dropped_doubled_and_in_another_order(
    message: Message, data: st.DataObject
) -> None:
    parts = as_bytes(message)
    chosen = data.draw(st.lists(st.sampled_from(range(len(parts))), max_size=6))
    cut = [parts[i][: data.draw(st.integers(0, len(parts[i])))] for i in chosen]
    decoded_or_refused(data.draw(st.sampled_from([cut, [parts[i] for i in chosen]])))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_any_value_in_any_field(message: Message, data: st.DataObject) -> None:
    header, *blobs = as_bytes(message)
    fields = msgspec.json.decode(header)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
    decoded_or_refused([hostile.json.dumps(fields).encode(), *blobs])


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    made = tmp_path / "made"
    pickles = hostile.pickles(made)
    for parts in pickles.values():
        decoded_or_refused(parts)
    assert not made.exists()
    pickle.loads(pickles["pickle alone"][0])
    assert made.exists(), "the bomb is none, so the test above proves nothing"


def test_a_path_in_a_message_is_never_opened(
    config: Config, calibration, make_source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "config.toml").write_text("[detector]\nrows = 1\n")
    name = str(secret / "config.toml")
    opened: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("open", "os.listdir", "os.rename", "os.remove", "os.mkdir"):
            opened.extend(str(argument) for argument in arguments)

    sys.addaudithook(watch)  # there is no way to take one away
    frames = np.full((4, 12, 10), 1000, np.uint16)
    start = Start(
        series=name, rows=12, columns=10, frame_rate_hz=9000.0, started_s=0.0, detector=name
    )
    messages = [
        start,
        Segment(series=name, number=1, first_frame=0),
        Frames(series=name, first_frame=0, timestamp_s=0.0, frames=frames),
        End(series=name, last_frame=3),
    ]
    outputs = Outputs(result=tmp_path / "r.nxs", recording=tmp_path / "rec.h5")
    sent = [decode(as_bytes(message)) for message in messages]
    outcome = run_session(make_source(sent), config, calibration, outputs)
    watching.clear()
    assert outcome.report.totals == (4, 4)
    assert any("r.nxs" in path for path in opened), "the watch sees nothing"
    assert not [path for path in opened if "secret" in path]
    assert [path.name for path in secret.iterdir()] == ["config.toml"]
