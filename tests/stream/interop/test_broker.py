"""A broker's messages make the watch take a scan, and can do nothing else."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("stomp")
pytest.importorskip("coilmq")  # the broker
import stomp

from hexlive.stream.files import FileError
from hexlive.stream.interop import broker
from hexlive.stream.interop.broker import (
    BLUESKY_TOPIC,
    GDA_TOPIC,
    SETTLE_LOOKS,
    Announcements,
    BrokerListener,
)
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.interop.watch import FolderWatch

PATIENCE_S = 30.0


def gda(path: str, status: str = "FINISHED") -> str:
    return json.dumps({"status": status, "filePath": path, "swmrStatus": "ENABLED"})


def document(name: str, **doc: object) -> str:
    return json.dumps({"name": name, "doc": {"uid": "u", "time": 1.0, **doc}, "task_id": "t"})


def test_only_the_end_of_a_scan_names_its_file() -> None:
    heard = Announcements()
    for status in ("STARTED", "UPDATED", "", "finished"):
        assert heard.names(GDA_TOPIC, gda("/dls/i12/data/i12-7.nxs", status)) == {}
    assert heard.names(GDA_TOPIC, gda("/dls/i12/data/i12-7.nxs")) == {"i12-7.nxs": 0}
    assert heard.names(GDA_TOPIC, gda("C:\\data\\i12-7.nxs")) == {"i12-7.nxs": 0}


def test_a_plan_that_stops_names_the_files_of_its_run() -> None:
    heard = Announcements()
    started = document("start", uid="run", scan_file="i12-7")
    resource = document(
        "stream_resource", uid="r", run_start="run", uri="file://localhost/dls/data/cam.h5"
    )
    assert heard.names(BLUESKY_TOPIC, started) == {}
    assert heard.names(BLUESKY_TOPIC, resource) == {}
    assert heard.names(BLUESKY_TOPIC, document("event", descriptor="d")) == {}
    assert heard.names(BLUESKY_TOPIC, document("stop", run_start="other")) == {}
    names = heard.names(BLUESKY_TOPIC, document("stop", run_start="run"))
    assert names == {"i12-7.nxs": SETTLE_LOOKS, "cam.h5": SETTLE_LOOKS}
    assert heard.names(BLUESKY_TOPIC, document("stop", run_start="run")) == {}


def test_runs_that_never_stop_are_forgotten() -> None:
    heard = Announcements()
    for run in range(broker.MAX_RUNS + 1):
        heard.names(BLUESKY_TOPIC, document("start", uid=f"{run}", scan_file=f"f{run}"))
    assert heard.names(BLUESKY_TOPIC, document("stop", run_start="0")) == {}
    assert heard.names(BLUESKY_TOPIC, document("stop", run_start="1"))


@given(
    topic=st.sampled_from([GDA_TOPIC, BLUESKY_TOPIC, "/topic/other"]),
    body=st.text() | st.lists(st.none() | st.text()).map(json.dumps),
)
def test_any_other_body_names_nothing(topic: str, body: str) -> None:
    assert Announcements().names(topic, body) == {}


@pytest.mark.parametrize("body", ["[" * 100_000, gda("x" * (1 << 20))])
def test_deep_or_huge_bodies_name_nothing(body: str) -> None:
    assert Announcements().names(GDA_TOPIC, body) == {}


@contextmanager
def coilmq(port: int) -> Iterator[None]:
    """A broker in a process of its own."""
    command = [sys.executable, "-c", "from coilmq.start import main; main()"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait(lambda: answers(port))
        yield
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def wait(until: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def port(free_addresses: list[str]) -> int:
    return int(free_addresses[0].rsplit(":", 1)[1])


def aborted_scan(path: Path) -> None:
    """A scan of which the last images never came."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry/data/data", (10, 4, 8), "<u2", chunks=(1, 4, 8))
        data[:7] = 1
        file["entry/data/image_key"] = np.zeros(10, np.uint8)
        file["entry/data/rotation_angle"] = np.arange(10.0)


def say(port: int, *messages: tuple[str, str | bytes]) -> None:
    connection = stomp.Connection11([("127.0.0.1", port)])
    connection.connect(wait=True)
    for topic, body in messages:
        connection.send(topic, body)
    connection.transport.disconnect_socket()


def listening(caplog: pytest.LogCaptureFixture, times: int = 1) -> None:
    wait(lambda: caplog.text.count("listening to the broker") == times)


def test_a_message_of_a_real_broker_has_an_aborted_scan_taken(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    inside = tmp_path / "scans"
    inside.mkdir()
    watch = FolderWatch(inside)
    aborted_scan(inside / "i12-7.nxs")
    aborted_scan(inside / "i12-8.nxs")
    aborted_scan(tmp_path / "outside.nxs")
    settings = FacilitySettings(stomp=f"127.0.0.1:{port}")
    with coilmq(port), closing(BrokerListener(settings, watch)):
        listening(caplog)
        assert list(watch.look()) + list(watch.look()) == []
        say(
            port,
            (GDA_TOPIC, gda("/dls/i12/i12-8.nxs", "UPDATED")),
            (GDA_TOPIC, "junk"),
            (GDA_TOPIC, gda(str(tmp_path / "outside.nxs"))),
            (GDA_TOPIC, gda("/dls/i12/data/2026/i12-7.nxs")),
        )
        found: list[str] = []
        wait(lambda: found.extend(scan.path.name for scan in watch.look()) or found)
    assert found == ["i12-7.nxs"]


def test_bytes_that_are_no_text_do_not_end_the_listening(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watch = FolderWatch(tmp_path)
    aborted_scan(tmp_path / "i12-7.nxs")
    settings = FacilitySettings(stomp=f"127.0.0.1:{port}")
    with coilmq(port), closing(BrokerListener(settings, watch)):
        listening(caplog)
        say(port, (GDA_TOPIC, b"\xff\xfe{"), (GDA_TOPIC, gda("i12-7.nxs")))
        found: list[str] = []
        wait(lambda: found.extend(scan.path.name for scan in watch.look()) or found)


def test_a_broker_that_comes_later_or_again_is_found(
    tmp_path: Path,
    port: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(broker, "RETRY_S", 0.2)
    settings = FacilitySettings(stomp=f"127.0.0.1:{port}")
    with closing(BrokerListener(settings, FolderWatch(tmp_path))):
        wait(lambda: "no broker at" in caplog.text)
        for times in (1, 2):
            with coilmq(port):
                listening(caplog, times)
        wait(lambda: caplog.text.count("no broker at") == 3)


def test_a_peer_that_says_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = FacilitySettings(stomp=f"127.0.0.1:{silent.getsockname()[1]}")
        with closing(BrokerListener(settings, FolderWatch(tmp_path))):
            connection, _ = silent.accept()
        connection.close()


def test_a_password_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("guest\n")
    settings = FacilitySettings(
        stomp="127.0.0.1:61613", stomp_user="guest", stomp_password_file=str(secret)
    )
    os.chmod(secret, 0o644)
    with pytest.raises(FileError, match="chmod 600"):
        BrokerListener(settings, FolderWatch(tmp_path))
    secret.unlink()
    with pytest.raises(FileError, match="Cannot read the password"):
        BrokerListener(settings, FolderWatch(tmp_path))
