"""odin's LiveView over real sockets: every frame is counted, refused by reason, or missing."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import h5py
import hdf5plugin
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.config import Config, DetectorSettings, StreamSettings, load_config
from hexlive.stream.inputs import live_source
from hexlive.stream.interop.energies import STEP_KEV, step_calibration
from hexlive.stream.interop.live_frames import FrameReader
from hexlive.stream.interop.liveview import OdinSource
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import Frames, Start
from hexlive.stream.pipeline import Pace, run
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.stopping import Stop
from hexlive.stream.wire import WireError

PATIENCE_S = 20.0
SHAPE = (12, 10)
RNG = np.random.default_rng(4)
IMAGES = RNG.integers(0, 4000, (30, *SHAPE)).astype("<u2")
FILTERS = {
    "none": {},
    "LZ4": hdf5plugin.LZ4(),
    "BSLZ4": hdf5plugin.Bitshuffle(cname="lz4"),
    "blosc": hdf5plugin.Blosc(cname="lz4", shuffle=hdf5plugin.Blosc.SHUFFLE),
}
NAMES = {"uint8": "|u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "float": "<f4"}


def packed(image: np.ndarray, compression: str) -> bytes:
    """The chunk that odin's file writer would store."""
    if compression == "none":
        return image.tobytes()
    name = f"{time.monotonic_ns()}"
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        data = file.create_dataset("d", data=image, chunks=image.shape, **FILTERS[compression])
        mask, chunk = data.id.read_direct_chunk((0, 0))
    assert mask == 0
    return chunk


def message(number: int, image: np.ndarray, compression="none", dtype="uint16", **changed):
    blob = packed(image.astype(NAMES[dtype]), compression)
    header = {
        "frame_num": number,
        "acquisition_id": "run_7",
        "dtype": dtype,
        "dsize": len(blob),
        "dataset": "raw_frames",
        "compression": compression,
        "shape": [str(side) for side in image.shape],
        **changed,
    }
    return [json.dumps(header).encode(), blob]


@pytest.mark.parametrize("compression", FILTERS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("shape", [(80, 80), (33, 17), (160, 480)])
def test_a_frame_of_every_type_and_packing_is_read(compression, dtype, shape) -> None:
    image = np.minimum(np.add.outer(np.arange(shape[0]), np.arange(shape[1])) // 4, 255)
    frame = FrameReader().read(message(3, image, compression, dtype))
    assert (frame.acquisition, frame.number) == ("run_7", 3)
    assert frame.pixels.dtype == np.uint16
    np.testing.assert_array_equal(frame.pixels, image)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"frame_num": -1}, "header"),
        ({"frame_num": None}, "header"),
        ({"acquisition_id": "a\nb"}, "header"),
        ({"shape": ["12"]}, "header"),
        ({"shape": ["12", "-10"]}, "header"),
        ({"shape": ["12", "99999999999"]}, "header"),
        ({"shape": ["2", "12", "5"]}, "shape"),
        ({"shape": ["12", "11"]}, "length"),
        ({"dsize": 7}, "length"),
        ({"dtype": "unknown"}, "dtype"),
        ({"dtype": "float"}, "dtype"),
        ({"dtype": "uint32"}, "length"),
        ({"compression": "zip"}, "compression"),
        ({"compression": "BSLZ4"}, "blob"),
        ({"compression": "LZ4"}, "blob"),
        ({"compression": "blosc"}, "blob"),
        ({"dataset": "processed_frames"}, "other_dataset"),
    ],
)
def test_what_is_wrong_with_a_message_is_its_reason(changed, reason) -> None:
    header, blob = message(0, IMAGES[0])
    with pytest.raises(WireError, match=f"^{reason}: "):
        FrameReader().read([json.dumps(json.loads(header) | changed).encode(), blob])


@pytest.mark.parametrize("field", json.loads(message(0, IMAGES[0])[0]))
def test_a_missing_field_is_refused(field: str) -> None:
    header, blob = message(0, IMAGES[0])
    left = {name: value for name, value in json.loads(header).items() if name != field}
    with pytest.raises(WireError, match=f"^header: .*{field}"):
        FrameReader().read([json.dumps(left).encode(), blob])


def test_a_frame_with_a_header_that_is_too_long_is_refused() -> None:
    header, blob = message(0, IMAGES[0])
    with pytest.raises(WireError, match=r"^header: 1\d{4} bytes, more than 16384"):
        FrameReader().read([header + b" " * (16 << 10), blob])


def test_a_value_beyond_16_bits_is_refused_not_cut() -> None:
    image = IMAGES[0].astype(np.uint32)
    image[3, 3] = 65536
    with pytest.raises(WireError, match=r"^value: 65536 ADU"):
        FrameReader().read(message(0, image, dtype="uint32"))


def test_fields_that_odin_adds_and_a_shape_of_one_frame_do_no_harm() -> None:
    parts = message(0, IMAGES[0], tags=["a"], shape=["1", "12", "10"])
    np.testing.assert_array_equal(FrameReader().read(parts).pixels, IMAGES[0])


@given(parts=st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_a_frame_or_the_one_error(parts: list[bytes]) -> None:
    with pytest.raises(WireError, match=r"^(parts|header): "):
        FrameReader().read(parts)


DAMAGE = """
import json, sys
import numpy as np
from hexlive.stream.interop.blobs import Unpacker
from hexlive.stream.wire import WireError
rng = np.random.default_rng(int(sys.argv[2]))
blob, unpacker, n_refused = sys.stdin.buffer.read(), Unpacker(), 0
for trial in range(600):
    bad = bytearray(blob[: rng.integers(len(blob)) or None] if trial % 10 == 0 else blob)
    for place in rng.integers(min(len(bad), 64) if trial % 2 else len(bad), size=3):
        bad[place] = rng.integers(256)
    try:
        unpacker.unpack(bytes(bad), sys.argv[1], np.dtype("<u2"), (80, 80))
    except WireError as error:
        assert str(error).startswith("blob: "), error
        n_refused += 1
print(n_refused)
"""


@pytest.mark.parametrize("compression", ["LZ4", "BSLZ4", "blosc"])
def test_damaged_blobs_do_not_end_the_process(compression: str) -> None:
    blob = packed(RNG.normal(1000, 8, (80, 80)).astype("<u2"), compression)
    command = [sys.executable, "-c", DAMAGE, compression, "1"]
    tried = subprocess.run(command, input=blob, capture_output=True, timeout=60, check=False)
    assert tried.returncode == 0, tried.stderr.decode()[-2000:]
    assert int(tried.stdout.split()[-1]) > 100  # HDF5's own LZ4 filter speaks on stdout, too


@contextmanager
def publishing(**options) -> Iterator[tuple[OdinSource, zmq.Socket]]:
    """A LiveView publisher and a source that has found it."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.sndhwm, publisher.linger = 0, 0
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        source = OdinSource(f"tcp://127.0.0.1:{port}", frame_rate_hz=9000.0, **options)
        with closing(source):
            listening, deadline_s = iter(source), time.monotonic() + PATIENCE_S
            while not publisher.poll(10):
                assert time.monotonic() < deadline_s, "nobody subscribed"
                assert next(listening) is None
            assert publisher.recv() == b"\x01"
            yield source, publisher


def counted(source: OdinSource, n_messages: int):
    """The report of a run over so many messages, and the frames that it accepted."""
    kept: list[Frames] = []

    class Keep:
        def put(self, item) -> None:
            if isinstance(item, Start | Frames):
                kept.append(item)

        def close(self) -> None:
            """Nothing to close."""

    deadline_s = time.monotonic() + PATIENCE_S
    ledger = Ledger(SHAPE, 9000.0)

    def seen() -> bool:
        n_taken = sum(len(item.frames) for item in kept if isinstance(item, Frames))
        refused = (ledger.rejected + source.rejected).total()
        return n_taken + refused >= n_messages or time.monotonic() > deadline_s

    report = run(source, ledger, [], [Keep()], [], Pace(should_stop=seen))
    return report, kept


def test_lost_frames_are_missing_and_the_others_counted_once() -> None:
    lost = {5, 6, 17}
    with publishing() as (source, publisher):
        for number in (n for n in range(30) if n not in lost):
            publisher.send_multipart(message(number + 1000, IMAGES[number], "BSLZ4"))
        publisher.send_multipart(message(1002, IMAGES[2]))  # once more
        report, kept = counted(source, 28)
    assert report.totals.expected == 30
    assert report.totals.lost == len(lost)
    assert report.rejected == {"duplicate": 1}
    arrived = {item.first_frame + i for item in kept if isinstance(item, Frames)
               for i in range(len(item.frames))}  # fmt: skip
    assert arrived == {n + 1000 for n in range(30) if n not in lost}


def test_a_new_acquisition_closes_the_old_and_is_expected_from_its_frame_0() -> None:
    with publishing() as (source, publisher):
        for number in range(4):
            publisher.send_multipart(message(number, IMAGES[number], acquisition_id="a"))
        for number in range(2, 6):
            publisher.send_multipart(message(number, IMAGES[number], acquisition_id="b"))
        publisher.send_multipart(message(4, IMAGES[4], acquisition_id="a"))
        report, kept = counted(source, 9)
    assert [item.series for item in kept if isinstance(item, Start)] == ["a", "b"]
    assert (report.totals.expected, report.totals.lost) == (10, 2)
    assert report.rejected == {"closed_series": 1}


def test_a_name_that_is_used_again_is_another_acquisition(monkeypatch) -> None:
    with publishing() as (source, publisher):
        for number in (0, 1, 2, 5000, 5001, 3, 4, 4999):  # falls by more than any reordering
            publisher.send_multipart(message(number, IMAGES[0], acquisition_id=""))
        _, kept = counted(source, 8)
        assert [item.series for item in kept if isinstance(item, Start)] == [
            "unnamed", "unnamed (2)",
        ]  # fmt: skip
        monkeypatch.setattr("hexlive.stream.interop.liveview.REST_S", 0.0)  # silence, every time
        for number in (0, 1):
            publisher.send_multipart(message(number, IMAGES[0], acquisition_id=""))
        report, kept = counted(source, 2)
    assert [item.series for item in kept if isinstance(item, Start)] == ["unnamed (3)"]
    assert (report.totals.received, report.totals.lost) == (2, 0)


def test_bad_messages_are_counted_and_good_ones_go_on(caplog) -> None:
    bad = [[b"x"], [b"{", b""], message(0, IMAGES[0], dtype="float"), message(0, IMAGES[0][:9])]
    with publishing() as (source, publisher):
        for number in range(5):
            publisher.send_multipart(message(number, IMAGES[number]))
        for parts in bad:
            publisher.send_multipart(parts)
        report, _ = counted(source, 9)
    assert report.totals.received == 5
    assert report.rejected == {"parts": 1, "header": 1, "dtype": 1, "shape": 1}
    assert "--calibrated takes float" in caplog.text


class Queue:
    """Stands for a socket that has so many messages waiting, and is empty after that."""

    def __init__(self, waiting: list[list[bytes]]) -> None:
        self.waiting = waiting

    def poll(self, timeout: int) -> bool:
        return bool(self.waiting)

    def recv_multipart(self, copy: bool) -> list[zmq.Frame]:
        return [zmq.Frame(part) for part in self.waiting.pop(0)]


def test_frames_are_as_old_as_the_queue_has_not_been_empty() -> None:
    with publishing() as (source, _):
        real, waiting = source._endpoint.socket, [message(n, IMAGES[0]) for n in range(300)]
        begun_s = time.time()
        source._endpoint.socket = Queue(waiting)
        batches = [item for item, _ in zip(source, range(8), strict=False) if item is not None]
        times_s = [item.timestamp_s for item in batches if isinstance(item, Frames)]
        source._endpoint.socket = real
    assert times_s[0] <= begun_s
    assert times_s[-1] >= begun_s


def test_a_flood_of_other_datasets_does_not_stop_the_clock() -> None:
    with publishing() as (source, publisher):
        parts = message(0, IMAGES[0], dataset="processed_frames")
        for _ in range(3000):
            publisher.send_multipart(parts)
        report, _ = counted(source, 3000)
    assert report.rejected == {"other_dataset": 3000}


def test_energies_of_a_liveview_count_as_their_steps(tmp_path) -> None:
    config = Config(
        detector=DetectorSettings(rows=SHAPE[0], columns=SHAPE[1]),
        stream=StreamSettings(idle_timeout_s=0.5),
    )
    energy_kev = (IMAGES * np.float32(STEP_KEV * 8)).astype("<f4")
    outputs = Outputs(result=tmp_path / "result.nxs")
    with publishing(calibrated=True) as (source, publisher):
        for number, frame in enumerate(energy_kev):
            parts = message(number, frame, dtype="float", dataset="processed_frames")
            publisher.send_multipart(parts)
        run_session(source, config, step_calibration(config), outputs, stop=Stop())
    with h5py.File(outputs.result) as file:
        segment = file["entry/segment_0001"]
        assert segment.attrs["frames_received"] == 30
        np.testing.assert_array_equal(segment["hits"][()], (energy_kev >= 3.0).sum(axis=0))


@contextmanager
def liveview() -> Iterator[str]:
    """The address of a LiveView that sends the images to the first who subscribes."""
    waiting = [message(number, image, "BSLZ4") for number, image in enumerate(IMAGES)]
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.linger = 0
        port = publisher.bind_to_random_port("tcp://127.0.0.1")

        def publish() -> None:
            if publisher.poll(PATIENCE_S * 1e3):
                for parts in waiting:
                    publisher.send_multipart(parts)

        thread = threading.Thread(target=publish)
        thread.start()
        yield f"odin+tcp://127.0.0.1:{port}"
        thread.join()


def test_run_takes_a_liveview_by_its_address(hexlive, tmp_path) -> None:
    config, calibration = tmp_path / "beamtime.toml", tmp_path / "calibration.h5"
    with liveview() as address:
        config.write_text(
            f"[detector]\nrows = 12\ncolumns = 10\n[stream]\ninput = '{address}'\n"
            f"idle_timeout_s = 1.0\nresult = '{tmp_path / 'result.nxs'}'\n"
            "publish = 'tcp://127.0.0.1:*'\n"
        )
        step_calibration(load_config(config)).save(calibration)
        code, said = hexlive("run", "--config", config, "--calibration", calibration)
    assert code == 0, said
    assert "30 frames, 0 missing" in said


def test_a_liveview_can_be_recorded(hexlive, tmp_path) -> None:
    out = tmp_path / "recording.h5"
    with liveview() as address:
        code, said = hexlive("record", "--from", address, "--out", out, "--idle-timeout", 1)
    assert code == 0, said
    frames = [item.frames for item in open_file(out) if isinstance(item, Frames)]
    np.testing.assert_array_equal(np.concatenate(frames), IMAGES)


def test_the_address_chooses_odin() -> None:
    config = Config(stream=StreamSettings(input="odin+tcp://127.0.0.1:5020", dataset="data"))
    with closing(live_source(config)) as source:
        assert isinstance(source, OdinSource)
        assert source.address == "tcp://127.0.0.1:5020"
