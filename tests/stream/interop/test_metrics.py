"""Prometheus reads over HTTP what the run knows."""

import urllib.request
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families

from hexlive.stream.config import Config
from hexlive.stream.inbox import Queued
from hexlive.stream.interop.metrics import MetricsServer
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.ledger import Ledger
from hexlive.stream.pipeline import Report
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sockets import AddressError


def read(address: str) -> dict[str, float]:
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {
        sample.name + "".join(f"_{value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def served():
    with closing(MetricsServer("127.0.0.1", 0, lambda: "recording")) as server:
        yield server


def test_before_the_first_report_there_is_nothing(served) -> None:
    assert read(served.address) == {}


def test_every_number_of_a_run_is_there(
    served, lossy_source, config: Config, calibration, tmp_path
) -> None:
    lossy_source.rejected = Counter(header=2, dtype=1)
    outcome = run_session(
        lossy_source, config, calibration, Outputs(result=tmp_path / "r.nxs"), progress=served
    )
    numbers = read(served.address)
    totals = outcome.report.totals
    assert numbers["hexlive_frames_expected_total"] == totals.expected == 1152
    assert numbers["hexlive_frames_received_total"] == totals.received
    assert numbers["hexlive_frames_missing"] == totals.lost == 192
    assert numbers["hexlive_rejected_total_header"] == 2
    assert numbers["hexlive_rejected_total_dtype"] == 1
    assert numbers["hexlive_live_time_s"] > 0
    assert 0.1 < numbers["hexlive_occupancy"] < 0.3
    assert numbers["hexlive_recorder_recording"] == 1
    assert numbers["hexlive_recorder_off"] == numbers["hexlive_recorder_stopped"] == 0
    assert numbers["hexlive_stopped"] == 1
    assert numbers["hexlive_report_age_s"] >= 0
    assert {"hexlive_emf", "hexlive_emf_sigma", "hexlive_frame_rate_hz"} < set(numbers)
    behind = replace(outcome.report, backlog_ms=12.5, queued=Queued(4096, 8192))
    served.put(behind)
    numbers = read(served.address)
    assert numbers["hexlive_backlog_ms"] == 12.5
    assert numbers["hexlive_queued_bytes"] == 4096


def test_any_failure_of_the_recorder_is_stopped() -> None:
    ledger = Ledger(None, 9000.0)
    report = Report(
        final=False, stopped=False, series="s", results=(), tally=ledger.tally(),
        totals=ledger.totals(), rejected=Counter(), rate_hz=0.0, backlog_ms=None,
    )  # fmt: skip
    sentence = "recording stopped: the disk is full"
    with closing(MetricsServer("127.0.0.1", 0, lambda: sentence)) as server:
        server.put(report)
        numbers = read(server.address)
    assert numbers["hexlive_recorder_stopped"] == 1
    assert numbers["hexlive_recorder_recording"] == 0
    assert "hexlive_backlog_ms" not in numbers


def test_a_port_in_use_is_one_sentence(served) -> None:
    port = int(served.address.split(":")[2].split("/")[0])
    with pytest.raises(AddressError, match=f"Cannot serve metrics at 127.0.0.1:{port}: .*in use"):
        MetricsServer("127.0.0.1", port, lambda: "off")


def test_a_live_run_serves_them_where_the_configuration_says(
    source, config: Config, calibration, tmp_path, caplog
) -> None:
    caplog.set_level("INFO")
    source.live = True
    seen: list[dict[str, float]] = []

    class Scraper:
        def put(self, report) -> None:
            address = caplog.text.split("metrics at ")[1].split()[0]
            seen.append(read(address))

        def close(self) -> None:
            """Nothing to close."""

    config = replace(config, facility=FacilitySettings(metrics_port=0))
    run_session(source, config, calibration, Outputs(result=tmp_path / "r.nxs"), progress=Scraper())
    assert seen[-1]["hexlive_frames_expected_total"] > 0
