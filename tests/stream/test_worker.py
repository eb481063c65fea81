"""A process that dies is replaced, and what it says of its progress is heard."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import pytest

from hexlive.stream.worker import Progress, Worker, failed, report_progress

PATIENCE_S = 60.0
MAX_NICENESS = 19


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(3)
    yield worker
    worker.close()


def work_halfway(seconds: float) -> None:
    report_progress(0)
    time.sleep(0.1)
    report_progress(0.5)
    time.sleep(seconds)


def wait_for(worker: Worker, fraction: float) -> Progress:
    deadline = time.monotonic() + PATIENCE_S
    while (said := worker.progress).fraction != fraction:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return said


def test_calls_run_in_order_behind_the_spectra(worker: Worker) -> None:
    niceness = os.nice(0)
    first, second = worker.submit(os.nice, 0), worker.submit(os.getpid)
    assert first.result(PATIENCE_S) >= min(niceness + 3, MAX_NICENESS)
    assert second.result(PATIENCE_S) != os.getpid()


def test_a_call_says_how_far_it_has_come_and_how_long_it_takes(worker: Worker) -> None:
    assert worker.progress == (None, None)
    worker.submit(work_halfway, 0.5)
    said = wait_for(worker, 0.5)
    assert said.eta_s is not None
    assert 0.1 <= said.eta_s < PATIENCE_S


def test_a_process_that_dies_fails_its_call_and_is_replaced(worker: Worker) -> None:
    pid = worker.submit(os.getpid).result(PATIENCE_S)
    call = worker.submit(time.sleep, PATIENCE_S)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(call.exception(PATIENCE_S), BrokenProcessPool)
    assert failed(call)
    assert worker.submit(os.getpid).result(PATIENCE_S) != pid


def test_killing_ends_a_call_in_the_middle(worker: Worker) -> None:
    call = worker.submit(work_halfway, PATIENCE_S)
    wait_for(worker, 0.5)
    worker.kill()
    assert failed(call)
    assert not multiprocessing.active_children()


def test_killing_before_the_process_is_there_is_no_error(worker: Worker) -> None:
    worker.kill()
    call = worker.submit(os.getpid)
    worker.kill()
    assert call.done()


def test_progress_outside_a_worker_is_said_to_nobody() -> None:
    report_progress(0.5)
