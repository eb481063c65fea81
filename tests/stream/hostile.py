"""Messages that must do nothing, by name: their parts, and the reason that they are counted by."""

import json
import os
import pickle
from pathlib import Path
from typing import Final

Parts = list[bytes]
DEEP: Final = 200_000
LONG: Final = 1 << 20


def header(kind: str, **fields: object) -> bytes:
    return json.dumps({"type": kind, "v": 1, "series": "s"} | fields).encode()


def array(shape: list[object], part: object = 1, dtype: str = "<u2") -> dict[str, object]:
    return {"part": part, "dtype": dtype, "shape": shape}


def frames(*blobs: bytes, shape: list[object], part: object = 1, dtype: str = "<u2") -> Parts:
    described = array(shape, part, dtype)
    return [header("frames", first_frame=0, timestamp_s=0.0, frames=described), *blobs]


def events(
    count: object, shape: list[object], n: int = 0, parts: tuple[int, ...] = (1, 2, 3)
) -> Parts:
    kinds = zip(("frame", "pixel", "adu"), parts, ("<u4", "<u4", "<u2"), strict=True)
    lists = {name: array([n], part, dtype) for name, part, dtype in kinds}
    blobs = [bytes(n * size) for size in (4, 4, 2)][: len(set(parts))]
    first = header("events", first_frame=0, timestamp_s=0.0, count=count, shape=shape, **lists)
    return [first, *blobs]


def projections(angles: bytes, keys: bytes) -> Parts:
    described = {
        "angles_deg": array([len(angles) // 8], 1, "<f8"),
        "image_key": array([len(keys)], 2, "|u1"),
        "images": array([len(keys), 1, 1], 3),
    }
    first = header("projections", scan=1, first_image=0, **described)
    return [first, angles, keys, bytes(2 * len(keys))]


def end(last_frame: str) -> Parts:
    return [b'{"type":"end","v":1,"series":"s","last_frame":%s}' % last_frame.encode()]


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def pickles(path: Path) -> dict[str, Parts]:
    """Pickles wherever a careless receiver would load one."""
    bomb = pickle.dumps(Bomb(path))
    return {
        "pickle alone": [bomb],
        "pickle and header": frames(bomb, shape=[1, 1, len(bomb) // 2]),
        "pickle as objects": frames(bomb, shape=[len(bomb)], dtype="|O"),
        "pickle in text": [header("start", detector=bomb.decode("latin-1"))],
        "pickled numpy": frames(b"\x93NUMPY" + bomb, shape=[1], dtype="O"),
    }


HOSTILE: Final[dict[str, tuple[Parts, str]]] = {
    "nothing": ([], "parts"),
    "empty part": ([b""], "header"),
    "many parts": ([b"{}"] * 65, "parts"),
    "tls hello": ([bytes.fromhex("1603010200010001fc0303") + bytes(500)], "header"),
    "http": ([b"GET / HTTP/1.1\r\n\r\n"], "header"),
    "yaml": ([b"!!python/object/apply:os.system ['true']"], "header"),
    "byte order mark": ([b"\xef\xbb\xbf" + end("1")[0]], "header"),
    "utf-16": ([end("1")[0].decode().encode("utf-16")], "header"),
    "half a surrogate": ([end("1")[0].replace(b'"s"', b'"\\ud800"')], "header"),
    "two messages in one": ([end("1")[0] * 2], "header"),
    "array": ([b"[" + end("1")[0] + b"]"], "header"),
    "header too long": ([b" " * (5 << 20)], "header"),
    "message in a header too long": ([end("1")[0] + b" " * (4 << 20)], "header"),
    "deep array": ([b"[" * DEEP], "header"),
    "deep where an array belongs": (
        [b'{"type":"frames","v":1,"series":"s","first_frame":0,"timestamp_s":0,"frames":'
         + b"[" * DEEP + b"]" * DEEP + b"}"], "header",
    ),
    "deep object": ([b'{"a":' * DEEP + b"1" + b"}" * DEEP], "header"),
    "repeated key": ([end("1")[0][:-1] + b',"last_frame":2}'], "header"),
    "repeated type": ([b'{"type":"end","type":"cycler","v":1,"series":"s"}'], "header"),
    "repeated key of an array": (
        [frames(shape=[1, 1, 1])[0].replace(b'"part"', b'"part": 2, "part"'), b"ab"], "header",
    ),
    "unknown type": ([header("exec", command="true")], "header"),
    "no type": ([b'{"v":1,"series":"s"}'], "header"),
    "true for a number": (end("true"), "header"),
    "text for a number": (end('"1"'), "header"),
    "fraction for a number": (end("1.0"), "header"),
    "negative number": (end("-1"), "header"),
    "2^63": (end(str(2**63)), "header"),
    "thousands of digits": (end("9" * 5_000), "header"),
    "a million digits": (end("9" * LONG), "header"),
    "nan": (end("NaN"), "header"),
    "infinity": (end("Infinity"), "header"),
    "overflow": (
        [header("cycler", time_s=0, current_ampere=0, capacity_ah=0)[:-1]
         + b',"voltage_volt":1e999}'], "header",
    ),
    "control characters": ([header("end", last_frame=1, series="a\nb")], "header"),
    "long series": ([header("end", last_frame=1, series="s" * 1000)], "header"),
    "long name": (
        [header("start", rows=1, columns=1, frame_rate_hz=1, started_s=0, detector="x" * LONG)],
        "header",
    ),
    "no rate": (
        [header("start", rows=1, columns=1, frame_rate_hz=1e-300, started_s=0)], "header",
    ),
    "no pixels": ([header("start", rows=0, columns=1, frame_rate_hz=1, started_s=0)], "header"),
    "a frame of 2^32 pixels": (
        [header("start", rows=65536, columns=65536, frame_rate_hz=1, started_s=0)], "header",
    ),
    "an image of 2^32 pixels": (
        [header("scan_start", scan=1, rows=65536, columns=65536, n_images=1, pixel_um=1)], "shape",
    ),
    "blob missing": (frames(shape=[1, 1, 1]), "parts"),
    "blob too many": (frames(b"ab", b"ab", shape=[1, 1, 1]), "parts"),
    "blob short": (frames(b"a", shape=[1, 1, 1]), "length"),
    "blob long": (frames(b"abcd", shape=[1, 1, 1]), "length"),
    "huge shape": (frames(b"ab", shape=[2**31 - 1, 2**31 - 1, 2**31 - 1]), "length"),
    "shape that overflows": (frames(b"", shape=[2**30, 2**30, 2**30, 16]), "length"),
    "shape beyond integers": (frames(b"ab", shape=[10**30]), "shape"),
    "a hundred thousand dimensions": (frames(b"ab", shape=[1] * 10**5), "shape"),
    "negative shape": (frames(b"ab", shape=[-1, -1, 1]), "shape"),
    "empty shape": (frames(b"ab", shape=[]), "shape"),
    "no frames": (frames(b"", shape=[0, 80, 80]), "shape"),
    "true for a size": (frames(b"ab", shape=[True, 1, 1]), "header"),
    "dtype objects": (frames(b"12345678", shape=[1, 1, 1], dtype="|O8"), "dtype"),
    "dtype big-endian": (frames(b"ab", shape=[1, 1, 1], dtype=">u2"), "dtype"),
    "dtype record": (frames(b"ab", shape=[1, 1, 1], dtype="u1,u1"), "dtype"),
    "dtype long": (frames(b"ab", shape=[1, 1, 1], dtype="<u2" * LONG), "dtype"),
    "part of the header": (frames(shape=[1, 1, 1], part=0), "parts"),
    "part beyond": (frames(b"ab", shape=[1, 1, 1], part=10**30), "parts"),
    "part negative": (frames(b"ab", shape=[1, 1, 1], part=-1), "parts"),
    "a path for frames": (
        [header("frames", first_frame=0, timestamp_s=0, frames="/etc/passwd")], "header",
    ),
    "tiny list of many frames": (events(2**31, [1, 1]), "length"),
    "tiny list of large frames": (events(8, [4096, 4096]), "length"),
    "list outside": (events(1, [1, 1], n=2), "events"),
    "list of one part": (events(1, [2, 2], parts=(1, 1, 1)), "parts"),
    "angle not finite": (projections(b"\xff" * 8, b"\0"), "values"),
    "image key unknown": (projections(bytes(8), b"\x07"), "values"),
}  # fmt: skip
