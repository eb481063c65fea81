"""What a person may ask of a run, and the answer: messages to bytes and back, no sockets here.

The only things that a monitor can do to a run. None of them touches a count: a mark is a note, the
last seconds are a view, and a CT scan is ended as its sender would end it.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from hexlive.stream.scalars import MarkLabel, Series
from hexlive.stream.wire import WireError

MAX_BYTES: Final = 4096
Kind = TypeVar("Kind")
Sentence = Annotated[str, msgspec.Meta(max_length=1000)]


class _Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True
):
    """Common to all: ``series`` is the run that whoever asks has before the eyes."""

    series: Series
    v: Literal[1] = 1


class MarkState(_Command, tag="mark_state", frozen=True, kw_only=True):
    """Note something, for the trend, the recording and the result file."""

    label: MarkLabel


class ResetWindow(_Command, tag="reset_window", frozen=True, kw_only=True):
    """Let the map of the last seconds begin again; what the exposure has counted stays."""


class ReconstructNow(_Command, tag="reconstruct_now", frozen=True, kw_only=True):
    """End a CT scan that is being collected, and reconstruct what came of it."""

    scan: Annotated[int, msgspec.Meta(ge=1, le=10**6)]


Command = MarkState | ResetWindow | ReconstructNow


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it was done, and what was done or why not."""

    done: bool
    sentence: Sentence
    v: Literal[1] = 1


def encode(message: Command | Answer) -> bytes:
    """One part, JSON."""
    return msgspec.json.encode(message)


def decode_command(parts: Sequence[bytes]) -> Command:
    """Turn what came into a command.

    Raises
    ------
    WireError
        It is none, for whatever reason; nothing else is ever raised.
    """
    return _decoded(parts, _COMMANDS)


def decode_answer(parts: Sequence[bytes]) -> Answer:
    """Turn what came into an answer.

    Raises
    ------
    WireError
        It is none, for whatever reason; nothing else is ever raised.
    """
    return _decoded(parts, _ANSWERS)


_COMMANDS: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_ANSWERS: Final = msgspec.json.Decoder(Answer)


def _decoded(parts: Sequence[bytes], decoder: "msgspec.json.Decoder[Kind]") -> Kind:
    if len(parts) != 1:
        raise WireError(f"parts: a command has one part, not {len(parts)}.")
    if len(parts[0]) > MAX_BYTES:
        raise WireError(f"length: {len(parts[0])} bytes, a command has at most {MAX_BYTES}.")
    try:
        return decoder.decode(parts[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"header: {error}") from error
