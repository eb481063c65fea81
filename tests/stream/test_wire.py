"""What goes in comes out; anything else is refused with one error."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.model import Cycler, End, Frames, Message, Projections, Segment
from hexlive.stream.wire import WireError, decode, encode

MESSAGES = [
    Segment(series="s", number=1, first_frame=0, mode="xcs", region=2, state=1, soc=0.2),
    Cycler(series="s", time_s=1.0, voltage_volt=3.7, current_ampere=-1e-3, capacity_ah=2e-3),
    End(series="s", last_frame=None),
    Frames(
        series="s",
        first_frame=2**53 + 1,
        timestamp_s=1.5,
        frames=np.arange(24, dtype="<u2").reshape(2, 3, 4),
    ),
    Projections(
        series="s",
        scan=1,
        first_image=0,
        angles_deg=np.array([0.0, 0.05]),
        image_key=np.array([0, 1], np.uint8),
        images=np.arange(12, dtype="<u2").reshape(2, 2, 3),
    ),
]


def as_bytes(message: Message) -> list[bytes]:
    return [bytes(part) for part in encode(message)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    back = decode(as_bytes(message))
    assert type(back) is type(message)
    for name in message.__struct_fields__:
        np.testing.assert_array_equal(getattr(back, name), getattr(message, name))


def test_arrays_are_not_copied() -> None:
    frames = MESSAGES[3].frames
    assert np.shares_memory(np.frombuffer(encode(MESSAGES[3])[1], np.uint8), frames)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_raise_only_the_documented_error(parts: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode(parts)


@given(st.integers(0, 500), st.integers(0, 255))
def test_a_changed_header_byte_is_a_message_or_the_documented_error(at: int, value: int) -> None:
    header, *blobs = as_bytes(MESSAGES[4])
    changed = bytearray(header)
    changed[at % len(header)] = value
    try:
        message = decode([bytes(changed), *blobs])
    except WireError:
        return
    assert isinstance(message, msgspec.Struct)


HEADER, BLOB = as_bytes(MESSAGES[3])


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("parts", []),
        ("parts", [HEADER]),
        ("parts", [HEADER, BLOB, b"more"]),
        ("length", [HEADER, BLOB[:-1]]),
        ("length", [HEADER.replace(b"[2,3,4]", b"[2,3,40000000]"), BLOB]),
        ("shape", [HEADER.replace(b"[2,3,4]", b"[-2,3,4]"), BLOB]),
        ("shape", [HEADER.replace(b"[2,3,4]", b"[6,4]"), BLOB]),
        ("dtype", [HEADER.replace(b"<u2", b"|O8"), BLOB]),
        ("dtype", [HEADER.replace(b'"<u2","shape":[2,3,4]', b'"|u1","shape":[2,3,8]'), BLOB]),
        ("header", [HEADER.replace(b'"v":1', b'"v":2'), BLOB]),
        ("header", [HEADER.replace(b'"frames",', b'"pickle",'), BLOB]),
        ("header", [HEADER.replace(b'"v":1', b'"v":1,"extra":0'), BLOB]),
        ("header", [b"[" * 100_000]),
        ("header", [b"\xff\xfe"]),
        ("header", [b" " * (5 << 20)]),
    ],
)
def test_a_bad_message_is_refused_with_a_reason_to_count(reason: str, parts: list[bytes]) -> None:
    with pytest.raises(WireError) as caught:
        decode(parts)
    assert str(caught.value).split(":", 1)[0] == reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"state":1', b'"state":100000000000000000000000000000'),
        (b'"series":"s"', b'"series":"a\\u0000b"'),
        (b'"series":"s"', b'"series":""'),
        (b'"soc":0.2', b'"soc":20'),
        (b'"started_s":null', b'"started_s":1.76e12'),
        (b'"started_s":null', b'"started_s":-1'),
    ],
)
def test_a_value_that_means_nothing_is_refused(old: bytes, new: bytes) -> None:
    header = as_bytes(MESSAGES[0])[0]
    assert old in header
    with pytest.raises(WireError, match="header"):
        decode([header.replace(old, new)])


@given(place=st.integers(0, 10**9), part=st.integers(0, 2))
def test_no_flipped_bit_passes_a_checksum(place: int, part: int) -> None:
    message = Frames(
        series="s",
        first_frame=10,
        timestamp_s=0.5,
        frames=np.arange(24, dtype="<u2").reshape(2, 3, 4),
    )
    parts = [bytearray(each) for each in encode(message, checked=True)]
    assert len(parts) == 3
    assert decode(parts).checked is msgspec.UNSET
    bit = place % (8 * len(parts[part]))
    parts[part][bit // 8] ^= 1 << bit % 8
    with pytest.raises(WireError):
        decode(parts)


def test_a_checksum_that_is_announced_and_absent_is_refused() -> None:
    parts = encode(End(series="s", last_frame=3), checked=True)
    with pytest.raises(WireError) as refused:
        decode(parts[:1])
    assert refused.value.reason in ("checksum", "parts")
