"""What the configuration names of a facility is opened for a live run, or refused in a sentence."""

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hexlive.stream.config import Config, ConfigError, load_config
from hexlive.stream.interop.facility import refuse_missing, reported, watched
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.interop.watch import WatchedTomography
from hexlive.stream.sockets import AddressError


class NoTomography:
    """Has nothing to reconstruct."""

    busy = False

    def add(self, message) -> None:
        """Nothing to take."""


def facility(config: Config, **named: object) -> Config:
    return replace(config, facility=FacilitySettings(**named))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("stomp = 'localhost'", "facility.stomp is host:port, such as localhost:61613"),
        ("stomp = 'localhost:0'", "facility.stomp is host:port"),
        ("stomp = 'localhost:x'", "facility.stomp is host:port"),
        ("metrics_port = 70000", "facility.metrics_port must be a port, not 70000"),
        ("stomp_user = 'guest'", "go together"),
        ("stomp_password = 'x'", "Did you mean 'stomp_password_file'"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_sentence(tmp_path, table, sentence) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[facility]\n{table}\n")
    with pytest.raises(ConfigError, match=sentence):
        load_config(path)


@pytest.mark.parametrize(
    ("named", "module", "package"),
    [
        ({"metrics_port": 0}, "metrics", "prometheus_client"),
        ({"pva_prefix": "X:"}, "epics", "p4p.nt"),
        ({"stomp": "127.0.0.1:61613"}, "broker", "stomp"),
    ],
)
def test_a_missing_package_is_named_with_its_extra_before_anything_is_opened(
    config, monkeypatch, named, module, package
) -> None:
    monkeypatch.delitem(sys.modules, f"hexlive.stream.interop.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"facility\.{next(iter(named))} needs {package}: pip install 'hexlive\[facility\]'"
    with pytest.raises(ConfigError, match=wanted):
        refuse_missing(FacilitySettings(**named))


def test_a_run_that_needs_a_missing_package_does_not_begin_to_listen(
    hexlive, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "hexlive.stream.interop.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    (tmp_path / "c.toml").write_text("[facility]\nmetrics_port = 0\n")
    code, said = hexlive("run", "--config", tmp_path / "c.toml", "--calibrated")
    assert code == 1
    assert said.startswith("hexlive: facility.metrics_port needs prometheus_client")
    assert len(said.splitlines()) == 1


def test_nothing_is_opened_that_is_not_named(config) -> None:
    with reported(config, str) as sinks:
        assert sinks == []
    tomography = NoTomography()
    with watched(tomography, config, []) as reducer:
        assert reducer is tomography


def test_a_broker_without_a_folder_is_refused(config) -> None:
    with (
        pytest.raises(ConfigError, match=r"facility\.stomp needs tomography\.watch"),
        watched(NoTomography(), facility(config, stomp="127.0.0.1:61613"), []),
    ):
        pass


def test_the_folder_of_the_products_is_not_watched(config, tmp_path: Path) -> None:
    config = replace(config, tomography=replace(config.tomography, watch=f"{tmp_path}/."))
    for products in ([tmp_path / "result.nxs", None], [Path("r.nxs"), tmp_path / "recording.h5"]):
        with (
            pytest.raises(ConfigError, match=r"tomography\.watch, .* is where this run writes"),
            watched(NoTomography(), config, products),
        ):
            pass


def test_a_broker_is_listened_to_for_a_folder(config, tmp_path: Path) -> None:
    pytest.importorskip("stomp")
    config = replace(config, tomography=replace(config.tomography, watch=str(tmp_path)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        named = facility(config, stomp=f"127.0.0.1:{server.getsockname()[1]}")
        with watched(NoTomography(), named, []) as reducer:
            assert isinstance(reducer, WatchedTomography)
            connection, _ = server.accept()
            with connection:
                assert connection.recv(64).startswith(b"STOMP\n")


def test_what_was_opened_is_closed_when_the_next_cannot_be(config) -> None:
    pytest.importorskip("prometheus_client")
    pytest.importorskip("p4p")
    named = facility(config, pva_prefix="X:", metrics_port=0, metrics_interface="192.0.2.1")
    with pytest.raises(AddressError, match=r"metrics at 192\.0\.2\.1"), reported(named, str):
        pass


def test_an_address_that_others_reach_is_warned_of(config, caplog) -> None:
    pytest.importorskip("prometheus_client")
    with reported(facility(config, metrics_port=0, metrics_interface="0.0.0.0"), str):
        assert "the metrics can be read by anyone who reaches 0.0.0.0" in caplog.text
