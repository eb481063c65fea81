"""Messages to bytes and back: no sockets here, no pickle anywhere.

A message is a list of byte strings. Part 0 is a JSON header; an array in it reads
``{"part": 1, "dtype": "<u2", "shape": [256, 80, 80]}`` and its raw bytes are part 1. Where the
header says ``"checked": true``, the last part is the CRC-32 of all before it, little-endian.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from hexlive.stream.drawable import drawable
from hexlive.stream.listing import frames_of, list_fault
from hexlive.stream.model import (
    AnyMessage,
    EventList,
    Frames,
    Message,
    Projections,
    ScanStart,
    Snapshot,
)

MAX_HEADER_BYTES: Final = 4 << 20
MAX_PARTS: Final = 64
MAX_PART_BYTES: Final = 256 << 20  # the sockets refuse more
MAX_DIMENSIONS: Final = 4
MAX_WORDS: Final = 300  # of an error, whatever it quotes
MAX_IMAGE_KEY: Final = 3
CRC_BYTES: Final = 4
DTYPES: Final = {name: np.dtype(name) for name in ("<u2", "|u1", "<u4", "<u8", "<i8", "<f4", "<f8")}
Buffer = bytes | bytearray | memoryview


class WireError(ValueError):
    """These bytes are not a message; the first word of the text is the reason to count."""

    def __init__(self, words: str) -> None:
        super().__init__(words[:MAX_WORDS])

    @property
    def reason(self) -> str:
        """The word to count."""
        return str(self).partition(":")[0]


class _ArrayHeader(msgspec.Struct, forbid_unknown_fields=True):
    part: int
    dtype: str
    shape: list[int]


def encode(message: Message, *, checked: bool = False) -> list[Buffer]:
    """Turn a message into the parts of a multipart message; arrays are not copied.

    Parameters
    ----------
    checked
        Add the CRC-32 of all parts, so that not one changed bit passes.

    Raises
    ------
    TypeError
        An array has a dtype that the format does not know.
    """
    parts: list[Buffer] = [b""]

    def describe(value: object) -> _ArrayHeader:
        if not isinstance(value, np.ndarray):
            raise TypeError(f"Cannot send a {type(value).__name__}.")
        array = np.ascontiguousarray(value)
        if array.dtype.str not in DTYPES:
            raise TypeError(f"Cannot send an array of dtype {array.dtype}.")
        parts.append(array.reshape(-1).view(np.uint8).data)
        return _ArrayHeader(part=len(parts) - 1, dtype=array.dtype.str, shape=list(array.shape))

    if checked:
        message = msgspec.structs.replace(message, checked=True)
    parts[0] = msgspec.json.encode(message, enc_hook=describe)
    return [*parts, _checksum(parts)] if checked else parts


def _checksum(parts: Sequence[Buffer]) -> bytes:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc.to_bytes(CRC_BYTES, "little")


def decode(parts: Sequence[Buffer]) -> AnyMessage:
    """Turn the parts of a multipart message into a message; arrays share the parts' memory.

    Frames that were sent as a list of pixels come back as frames: nothing further on knows lists.

    Raises
    ------
    WireError
        The parts are not a valid message, for whatever reason; nothing else is ever raised.
    """
    if not 1 <= len(parts) <= MAX_PARTS:
        raise WireError(f"parts: a message has 1 to {MAX_PARTS} parts, not {len(parts)}.")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise WireError(f"header: {len(parts[0])} bytes, more than {MAX_HEADER_BYTES}.")
    used: list[int] = []

    def attach(kind: type, value: Any) -> Any:
        header = msgspec.convert(value, _ArrayHeader)
        used.append(header.part)
        return _attach(header, parts)

    try:
        message = msgspec.json.decode(parts[0], type=AnyMessage | EventList, dec_hook=attach)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error.__cause__, WireError):
            raise error.__cause__ from None
        raise WireError(f"header: {error}") from error
    _KEYS.decode(str(parts[0], "utf-8"))
    if message.checked is True:
        *parts, crc = parts
        if bytes(crc) != _checksum(parts):
            raise WireError("checksum: the parts are not those that were sent.")
        message = msgspec.structs.replace(message, checked=msgspec.UNSET)
    if sorted(used) != list(range(1, len(parts))):
        raise WireError("parts: not every part is described exactly once in the header.")
    _check(message)
    return frames_of(message) if isinstance(message, EventList) else message


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise WireError("header: a key comes more than once.")


# Readers of JSON do not agree on which of two equal keys holds; msgspec takes the last.
_KEYS: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=len, parse_float=len)


def _attach(header: _ArrayHeader, parts: Sequence[Buffer]) -> np.ndarray[Any, Any]:
    dtype = DTYPES.get(header.dtype)
    if dtype is None:
        raise WireError(f"dtype: {header.dtype!r} is not one of {', '.join(DTYPES)}.")
    if not 1 <= header.part < len(parts):
        raise WireError(f"parts: the header names part {header.part} of {len(parts) - 1}.")
    if len(header.shape) > MAX_DIMENSIONS or any(not 0 <= n < 2**31 for n in header.shape):
        raise WireError(f"shape: {header.shape} is not a shape.")
    expected = dtype.itemsize
    for n in header.shape:
        expected *= n
    if expected != len(parts[header.part]):
        raise WireError(
            f"length: {len(parts[header.part])} bytes for {header.shape} {header.dtype}, "
            f"which takes {expected}."
        )
    return np.frombuffer(parts[header.part], dtype).reshape(header.shape)


def _check(message: AnyMessage | EventList) -> None:
    """Refuse arrays that are valid by themselves but not in this message."""
    match message:
        case Frames(frames=frames):
            _expect("frames", frames, "<u2", 3)
        case Projections(images=images, image_key=key, angles_deg=angles):
            _expect("images", images, "<u2", 3)
            _expect("image_key", key, "|u1", 1)
            _expect("angles_deg", angles, "<f8", 1)
            if not len(images) == len(key) == len(angles):
                raise WireError("shape: images, image_key and angles_deg differ in length.")
            if not np.isfinite(angles).all() or key.max() > MAX_IMAGE_KEY:
                raise WireError("values: an angle is not finite, or an image_key is above 3.")
        case ScanStart(rows=rows, columns=columns) if 2 * rows * columns > MAX_PART_BYTES:
            raise WireError(f"shape: no image of {rows} x {columns} pixels fits into a message.")
        case EventList() if fault := list_fault(message):
            raise WireError(fault)
        case Snapshot() if not drawable(message):
            raise WireError("shape: the arrays of a snapshot do not fit each other.")


def _expect(name: str, array: np.ndarray[Any, Any], dtype: str, n_dims: int) -> None:
    if array.dtype != np.dtype(dtype):
        raise WireError(f"dtype: {name} must be {dtype}, not {array.dtype.str}.")
    if array.ndim != n_dims or array.size == 0:
        raise WireError(f"shape: {name} must have {n_dims} non-empty dimensions.")
