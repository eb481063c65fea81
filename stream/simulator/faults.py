"""What can go wrong with a stream, done on purpose, with the damage known.

Each fault takes the messages of a sound series and gives the bytes to send, the messages that must
survive, and the refusals that must be counted. So a receiver can be held to account to the frame.
Here is what goes wrong with whole messages; faults in their bytes are in `damage`.
"""

from collections import Counter
from typing import Final

import msgspec
import numpy as np

from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.simulator.damage import (
    deep_json,
    flipped_in_blob,
    flipped_in_header,
    garbage,
    huge_sizes,
    part_missing,
    part_too_many,
    truncated,
    unknown_type,
    wrong_dtype,
    wrong_length,
    wrong_shape,
)
from hexlive.stream.simulator.injected import (
    EVERY,
    Fault,
    Injected,
    Messages,
    batches_of,
    n_frames_of,
    packed,
)

BURST: Final = 3
WINDOW: Final = 3


def sound(messages: Messages, random: np.random.Generator) -> Injected:
    """Nothing is wrong."""
    return Injected([packed(each) for each in messages], list(messages))


def lost_batches(messages: Messages, random: np.random.Generator) -> Injected:
    """A quarter of the batches never leaves, at random."""
    batches = batches_of(messages)
    chosen = set(random.choice(batches, len(batches) // EVERY, replace=False).tolist())
    return _without(messages, chosen)


def lost_burst(messages: Messages, random: np.random.Generator) -> Injected:
    """Some batches in a row never leave."""
    batches = batches_of(messages)
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
    chosen = set(batches_of(messages)[::EVERY])
    sent = [packed(each) for i, each in enumerate(messages) for _ in range(1 + (i in chosen))]
    return Injected(sent, list(messages), Counter(duplicate=n_frames_of(messages, chosen)))


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
    late = max(i for i in batches_of(messages) if i < second)
    sent = [packed(each) for i, each in enumerate(messages) if i != late]
    sent.insert(second, packed(messages[late]))
    without = _without(messages, {late})
    lost = Counter(before_segment=n_frames_of(messages, {late}))
    return Injected(sent, without.survivors, lost)


def end_twice(messages: Messages, random: np.random.Generator) -> Injected:
    """The end is announced twice, and a batch just before it is lost, which is waited for."""
    gone = _without(messages, {batches_of(messages)[-1]})
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


def _without(messages: Messages, chosen: set[int]) -> Injected:
    kept = [each for i, each in enumerate(messages) if i not in chosen]
    return Injected([packed(each) for each in kept], kept)


def _first_frame_of_segment_at(messages: Messages, position: int) -> int:
    return [each for each in messages[:position] if isinstance(each, Segment)][-1].first_frame
