"""An EPICS client reads the maps that the run has."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("p4p")
from p4p.client.thread import Context

from hexlive.stream.interop.epics import MapServer
from hexlive.stream.results import ComptonResult
from hexlive.stream.session import Outputs, run_session

PREFIX = "HEXLIVE-TEST:"
PATIENCE_S = 20.0


@pytest.fixture
def server(config, monkeypatch: pytest.MonkeyPatch) -> Iterator[MapServer]:
    for name in ("SERVER", "BROADCAST"):  # any port that is free
        monkeypatch.setenv(f"EPICS_PVAS_{name}_PORT", "0")
    interface = config.facility.pva_interface
    with closing(MapServer(PREFIX, interface, config.detector.shape)) as server:
        yield server


@pytest.fixture
def client(server: MapServer) -> Iterator[Context]:
    with Context("pva", conf=server.conf, useenv=False) as context:
        yield context


def test_a_client_reads_the_maps_of_the_latest_report(
    server, client, long_source, config, calibration, tmp_path
) -> None:
    outcome = run_session(
        long_source, config, calibration, Outputs(result=tmp_path / "r.nxs"), progress=server
    )
    compton = outcome.report.find(ComptonResult)
    assert np.isfinite(compton.emf.emf).any()
    wanted = {
        "emf": compton.emf.emf,
        "emf_sigma": compton.emf.sigma,
        "compton_counts": compton.compton_counts,
    }
    for name, array in wanted.items():
        read = client.get(PREFIX + name, timeout=PATIENCE_S)
        np.testing.assert_array_equal(np.asarray(read), array)
        assert read.attrib["segment"] == compton.segment.number == 6
        assert read.attrib["series"] == "series"
        assert read.raw["uniqueId"] > 0


def test_before_the_first_report_the_maps_are_undefined(client, config) -> None:
    read = client.get(PREFIX + "emf", timeout=PATIENCE_S)
    assert read.shape == config.detector.shape
    assert np.isnan(np.asarray(read)).all()


def test_a_client_cannot_write(client) -> None:
    with pytest.raises(Exception, match=r"(?i)put"):
        client.put(PREFIX + "emf", np.zeros((2, 2)), timeout=PATIENCE_S)


def test_only_loopback_is_served_by_default(server) -> None:
    assert server.conf["EPICS_PVAS_INTF_ADDR_LIST"] == "127.0.0.1"
