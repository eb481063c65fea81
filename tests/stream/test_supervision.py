"""A display leg that breaks down is opened again, and the run does not notice."""

import time
from dataclasses import replace
from typing import Any

import pytest
import zmq

from hexlive.monitor.client import Client
from hexlive.stream.pipeline import Report
from hexlive.stream.publisher import Publisher
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sockets import AddressError
from hexlive.stream.supervision import Guarded, SupervisedPublisher

PATIENCE_S = 20.0


def publish_until_heard(publisher: SupervisedPublisher, report: Report, client: Client) -> int:
    """Sequence number of the snapshot that was heard."""
    deadline = time.monotonic() + PATIENCE_S
    while (heard := client.latest()) is None:
        assert time.monotonic() < deadline
        publisher.put(report)
        time.sleep(0.02)
    return heard.sequence


def test_a_socket_that_dies_is_opened_again_and_monitors_hear_of_it_no_more_than_that(
    source, config, calibration, tmp_path, caplog
) -> None:
    report = run_session(source, config, calibration, Outputs(result=tmp_path / "r.nxs")).report
    inner = Publisher("tcp://127.0.0.1:*", config)
    publisher = SupervisedPublisher(inner)
    sequences = []
    with Client(publisher.address) as client:
        for n_failed in (1, 2):
            sequences.append(publish_until_heard(publisher, report, client))
            inner._endpoint.socket.close()
            publisher.put(report)
            assert publisher.n_failed == n_failed
        sequences.append(publish_until_heard(publisher, report, client))
    publisher.close()
    assert inner.address == publisher.address
    assert sequences == sorted(sequences)
    assert sequences[0] < sequences[-1]
    assert caplog.text.count("Publishing failed") == 1
    assert "Snapshots not published: 2." in caplog.text


def test_what_was_advised_before_is_no_news_after_a_breakdown(
    source, config, calibration, tmp_path
) -> None:
    """A scan control acts on each number once."""
    report = run_session(source, config, calibration, Outputs(result=tmp_path / "r.nxs")).report
    loud = replace(report, suspicions=("Frames come twice.",))
    inner = Publisher("tcp://127.0.0.1:*", config)
    publisher = SupervisedPublisher(inner)
    publisher.put(loud)
    before = inner._advice
    assert "series" in {item.subject for item in before}
    inner._endpoint.socket.close()
    publisher.put(loud)
    publisher.put(loud)
    publisher.close()
    assert publisher.n_failed == 1
    assert inner._advice == before


@pytest.mark.parametrize("defect", [RuntimeError("no more"), KeyError("a defect")])
def test_a_sink_that_breaks_down_is_said_once_and_the_run_goes_on(
    source, config, calibration, tmp_path, caplog, defect: Exception
) -> None:
    class Archiver:
        def put(self, report: Report) -> None:
            raise defect

        def close(self) -> None:
            pass

    outputs = Outputs(result=tmp_path / "r.nxs")
    guarded = Guarded(Archiver())
    outcome = run_session(source, config, calibration, outputs, progress=guarded)
    assert outcome.report.totals == (1152, 1152)
    assert outputs.result.exists()
    assert caplog.text.count("Archiver failed") == 1


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
    inner = Publisher("tcp://127.0.0.1:*", config)
    publisher = SupervisedPublisher(inner)
    inner.close()
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
        Publisher("tcp://127.0.0.1:x", config)
