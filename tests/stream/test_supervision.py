"""A display leg that breaks down is opened again, and the run does not notice."""

import time
from typing import Any

import pytest
import zmq

from hexlive.monitor.client import Client
from hexlive.stream.pipeline import Report
from hexlive.stream.publisher import Publisher
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sockets import AddressError
from hexlive.stream.supervision import SupervisedPublisher

PATIENCE_S = 20.0


def publish_until_heard(publisher: SupervisedPublisher, report: Report, client: Client) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while client.latest() is None:
        assert time.monotonic() < deadline
        publisher.put(report)
        time.sleep(0.02)


def test_a_socket_that_dies_is_opened_again_and_monitors_hear_of_it_no_more_than_that(
    source, config, calibration, tmp_path, caplog
) -> None:
    report = run_session(source, config, calibration, Outputs(result=tmp_path / "r.nxs")).report
    opened: list[Publisher] = []

    def open_at(address: str) -> Publisher:
        opened.append(Publisher(address, config))
        return opened[-1]

    publisher = SupervisedPublisher(open_at, "tcp://127.0.0.1:*")
    with Client(publisher.address) as client:
        for n_failed in (1, 2):
            publish_until_heard(publisher, report, client)
            opened[-1]._endpoint.socket.close()
            publisher.put(report)
            assert publisher.n_failed == n_failed
        publish_until_heard(publisher, report, client)
    publisher.close()
    assert len(opened) == 3
    assert caplog.text.count("Publishing failed") == 1
    assert "Snapshots not published: 2." in caplog.text


def test_whatever_goes_wrong_in_publishing_does_not_end_the_run(
    source, config, calibration, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Publisher, report: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Publisher, "put", broken)
    outputs = Outputs(result=tmp_path / "r.nxs", publish="tcp://127.0.0.1:*")
    outcome = run_session(source, config, calibration, outputs)
    assert outcome.report.totals.lost == 0
    assert outputs.result.exists()


def test_a_port_that_was_taken_in_between_is_tried_again(
    source, config, calibration, tmp_path
) -> None:
    report = run_session(source, config, calibration, Outputs(result=tmp_path / "r.nxs")).report
    publisher = SupervisedPublisher(lambda at: Publisher(at, config), "tcp://127.0.0.1:*")
    assert publisher._publisher is not None
    publisher._publisher.close()
    publisher.put(report)
    with zmq.Context() as context, context.socket(zmq.PUB) as taken:
        taken.bind(publisher.address)
        publisher.put(report)
    with Client(publisher.address) as client:
        publish_until_heard(publisher, report, client)
    assert publisher.n_failed >= 2
    publisher.close()


def test_an_address_that_cannot_be_bound_at_first_is_an_error(config) -> None:
    with pytest.raises(AddressError):
        SupervisedPublisher(lambda at: Publisher(at, config), "tcp://127.0.0.1:x")
