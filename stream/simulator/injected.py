"""A series with a fault in it: what is sent, what must survive, what must be counted as refused."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hexlive.stream.model import AnyMessage, Frames
from hexlive.stream.wire import encode

Parts = list[bytes]
Messages = Sequence[AnyMessage]
EVERY: Final = 4  # of the batches, one has the fault


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


def batches_of(messages: Messages) -> list[int]:
    """Where in the messages the batches of frames are."""
    return [i for i, message in enumerate(messages) if isinstance(message, Frames)]


def n_frames_of(messages: Messages, chosen: set[int]) -> int:
    """Number of frames in the chosen messages."""
    return len(frame_numbers([messages[i] for i in chosen]))
