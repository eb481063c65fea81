"""A cluster that is not there, and a campaign that is interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hexlive.stream.campaign import cluster
from hexlive.stream.campaign.cluster import ClusterError, ClusterSettings, open_cluster
from hexlive.stream.config import to_toml


def test_without_dask_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ClusterError, match=r"needs distributed: pip install 'hexlive\[campaign\]'"),
        open_cluster(ClusterSettings()),
    ):
        pass


def test_without_dask_the_command_says_so_and_no_more(
    hexlive, record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, said = hexlive("campaign", record("one.h5"), "--calibrated", "--out", tmp_path / "out")
    assert code == 1
    assert said.splitlines() == [
        "hexlive: A campaign needs distributed: pip install 'hexlive[campaign]'."
    ]
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, free_addresses: list[str]
) -> None:
    pytest.importorskip("distributed", reason="pip install 'hexlive[campaign]'")
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with (
        pytest.raises(ClusterError, match=f"No Dask scheduler answers at {free_addresses[0]}"),
        open_cluster(ClusterSettings(scheduler=free_addresses[0])),
    ):
        pass


def test_workers_of_a_machine_without_a_gpu_are_not_started_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("distributed", reason="pip install 'hexlive[campaign]'")
    monkeypatch.setattr(cluster, "find_gpu", lambda: (False, "none is to be seen"))
    with (
        pytest.raises(ClusterError, match=r"have no GPU to count on: none is to be seen\."),
        open_cluster(ClusterSettings(gpu=True)),
    ):
        pass


def test_wrong_use_is_said(hexlive, record, calibration_file, tmp_path: Path) -> None:
    path, out = record("a.h5"), tmp_path / "out"
    code, said = hexlive("campaign", path, "--out", out)
    assert code == 2
    assert "--calibration" in said
    code, said = hexlive(
        "campaign", path, "--out", out, "--calibration", calibration_file,
        "--scheduler", "tcp://127.0.0.1:1", "--workers", 2,
    )  # fmt: skip
    assert code == 2
    assert "--workers" in said


def test_an_interrupted_campaign_ends_cleanly_and_leaves_no_process(
    config, record, calibration_file, tmp_path: Path
) -> None:
    """Ctrl-C in a terminal reaches the workers too."""
    pytest.importorskip("distributed", reason="pip install 'hexlive[campaign]'")
    (tmp_path / "c.toml").write_text(to_toml(config))
    files = [record(f"{number}.h5", number) for number in range(8)]
    words = [
        "campaign", *files, "--calibration", calibration_file, "--config", tmp_path / "c.toml",
        "--workers", 1, "--batch", 5, "--out", tmp_path / "out",
    ]  # fmt: skip
    command = [sys.executable, "-m", "hexlive.stream.cli", *map(str, words)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stderr is not None
        first = next(line for line in child.stderr if "900 frames, 0 missing" in line)
        os.killpg(child.pid, signal.SIGINT)
        shown, said = child.communicate(timeout=60)
    assert "0.h5" in first
    assert child.returncode == 1
    assert "Traceback" not in said
    assert "started again" in said
    assert "0/result.nxs" in shown
    assert (tmp_path / "out/0/result.nxs").is_file()
    assert not list(tmp_path.rglob("*.part"))
    assert _gone(child.pid)


def _gone(group: int) -> bool:
    """Whether a process group ends; the helpers of multiprocessing take a moment longer."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
