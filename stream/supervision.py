"""A display leg that is opened again when it fails: no screen may end a run."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import zmq

from hexlive.stream.pipeline import Report
from hexlive.stream.publisher import Publisher

LOG: Final = logging.getLogger(__name__)


class SupervisedPublisher:
    """A publisher in whose place another is opened when it fails.

    Parameters
    ----------
    opened
        Opens one at an address.
    address
        Where; the port that was found free at first is kept.

    Attributes
    ----------
    n_failed
        Snapshots that were not published.

    Raises
    ------
    AddressError
        The address cannot be bound at first.
    """

    def __init__(self, opened: Callable[[str], Publisher], address: str) -> None:
        self._opened = opened
        self._publisher: Publisher | None = opened(address)
        self.address, self.n_failed = self._publisher.address, 0

    def put(self, report: Report) -> None:
        """Publish a report, or count that it could not be."""
        if self._publisher is None:
            self._try(self._open)
        if (publisher := self._publisher) is not None:
            self._try(lambda: publisher.put(report))

    def fail(self, why: str) -> None:
        """Tell monitors that the run has ended in an error."""
        if (publisher := self._publisher) is not None:
            self._try(lambda: publisher.fail(why))

    def close(self) -> None:
        """Let the last snapshot out, then close."""
        if self._publisher is not None:
            self._try(self._publisher.close)
        if self.n_failed:
            LOG.warning("Snapshots not published: %d.", self.n_failed)

    def _open(self) -> None:
        self._publisher = self._opened(self.address)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever it was: the data leg goes on
            if not self.n_failed:
                LOG.error("Publishing failed (%s). It is tried again; the run goes on.", error)
            self.n_failed += 1
            broken, self._publisher = self._publisher, None
            if broken is not None:
                with suppress(zmq.ZMQError):
                    broken.close()
