"""Keeping the workers busy: batches of the next recordings are handed out while one is finished."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hexlive.kernels.backend import Counts
from hexlive.stream.calibration import Calibration
from hexlive.stream.campaign.book import Entry
from hexlive.stream.campaign.cluster import ClusterError
from hexlive.stream.campaign.counting import Recorded, Rules, count_batch
from hexlive.stream.campaign.plan import Batch
from hexlive.stream.config import Config
from hexlive.stream.recordings import FileSource

if TYPE_CHECKING:
    from distributed import Client

PER_THREAD: Final = 2  # batches that are with the workers: one is counted, one waits
MORE: Final = 2  # and some whose counts are on their way
POLL_S: Final = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """What it takes to count a recording, and to make a result of the counts."""

    recorded: Recorded
    source: FileSource
    config: Config
    calibration: Calibration
    rules: Rules
    batches: list[Batch]


@dataclass(kw_only=True, eq=False)
class Job:
    """One recording.

    Attributes
    ----------
    entry
        What is known of it; how it failed, if it cannot be counted.
    work
        None: it cannot.
    over, futures
        Whether it is finished, and the batches that are under way.
    """

    entry: Entry
    work: Work | None
    over: bool = False
    futures: "deque[Any]" = field(default_factory=deque)


class Ahead:
    """Hands out the batches of all jobs in order, so many at a time that no worker waits.

    Parameters
    ----------
    jobs
        Made when their turn comes, which may be long before they are finished.
    resources
        What a worker must have, by Dask's names.
    should_stop
        Asked while waiting.
    """

    def __init__(
        self,
        client: "Client",
        jobs: Iterable[Job],
        resources: dict[str, float],
        should_stop: Callable[[], bool],
    ) -> None:
        self._client, self._resources, self._should_stop = client, resources, should_stop
        self._made: deque[Job] = deque()
        self._n_out = 0
        self._rules: tuple[Rules, Any] | None = None
        self._work = self._all_work(jobs)

    def __iter__(self) -> Iterator[Job]:
        """The jobs in order; what is still under way of one is given up with the next."""
        while True:
            self._fill()
            if not self._made:
                return
            job = self._made.popleft()
            try:
                yield job
            finally:
                self._drop(job)

    def take(self, job: Job) -> Counts:
        """Wait for the counts of the next batch of a job.

        Raises
        ------
        InterruptedError
            A stop was asked for.
        ClusterError
            The scheduler is gone.
        RuntimeError
            The batch took worker after worker with it.
        Exception
            Whatever the worker raised.
        """
        from distributed import CancelledError, KilledWorker

        self._fill()
        future = job.futures.popleft()
        self._n_out -= 1
        try:
            done = threading.Event()
            future.add_done_callback(lambda _: done.set())
            while not done.wait(POLL_S):
                if self._should_stop():
                    raise InterruptedError("Stopped while waiting for the cluster.")
            counts: Counts = future.result()
        except KilledWorker as error:
            raise RuntimeError(
                "Workers that counted it died, one after another: give them more --memory-mb, or "
                "smaller batches with --batch."
            ) from error
        except CancelledError as error:
            raise ClusterError("The Dask scheduler is gone.") from error
        finally:
            future.cancel()
        self._fill()
        return counts

    def _drop(self, job: Job) -> None:
        job.over = True
        self._n_out -= len(job.futures)
        while job.futures:
            job.futures.popleft().cancel()

    def _all_work(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Work, Batch]]:
        for job in jobs:
            self._made.append(job)
            for batch in job.work.batches if job.work else ():
                if job.over:
                    break
                assert job.work is not None
                yield job, job.work, batch

    def _fill(self) -> None:
        n_threads = sum(self._client.nthreads().values())
        while self._n_out < PER_THREAD * n_threads + MORE:
            if (next_one := next(self._work, None)) is None:
                return
            job, work, batch = next_one
            future = self._client.submit(
                count_batch,
                work.recorded,
                batch,
                self._shared(work.rules),
                pure=False,
                resources=self._resources or None,
            )
            job.futures.append(future)
            self._n_out += 1

    def _shared(self, rules: Rules) -> Any:
        """The rules as a task of its own: each worker gets them once, and a new one again."""
        if self._rules is None or self._rules[0] is not rules:
            self._rules = rules, self._client.submit(_same, rules, pure=False)
        return self._rules[1]


def _same(rules: Rules) -> Rules:
    return rules
