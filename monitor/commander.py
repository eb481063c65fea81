"""Commands to a run and its answers, from a thread: the screen never waits. No Qt here."""

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import zmq

from hexlive.stream.control import Answer, Command, decode_answer, encode
from hexlive.stream.sockets import Endpoint
from hexlive.stream.wire import WireError

PATIENCE_S: Final = 5.0
POLL_MS: Final = 50


class Commander:
    """Sends one command at a time to the command leg of a run.

    Parameters
    ----------
    address
        What the run calls ``stream.commands``.
    keys
        Folder of CurveZMQ keys; None: none.

    Raises
    ------
    AddressError
        The address is malformed. That nobody listens there is no error.
    KeysError
        The keys cannot be used.
    """

    def __init__(self, address: str, keys: Path | None = None) -> None:
        self.address, self._keys = address, keys
        self._answer: Answer | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._open().close()

    @property
    def busy(self) -> bool:
        """A command is under way."""
        return self._thread is not None

    def send(self, command: Command) -> None:
        """Send a command, unless one is under way."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._ask, args=(command,), name="command", daemon=True
            )
            self._thread.start()

    def answer(self) -> Answer | None:
        """Take the answer; None as long as there is none."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        answer, self._answer = self._answer, None
        return answer

    def close(self) -> None:
        """Wait for no answer any more."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _open(self) -> Endpoint:
        return Endpoint(zmq.REQ, self.address, bind=False, high_water_mark=1, keys=self._keys)

    def _ask(self, command: Command) -> None:
        try:
            with closing(self._open()) as endpoint:
                endpoint.socket.send(encode(command))
                self._answer = self._awaited(endpoint)
        except (WireError, ValueError, zmq.ZMQError) as error:
            self._answer = Answer(done=False, sentence=f"The answer cannot be used: {error}")

    def _awaited(self, endpoint: Endpoint) -> Answer:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and not self._closing.is_set():
            if endpoint.socket.poll(POLL_MS):
                return decode_answer(endpoint.socket.recv_multipart())
        return Answer(
            done=False,
            sentence=f"No answer from {self.address} within {PATIENCE_S:g} s; is it "
            "stream.commands of the run, and are these its keys? The log of the run says whether "
            "it was done.",
        )
