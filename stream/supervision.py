"""A display leg that is opened again when it fails: no screen, and no archiver, may end a run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import zmq

from hexlive.stream.config import Config
from hexlive.stream.pipeline import Report, Sink
from hexlive.stream.publisher import Publisher
from hexlive.stream.storage import Storage

LOG: Final = logging.getLogger(__name__)


class SupervisedPublisher:
    """A publisher that is opened again when it fails, at the port that was found free at first.

    Attributes
    ----------
    n_failed
        Snapshots that were not published.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher, self._broken = publisher, False
        self.address, self.n_failed = publisher.address, 0

    def put(self, report: Report) -> None:
        """Publish a report, or count that it could not be."""
        if self._broken:
            self._broken = False
            self._try(self._publisher.reopen)
        if not self._broken:
            self._try(lambda: self._publisher.put(report))

    def fail(self, why: str) -> None:
        """Tell monitors that the run has ended in an error."""
        if not self._broken:
            self._try(lambda: self._publisher.fail(why))

    def close(self) -> None:
        """Let the last snapshot out, then close."""
        if not self._broken:
            self._try(self._publisher.close)
        if self.n_failed:
            LOG.warning("Snapshots not published: %d.", self.n_failed)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever it was: the data leg goes on
            if not self.n_failed:
                LOG.error("Publishing failed (%s). It is tried again; the run goes on.", error)
            self.n_failed += 1
            self._broken = True
            with suppress(zmq.ZMQError):
                self._publisher.close()


@contextmanager
def display_leg(
    address: str, config: Config, storage: Callable[[], Storage]
) -> Iterator[SupervisedPublisher]:
    """A publisher that tells its monitors when the run ends in an error."""
    publisher = SupervisedPublisher(Publisher(address, config, storage))
    try:
        yield publisher
    except Exception as error:
        publisher.fail(str(error))
        raise
    finally:
        publisher.close()


class Guarded:
    """A sink for others than monitors: when it fails, that is said, and the run goes on without."""

    def __init__(self, sink: Sink[Report]) -> None:
        self._sink, self._broken = sink, False

    def put(self, report: Report) -> None:
        """Pass a report on, until that fails."""
        if self._broken:
            return
        try:
            self._sink.put(report)
        except Exception as error:  # whatever it was: the data leg goes on
            self._broken = True
            LOG.error("%s failed (%s); the run goes on without.", type(self._sink).__name__, error)

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
