"""The command leg: what a person asks of a run, looked at, answered, and put into its stream.

Off unless an address is configured. A command that is obeyed becomes a message of the stream where
it can, so that the recording has it and a replay does it again. Between two messages of the data
leg one command is looked at, and nothing ever waits for who sent it.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import zmq

from hexlive.stream.checkpointing import Parts
from hexlive.stream.config import Config
from hexlive.stream.control import (
    Answer,
    Command,
    MarkState,
    ReconstructNow,
    ResetWindow,
    decode_command,
    encode,
)
from hexlive.stream.inbox import NONE_QUEUED, Queued
from hexlive.stream.live_scan import ScanError
from hexlive.stream.model import AnyMessage, Mark
from hexlive.stream.pipeline import Queueing, Source
from hexlive.stream.sockets import AddressError, Endpoint, is_local
from hexlive.stream.wire import WireError

QUEUED_COMMANDS: Final = 8
MAX_PART_BYTES: Final = 65_536  # of what reaches us at all; `control.MAX_BYTES` decides
LOOK_S: Final = 0.02
LINGER_MS: Final = 500
MOST_MARKS: Final = 10_000
LOG: Final = logging.getLogger(__name__)


class RefusedError(RuntimeError):
    """A command is not obeyed; the text is one sentence for who sent it."""


@contextmanager
def commanded(source: Source, config: Config, parts: Parts) -> Iterator["Commanded"]:
    """Open the command leg of a run at ``stream.commands``.

    Raises
    ------
    AddressError
        The address cannot be bound, or other machines reach it and there are no keys.
    KeysError
        The keys cannot be used.
    """
    address = config.stream.commands
    assert address is not None
    if config.security.folder is None and not is_local(address.lstrip("@>")):
        raise AddressError(
            f"stream.commands = {address} is open to other machines without keys; run hexlive "
            'keys --out keys and set [security] keys = "keys", or listen on 127.0.0.1.'
        )
    endpoint = Endpoint(
        zmq.REP,
        address,
        bind=True,
        high_water_mark=QUEUED_COMMANDS,
        linger_ms=LINGER_MS,
        max_message_bytes=MAX_PART_BYTES,
        keys=config.security.folder,
    )
    with closing(endpoint):
        LOG.info("Commands are taken at %s.", endpoint.address)
        yield Commanded(source, endpoint, parts)


class Commanded:
    """A source with the commands of people between its messages.

    What is no command is counted in ``rejected`` as ``command_`` with the reason, a command that is
    not obeyed as ``command_refused``.
    """

    def __init__(self, source: Source, endpoint: Endpoint, parts: Parts) -> None:
        self.live = source.live
        self.rejected: Counter[str] = source.rejected
        self._source, self._endpoint, self._parts = source, endpoint, parts
        self._looked_s, self._broken = 0.0, False

    @property
    def queued(self) -> Queued:
        """What waits in the source."""
        return self._source.queued if isinstance(self._source, Queueing) else NONE_QUEUED

    def __iter__(self) -> Iterator[AnyMessage | None]:
        for message in self._source:
            yield message
            if (parts := self._next()) is not None:
                yield from self._answered(parts)

    def _next(self) -> list[bytes] | None:
        """What has come, one at a time and not at once, so that a flood costs nothing."""
        now_s = time.monotonic()
        if self._broken or now_s - self._looked_s < LOOK_S:
            return None
        self._looked_s = now_s
        socket = self._endpoint.socket
        with self._guarded():
            if refused := self._endpoint.refused():
                self.rejected["command_handshake"] = refused
            if socket.poll(0):
                return socket.recv_multipart()
        return None

    def _answered(self, parts: list[bytes]) -> Iterator[AnyMessage]:
        """Do what is asked, and say so once it is done."""
        try:
            command = decode_command(parts)
        except WireError as error:
            self._refuse(f"command_{error.reason}", f"This is no command ({error}).")
            return
        kind = type(command).__name__
        try:
            self._check_series(command)
            messages, sentence = self._obeyed(command)
        except (RefusedError, ScanError) as error:
            LOG.warning("%s is refused: %s", kind, error)
            self._refuse("command_refused", str(error))
            return
        yield from messages  # the run has taken them when it asks for more
        LOG.info("%s: %s", kind, sentence)
        self._say(Answer(done=True, sentence=sentence))

    def _check_series(self, command: Command) -> None:
        series = self._parts.ledger.series
        if series is None:
            raise RefusedError("No series is running.")
        if command.series != series:
            raise RefusedError(f"Series {command.series} is not running, but {series} is.")

    def _obeyed(self, command: Command) -> tuple[list[AnyMessage], str]:
        """What a command brings into the stream, and what is done."""
        match command:
            case MarkState(label=label, series=series):
                if len(self._parts.marks.snapshot().marks) >= MOST_MARKS:
                    raise RefusedError(f"There are {MOST_MARKS} marks already.")
                mark = Mark(series=series, label=label, time_s=time.time())
                return [mark], f"Marked {label!r}."
            case ResetWindow():
                self._parts.compton.restart_recent()
                return [], "The map of the last seconds begins again."
            case ReconstructNow(scan=number):
                n_images = self._parts.tomography.end_now(number)
                end = self._parts.ledger.end_of_scan(n_images)
                if end is None:
                    raise RefusedError(f"CT scan {number} has ended already.")
                return [end], f"CT scan {number} is reconstructed from {n_images} images."

    def _refuse(self, reason: str, sentence: str) -> None:
        self.rejected[reason] += 1
        self._say(Answer(done=False, sentence=sentence))

    def _say(self, answer: Answer) -> None:
        """Answer, unless whoever asked has gone."""
        with self._guarded():
            self._endpoint.socket.send(encode(answer), zmq.NOBLOCK)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """No command may end a run."""
        try:
            yield
        except zmq.ZMQError as error:
            self._broken = True
            LOG.error("Commands are no longer taken (%s); the run goes on.", error)
