"""What can go wrong with a stream, done on purpose, with the damage known.

Each fault takes the messages of a sound series and gives the bytes to send, the messages that must
survive, and the refusals that must be counted. So a receiver can be held to account to the frame.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.wire import WireError, decode, encode

Parts = list[bytes]
Messages = Sequence[AnyMessage]
Change = Callable[[Parts, np.random.Generator], Parts]
EVERY: Final = 4  # of the batches, one is damaged
BURST: Final = 3
WINDOW: Final = 3
HUGE: Final = 2**31 - 1
DEPTH: Final = 100_000


@dataclass(frozen=True)
class Injected:
    """A series with a fault.

    Attributes
    ----------
    sent
        Multipart messages, in order.
    survivors
        The messages that a receiver must take, in the order in which it takes them.
    rejected
        Refusals that it must count, by reason.
    """

    sent: list[Parts]
    survivors: list[AnyMessage]
    rejected: Counter[str] = field(default_factory=Counter)


Fault = Callable[[Messages, np.random.Generator], Injected]


def packed(message: AnyMessage, *, checked: bool = False) -> Parts:
    """The bytes of a message."""
    return [bytes(part) for part in encode(message, checked=checked)]


def frame_numbers(messages: Messages) -> set[int]:
    """Numbers of all frames in these messages."""
    found: set[int] = set()
    for message in messages:
        if isinstance(message, Frames):
            found.update(range(message.first_frame, message.end_frame))
    return found


def sound(messages: Messages, random: np.random.Generator) -> Injected:
    """Nothing is wrong."""
    return Injected([packed(each) for each in messages], list(messages))


def lost_batches(messages: Messages, random: np.random.Generator) -> Injected:
    """A quarter of the batches never leaves, at random."""
    batches = _batches(messages)
    chosen = set(random.choice(batches, len(batches) // EVERY, replace=False).tolist())
    return _without(messages, chosen)


def lost_burst(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches in a row never leave."""
    batches = _batches(messages)
    begin = int(random.integers(1, len(batches) - BURST))
    return _without(messages, set(batches[begin : begin + BURST]))


def lost_frames(messages: Messages, random: np.random.Generator) -> Injected:
    """Single frames are lost; what is left of a batch is sent in pieces."""
    kept: list[AnyMessage] = []
    for message in messages:
        if not isinstance(message, Frames):
            kept.append(message)
            continue
        cut = message.first_frame + int(random.integers(len(message.frames)))
        for begin, end in ((message.first_frame, cut), (cut + 1, message.end_frame)):
            if begin < end:
                kept.append(message.cut(begin, end))
    return Injected([packed(each) for each in kept], kept)


def duplicates(messages: Messages, random: np.random.Generator) -> Injected:
    """Every fourth batch is sent twice."""
    chosen = set(_batches(messages)[::EVERY])
    sent = [packed(each) for i, each in enumerate(messages) for _ in range(1 + (i in chosen))]
    return Injected(sent, list(messages), Counter(duplicate=_n_frames(messages, chosen)))


def reordered(messages: Messages, random: np.random.Generator) -> Injected:
    """Batches overtake each other, but no segment."""
    order: list[int] = []
    window: list[int] = []
    for i, message in enumerate(messages):
        if isinstance(message, Frames):
            window.append(i)
        if not isinstance(message, Frames) or len(window) == WINDOW:
            order += random.permutation(window).tolist()
            window = []
        if not isinstance(message, Frames):
            order.append(i)
    moved = [messages[i] for i in order]
    return Injected([packed(each) for each in moved], moved)


def late_for_its_segment(messages: Messages, random: np.random.Generator) -> Injected:
    """One batch arrives when the next segment has begun."""
    second = [i for i, message in enumerate(messages) if isinstance(message, Segment)][1]
    late = max(i for i in _batches(messages) if i < second)
    sent = [packed(each) for i, each in enumerate(messages) if i != late]
    sent.insert(second, packed(messages[late]))
    without = _without(messages, {late})
    lost = Counter(before_segment=_n_frames(messages, {late}))
    return Injected(sent, without.survivors, lost)


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
    n_frames = _n_frames(messages, set(_batches(messages)[::EVERY]))
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


def end_twice(messages: Messages, random: np.random.Generator) -> Injected:
    """The end is announced twice, and a batch just before it is lost, which is waited for."""
    gone = _without(messages, {_batches(messages)[-1]})
    return Injected([*gone.sent, gone.sent[-1]], gone.survivors, Counter(repeated_end=1))


def end_before_data(messages: Messages, random: np.random.Generator) -> Injected:
    """The end overtakes all frames of the last segment."""
    last = max(i for i, message in enumerate(messages) if isinstance(message, Segment))
    *rest, end = messages
    moved = [*rest[: last + 1], end, *rest[last + 1 :]]
    return Injected([packed(each) for each in moved], moved)


def end_before_segment(messages: Messages, random: np.random.Generator) -> Injected:
    """The end overtakes the last segment with all of its frames."""
    last = max(i for i, message in enumerate(messages) if isinstance(message, Segment))
    *rest, end = messages
    moved = [*rest[:last], end, *rest[last:]]
    return Injected([packed(each) for each in moved], moved)


def late_join(messages: Messages, random: np.random.Generator) -> Injected:
    """The receiver hears nothing of what came before the second segment."""
    second = [i for i, message in enumerate(messages) if isinstance(message, Segment)][1]
    start, segment, heard = messages[0], messages[second], messages[second:]
    assert isinstance(start, Start)
    assert isinstance(segment, Segment)
    joined = msgspec.structs.replace(start, first_frame=segment.first_frame)
    return Injected([packed(each) for each in heard], [joined, *heard])


def sender_starts_again(messages: Messages, random: np.random.Generator) -> Injected:
    """A sender that was restarted sends the same series again, with numbers from 0."""
    half = len(messages) // 2
    again = [each for each in messages[:half] if isinstance(each, Start | Frames)]
    sent = [packed(each) for each in (*messages[:half], *again, *messages[half:])]
    first = _first_frame_of_segment_at(messages, half)
    refused: Counter[str] = Counter(repeated_start=1)
    for each in again:
        if isinstance(each, Frames):
            why = "before_segment" if each.first_frame < first else "duplicate"
            refused[why] += len(each.frames)
    return Injected(sent, list(messages), refused)


def series_changes(messages: Messages, random: np.random.Generator) -> Injected:
    """In the middle a new series begins; what is left of the old one comes too late."""
    half = len(messages) // 2
    fresh = [msgspec.structs.replace(each, series="another") for each in messages]
    late = [each for each in messages[half:] if isinstance(each, Frames)][:2]
    sent = [*messages[:half], *fresh[:3], *late, *fresh[3:]]
    refused = Counter(closed_series=sum(len(each.frames) for each in late))
    return Injected([packed(each) for each in sent], [*messages[:half], *fresh], refused)


def no_end(messages: Messages, random: np.random.Generator) -> Injected:
    """The end of the series never comes."""
    heard: list[AnyMessage] = [each for each in messages if not isinstance(each, End)]
    return Injected([packed(each) for each in heard], heard)


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        sound, lost_batches, lost_burst, lost_frames, duplicates, reordered, late_for_its_segment,
        truncated, part_missing, part_too_many, wrong_dtype, wrong_length, wrong_shape, huge_sizes,
        garbage, deep_json, unknown_type, flipped_in_header, flipped_in_blob, end_twice,
        end_before_data, end_before_segment, late_join, sender_starts_again, series_changes, no_end,
    )
}  # fmt: skip


def _batches(messages: Messages) -> list[int]:
    return [i for i, message in enumerate(messages) if isinstance(message, Frames)]


def _n_frames(messages: Messages, chosen: set[int]) -> int:
    return len(frame_numbers([messages[i] for i in chosen]))


def _without(messages: Messages, chosen: set[int]) -> Injected:
    kept = [each for i, each in enumerate(messages) if i not in chosen]
    return Injected([packed(each) for each in kept], kept)


def _damaged(
    messages: Messages, random: np.random.Generator, reason: str, change: Change
) -> Injected:
    """Every fourth batch is changed so that it must be refused as a whole."""
    chosen = set(_batches(messages)[::EVERY])
    sent = [
        change(packed(each), random) if i in chosen else packed(each)
        for i, each in enumerate(messages)
    ]
    survivors = [each for i, each in enumerate(messages) if i not in chosen]
    return Injected(sent, survivors, Counter({reason: len(chosen)}))


def _flipped(messages: Messages, random: np.random.Generator, part: int) -> Injected:
    """One bit of every fourth batch; which check of the header finds it depends on the bit."""
    chosen = set(_batches(messages)[::EVERY])
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


def _first_frame_of_segment_at(messages: Messages, position: int) -> int:
    return [each for each in messages[:position] if isinstance(each, Segment)][-1].first_frame
