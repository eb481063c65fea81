"""Faults in the bytes of messages: whatever a receiver must refuse without taking harm."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from hexlive.stream.simulator.injected import (
    EVERY,
    Injected,
    Messages,
    Parts,
    batches_of,
    n_frames_of,
    packed,
)
from hexlive.stream.wire import WireError, decode

Change = Callable[[Parts, np.random.Generator], Parts]
HUGE: Final = 2**31 - 1
DEPTH: Final = 100_000


def truncated(messages: Messages, random: np.random.Generator) -> Injected:
    """The blob of some batches ends too early."""
    return _damaged(messages, random, "length", lambda parts, _: [parts[0], parts[1][:-100]])


def part_missing(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches come without their blob."""
    return _damaged(messages, random, "parts", lambda parts, _: parts[:1])


def part_too_many(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches come with a blob that nothing describes."""
    return _damaged(messages, random, "parts", lambda parts, _: [*parts, b"what"])


def wrong_dtype(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches say that their pixels are something else."""
    return _damaged(messages, random, "dtype", _with_array(dtype="<c16"))


def wrong_length(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches say that they have one frame more."""
    return _damaged(messages, random, "length", _with_array(more=1))


def wrong_shape(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches are of another camera: valid, and not of this run."""
    damaged = _damaged(messages, random, "shape", _of_other_shape)
    n_frames = n_frames_of(messages, set(batches_of(messages)[::EVERY]))
    return Injected(damaged.sent, damaged.survivors, Counter(shape=n_frames))


def huge_sizes(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches declare more memory than there is in the world."""
    return _damaged(messages, random, "length", _with_array(shape=[HUGE, HUGE, HUGE]))


def garbage(messages: Messages, random: np.random.Generator) -> Injected:
    """Instead of some batches, random bytes come."""
    return _damaged(messages, random, "header", lambda parts, r: [r.bytes(1000), parts[1]])


def deep_json(messages: Messages, random: np.random.Generator) -> Injected:
    """Instead of the headers of some batches, brackets in brackets come."""
    return _damaged(
        messages, random, "header", lambda parts, _: [b"[" * DEPTH + b"]" * DEPTH, parts[1]]
    )


def unknown_type(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches are of a type that nobody knows."""
    return _damaged(
        messages, random, "header", lambda p, _: [p[0].replace(b'"frames"', b'"flames"', 1), p[1]]
    )


def flipped_in_header(messages: Messages, random: np.random.Generator) -> Injected:
    """One bit is flipped in the headers of some batches, all of which carry a checksum."""
    return _flipped(messages, random, part=0)


def flipped_in_blob(messages: Messages, random: np.random.Generator) -> Injected:
    """One bit is flipped in the blobs of some batches, all of which carry a checksum."""
    return _flipped(messages, random, part=1)


def _damaged(
    messages: Messages, random: np.random.Generator, reason: str, change: Change
) -> Injected:
    """Every fourth batch is changed so that it must be refused as a whole."""
    chosen = set(batches_of(messages)[::EVERY])
    sent = [
        change(packed(each), random) if i in chosen else packed(each)
        for i, each in enumerate(messages)
    ]
    survivors = [each for i, each in enumerate(messages) if i not in chosen]
    return Injected(sent, survivors, Counter({reason: len(chosen)}))


def _flipped(messages: Messages, random: np.random.Generator, part: int) -> Injected:
    """One bit of every fourth batch; which check of the header finds it depends on the bit."""
    chosen = set(batches_of(messages)[::EVERY])
    sent, why = [], Counter[str]()
    for i, each in enumerate(messages):
        parts = packed(each, checked=True)
        if i in chosen:
            parts[part] = _with_flip(parts[part], int(random.integers(8 * len(parts[part]))))
            why[_refusal(parts)] += 1
        sent.append(parts)
    return Injected(sent, [each for i, each in enumerate(messages) if i not in chosen], why)


def _with_flip(blob: bytes, bit: int) -> bytes:
    flipped = bytearray(blob)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def _refusal(parts: Parts) -> str:
    try:
        decode(parts)
    except WireError as error:
        return error.reason
    raise AssertionError("a flipped bit passed the checksum")


def _with_array(more: int = 0, **fields: Any) -> Change:
    """Change what the header says of the blob."""

    def change(parts: Parts, _: np.random.Generator) -> Parts:
        header = json.loads(parts[0])
        header["frames"] |= fields
        header["frames"]["shape"][0] += more
        return [json.dumps(header).encode(), *parts[1:]]

    return change


def _of_other_shape(parts: Parts, _: np.random.Generator) -> Parts:
    header = json.loads(parts[0])
    frames, rows, columns = header["frames"]["shape"]
    header["frames"]["shape"] = [frames, columns, rows]
    return [json.dumps(header).encode(), *parts[1:]]
