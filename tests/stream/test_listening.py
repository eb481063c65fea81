"""``hexlive doctor --stream`` says OK, silent, or what is wrong."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from hexlive.stream.config import Config, SecuritySettings
from hexlive.stream.keys import make_keys
from hexlive.stream.listening import examine_stream
from hexlive.stream.model import End
from hexlive.stream.publisher import Publisher
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.wire import encode

PATIENCE_S = 10.0


@contextmanager
def publishing(parts: list[bytes]) -> Iterator[str]:
    """A publisher that says the same over and over."""
    done = threading.Event()
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        def work() -> None:
            while not done.wait(0.02):
                socket.send_multipart(parts)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            done.set()
            thread.join()


@pytest.fixture
def snapshot_parts(
    source, config: Config, calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[bytes]:
    """The bytes of the last snapshot of a run."""
    kept: list[list[bytes]] = []
    send = Publisher._send

    def keep(publisher: Publisher) -> None:
        if publisher._last is not None:
            kept.append([bytes(part) for part in encode(publisher._last)])
        send(publisher)

    monkeypatch.setattr(Publisher, "_send", keep)
    outputs = Outputs(result=tmp_path / "r.nxs", publish="tcp://127.0.0.1:*")
    run_session(source, config, calibration, outputs)
    return kept[-1]


def test_a_run_is_ok_with_its_rate_shape_and_losses(snapshot_parts: list[bytes]) -> None:
    with publishing(snapshot_parts) as address:
        finding = examine_stream(address, PATIENCE_S)
    assert finding.verdict == "OK", finding.detail
    assert "12 x 10 pixels" in finding.detail
    assert "1,152 received, 0 missing" in finding.detail


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([b"hello"], "not hexlive's"),
        ([bytes(part) for part in encode(End(series="s", last_frame=1))], "no display leg"),
    ],
)
def test_what_is_no_display_leg_is_said(parts: list[bytes], says: str) -> None:
    with publishing(parts) as address:
        finding = examine_stream(address, PATIENCE_S)
    assert finding.verdict == "ERROR"
    assert says in finding.detail


def test_nobody_and_silence_are_told_apart(free_addresses: list[str]) -> None:
    finding = examine_stream(free_addresses[0], 0.2)
    assert (finding.verdict, "nobody listens" in finding.detail) == ("absent", True)
    with zmq.Context() as context, context.socket(zmq.PULL) as data_leg:
        port = data_leg.bind_to_random_port("tcp://127.0.0.1")
        finding = examine_stream(f"tcp://127.0.0.1:{port}", 0.5)
        assert (finding.verdict, "silent" in finding.detail) == ("absent", True)
        assert "stream.publish" in finding.detail


@pytest.mark.parametrize(
    ("address", "says"),
    [("ipc://{tmp}/nobody", "silent"), ("tcp://[::1:5555", "nobody listens at tcp://[::1:5555")],
)
def test_an_address_of_any_kind_is_one_sentence(tmp_path: Path, address: str, says: str) -> None:
    finding = examine_stream(address.format(tmp=tmp_path), 0.1)
    assert (finding.verdict, says in finding.detail) == ("absent", True)


def test_keys_that_are_missing_are_no_silence_that_nobody_explains(
    tmp_path: Path, config: Config
) -> None:
    make_keys(tmp_path / "keys", ["screen"])
    keys = SecuritySettings(keys=str(tmp_path / "keys"))
    leg = Publisher("tcp://127.0.0.1:*", replace(config, security=keys))
    try:
        finding = examine_stream(leg.address, 1.0)
    finally:
        leg.close()
    assert finding.verdict != "OK"
    assert "turns us away" in finding.detail


def test_the_command_says_it_and_fails_where_nothing_is(hexlive, free_addresses) -> None:
    code, said = hexlive("doctor", "--stream", free_addresses[0], "--timeout", "0.2")
    assert code == 1
    assert said.startswith("absent stream")
