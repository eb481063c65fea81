"""Closed by default: only listed keys come in, and whatever else knocks reaches no decoder."""

import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zmq

from hexlive.stream.config import Config
from hexlive.stream.keys import KeysError, client_keys, make_keys, secure, server_keys
from hexlive.stream.model import Frames
from hexlive.stream.sending import ZmqSender
from hexlive.stream.sockets import AddressError, Endpoint, is_local
from hexlive.stream.sources import ZmqSource
from hexlive.stream.wire import encode

PATIENCE_S = 20.0
KNOCK_MS = 300
FRAMES = Frames(series="s", first_frame=0, timestamp_s=0.0, frames=np.zeros((8, 80, 80), np.uint16))
KNOCKS = {
    "tls": bytes.fromhex("1603010200010001fc0303") + b"\x55" * 508,
    "http": b"GET / HTTP/1.1\r\nHost: beamline\r\n\r\n",
    "nothing": b"",
    "ones": b"\xff" * 300,
    "old greeting": b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + b"\x00" * 48,
}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    make_keys(folder, ["camera"])
    return folder


@pytest.fixture
def strangers(keys: Path, tmp_path: Path) -> dict[str, Path | None]:
    """Ends that must not come in, by what is wrong with them."""
    other, unlisted = tmp_path / "other", tmp_path / "unlisted"
    make_keys(other, ["camera"])
    make_keys(unlisted, ["camera"])
    shutil.copy(keys / "server.key", unlisted / "server.key")
    return {"no keys": None, "another server": other, "a client that is not listed": unlisted}


@pytest.fixture
def source(keys: Path) -> Iterator[ZmqSource]:
    opened = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10, keys=keys)
    with closing(opened):
        yield opened


def push(address: str, keys: Path | None) -> None:
    """Try to bring in a valid message, as a sender of somebody else's making."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
        pusher.linger = 0
        if keys is not None:
            secure(pusher, keys, listening=False)
        pusher.connect(address)
        pusher.send_multipart(encode(FRAMES))
        time.sleep(KNOCK_MS / 1000)


def listen(source: ZmqSource, until: Callable[[int], bool]) -> int:
    """Number of messages that arrived until then."""
    arrived, deadline = 0, time.monotonic() + PATIENCE_S
    for message in source:
        arrived += message is not None
        if until(arrived):
            return arrived
        assert time.monotonic() < deadline, "waited in vain"
    return arrived


def assert_still_open_to_listed_keys(source: ZmqSource, keys: Path) -> None:
    with closing(ZmqSender(source.address, keys=keys)) as sender:
        assert sender.send(FRAMES)
        assert listen(source, lambda arrived: arrived == 1) == 1


def test_secret_keys_are_for_their_owner_only_and_never_overwritten(
    hexlive, tmp_path: Path
) -> None:
    folder = tmp_path / "keys"
    code, said = hexlive("keys", "--out", folder, "--client", "camera")
    assert code == 0, said
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(names) == {"server.key", "server.key_secret", "camera.key", "camera.key_secret"}
    assert {names["server.key_secret"], names["camera.key_secret"]} == {0o600}
    before = (folder / "server.key_secret").read_bytes()
    code, said = hexlive("keys", "--out", folder, "--client", "camera")
    assert code == 1
    assert "never overwritten" in said
    code, said = hexlive("keys", "--out", folder, "--client", "screen")
    assert code == 0, said
    assert (folder / "server.key_secret").read_bytes() == before
    assert len(server_keys(folder).peers) == 2


@pytest.mark.parametrize("name", ["server", "../door", "", "a b"])
def test_a_client_has_a_name_that_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeysError, match="no name of a client"):
        make_keys(tmp_path / "keys", [name])
    assert not list(tmp_path.rglob("*.key*"))


def test_a_file_is_no_folder_of_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    with pytest.raises(KeysError, match="keys is a file"):
        make_keys(tmp_path / "keys", ["camera"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
@pytest.mark.parametrize("name", ["server.key_secret", "camera.key_secret"])
def test_a_secret_that_others_can_read_is_refused(keys: Path, name: str, mode: int) -> None:
    (keys / name).chmod(mode)
    listening = name.startswith("server")
    with pytest.raises(KeysError, match=f"{name} can be read by others .*chmod 600"):
        server_keys(keys) if listening else client_keys(keys)


@pytest.mark.parametrize("of", [server_keys, client_keys])
def test_a_folder_that_others_can_add_keys_to_is_refused(keys: Path, of) -> None:
    keys.chmod(0o770)
    with pytest.raises(KeysError, match="can be changed by others"):
        of(keys)


@pytest.mark.parametrize("mode", [0o664, 0o646])
@pytest.mark.parametrize(("of", "name"), [(server_keys, "camera"), (client_keys, "server")])
def test_a_public_key_that_others_can_exchange_for_theirs_is_refused(
    keys: Path, of, name: str, mode: int
) -> None:
    (keys / f"{name}.key").chmod(0o644)
    of(keys)
    (keys / f"{name}.key").chmod(mode)
    with pytest.raises(KeysError, match=f"{name}.key can be changed by others .*chmod 600"):
        of(keys)


@pytest.mark.parametrize("bind", [True, False], ids=["server", "client"])
@pytest.mark.parametrize(
    "lacking", ["server.key", "server.key_secret", "camera.key", "camera.key_secret"]
)
def test_half_the_keys_are_an_error_and_never_an_open_door(
    keys: Path, lacking: str, bind: bool
) -> None:
    (keys / lacking).unlink()
    needed = {True: {"server.key_secret", "camera.key"}, False: {"server.key", "camera.key_secret"}}
    if lacking not in needed[bind]:
        server_keys(keys) if bind else client_keys(keys)
        return
    with pytest.raises(KeysError):
        Endpoint(zmq.PULL, "tcp://127.0.0.1:*", bind=bind, high_water_mark=1, keys=keys)


def test_a_damaged_key_is_an_error(keys: Path) -> None:
    (keys / "camera.key").write_text('curve\n    public-key = "short"\n')
    with pytest.raises(KeysError, match="damaged"):
        server_keys(keys)


def test_a_client_must_be_one(keys: Path) -> None:
    make_keys(keys, ["screen"])
    with pytest.raises(KeysError, match=r"not of 2 \(camera, screen\)"):
        client_keys(keys)


def test_listed_keys_come_in(source: ZmqSource, keys: Path) -> None:
    assert_still_open_to_listed_keys(source, keys)
    assert not source.rejected


@pytest.mark.parametrize("who", ["no keys", "another server", "a client that is not listed"])
def test_whoever_is_not_listed_reaches_no_decoder_and_is_counted(
    source: ZmqSource, keys: Path, strangers: dict[str, Path | None], who: str
) -> None:
    push(source.address, strangers[who])
    assert listen(source, lambda _: source.rejected["handshake"] > 0) == 0
    assert source.queued.most_bytes == 0
    assert set(source.rejected) == {"handshake"}
    assert_still_open_to_listed_keys(source, keys)


def test_without_keys_the_same_push_does_come_in() -> None:
    with closing(ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)) as source:
        push(source.address, None)
        assert listen(source, lambda arrived: arrived == 1) == 1


@pytest.mark.parametrize("knock", KNOCKS.values(), ids=KNOCKS)
def test_bytes_of_another_protocol_reach_no_decoder(
    source: ZmqSource, keys: Path, knock: bytes
) -> None:
    host, port = source.address.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(knock)
        time.sleep(0.05)
    assert_still_open_to_listed_keys(source, keys)
    assert set(source.rejected) <= {"handshake"}
    assert source.queued.most_bytes == sum(len(part) for part in encode(FRAMES))


def test_the_door_stays_closed_when_the_authenticator_is_gone(keys: Path) -> None:
    endpoint = Endpoint(zmq.PULL, "tcp://127.0.0.1:*", bind=True, high_water_mark=4, keys=keys)
    with closing(endpoint):
        push(endpoint.address, keys)
        assert endpoint.socket.poll(KNOCK_MS)
        endpoint.socket.recv_multipart()
        endpoint._authenticator.stop()
        push(endpoint.address, keys)
        assert not endpoint.socket.poll(KNOCK_MS)


def test_the_display_leg_shows_nothing_to_whoever_is_not_listed(
    keys: Path, strangers: dict[str, Path | None]
) -> None:
    endpoint = Endpoint(zmq.PUB, "tcp://127.0.0.1:*", bind=True, high_water_mark=2, keys=keys)
    with closing(endpoint), zmq.Context() as context:
        ears = {name: context.socket(zmq.SUB) for name in ("listed", *strangers)}
        for name, ear in ears.items():
            folder = keys if name == "listed" else strangers[name]
            if folder is not None:
                secure(ear, folder, listening=False)
            ear.subscribe(b"")
            ear.connect(endpoint.address)
        deadline = time.monotonic() + PATIENCE_S
        while not ears["listed"].poll(20) and time.monotonic() < deadline:
            endpoint.socket.send(b"snapshot")
        heard = {name for name, ear in ears.items() if ear.poll(KNOCK_MS // 3)}
        for ear in ears.values():
            ear.close(0)
        assert heard == {"listed"}
        assert endpoint.refused() >= 3


def test_a_door_to_other_machines_without_keys_is_said_with_the_remedy(
    caplog: pytest.LogCaptureFixture, keys: Path
) -> None:
    elsewhere = "tcp://192.0.2.1:5555"  # of nobody, so that nothing is opened here
    with pytest.raises(AddressError):
        ZmqSource(elsewhere, high_water_mark_mb=1)
    (warned,) = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert "listens to other machines without keys" in warned
    assert "hexlive keys --out" in warned
    caplog.clear()
    with pytest.raises(AddressError):
        ZmqSource(elsewhere, high_water_mark_mb=1, keys=keys)
    with closing(ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=1)):
        assert not caplog.records


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.8.0.1:*", True),
        ("tcp://[::1]:5555", True),
        ("tcp://localhost:5555", True),
        ("ipc:///tmp/hexlive", True),
        ("tcp://*:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://10.0.0.7:5555", False),
    ],
)
def test_what_other_machines_can_reach_is_known(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_by_default_both_legs_are_local() -> None:
    stream = Config().stream
    assert is_local(stream.input)
    assert is_local(stream.publish)


def test_a_stream_with_keys_is_recorded_and_one_without_is_not(
    hexlive, keys: Path, tmp_path: Path, free_addresses: list[str]
) -> None:
    address, out = free_addresses[0], tmp_path / "copy.h5"
    command = [
        sys.executable, "-m", "hexlive.stream.cli", "record", "--from", address, "--out", out,
        "--keys", keys,
    ]  # fmt: skip
    recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not out.exists():
            time.sleep(0.05)
        push(address, None)
        words = ("simulate", "--to", address, "--rate", "max", "--seconds", "0.05", "--states", "1")
        code, said = hexlive(*words, "--regions", "1", "--keys", keys)
        assert code == 0, said
        _, heard = recorder.communicate(timeout=PATIENCE_S)
    finally:
        recorder.kill()
    assert recorder.returncode == 0, heard
    assert "450 frames, 0 missing" in heard


def test_keys_that_are_not_there_end_a_run_before_anything_listens(
    hexlive, calibration_file: Path, tmp_path: Path, free_addresses: list[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f'[detector]\nrows = 12\ncolumns = 10\ncalibration = "{calibration_file}"\n'
        f'[stream]\ninput = "{free_addresses[0]}"\n[security]\nkeys = "{tmp_path / "none"}"\n'
    )
    code, said = hexlive("run", "--config", config)
    assert code == 1
    assert "There is no key" in said
    assert "Traceback" not in said


WATCHED = """
import sys
from hexlive.stream import session
from hexlive.stream.cli import main

LISTENING = "0A"

def local_addresses():
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/net/{kind}") as table:
            for line in list(table)[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if kind.startswith("udp") or state == LISTENING:
                    yield inode, kind, local

def mine():
    import os
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass
    return {link[8:-1] for link in links if link.startswith("socket:[")}

run = session.run

def watched(*arguments):
    found = mine()
    for inode, kind, local in local_addresses():
        if inode in found:
            print(kind, local, flush=True)
    return run(*arguments)

session.run = watched
main()
"""
LOOPBACK = {"tcp": "0100007F", "udp": "0100007F"}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell")
@pytest.mark.parametrize(
    ("facility", "needs", "n_listening", "elsewhere"),
    [
        ("metrics_port = 0", "prometheus_client", 3, set()),
        ("pva_prefix = 'X:'", "p4p", 3, {"udp"}),  # of EPICS, to be found by name
    ],
)
def test_all_that_a_run_opens_by_default_is_on_loopback(
    calibration_file: Path, tmp_path: Path, facility: str, needs: str, n_listening: int,
    elsewhere: set[str],
) -> None:  # fmt: skip
    """Both legs, and the metrics or the maps for EPICS, as the system sees them."""
    pytest.importorskip(needs)
    config = tmp_path / "run.toml"
    config.write_text(
        f'[detector]\nrows = 12\ncolumns = 10\ncalibration = "{calibration_file}"\n'
        f'[stream]\ninput = "tcp://127.0.0.1:*"\npublish = "tcp://127.0.0.1:*"\n'
        f'result = "{tmp_path}/r.nxs"\n[facility]\n{facility}\n'
    )
    command = [sys.executable, "-c", WATCHED, "run", "--config", str(config)]
    free = {f"EPICS_PVAS_{name}_PORT": "0" for name in ("SERVER", "BROADCAST")}
    running = subprocess.Popen(
        command, env=os.environ | free, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stderr is not None
        for line in running.stderr:
            if "publishing on" in line:
                break
        running.terminate()
        found, said = running.communicate(timeout=PATIENCE_S)
    finally:
        running.kill()
    opened = [line.split() for line in found.splitlines()]
    assert len([kind for kind, _ in opened if kind.startswith("tcp")]) == n_listening, (found, said)
    open_to_all = [line for line in opened if line[1].partition(":")[0] != LOOPBACK.get(line[0])]
    assert {kind for kind, _ in open_to_all} == elsewhere
