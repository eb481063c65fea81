"""The demo and the simulator, as a stranger types them."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hexlive.stream.calibration import load_calibration
from hexlive.stream.commands import demo as demo_module
from hexlive.stream.commands import demo_summary
from hexlive.stream.commands.demo import run_demo
from hexlive.stream.commands.demo_summary import (
    NOTHING,
    Comparison,
    CtCheck,
    EmfCheck,
    disagreements,
)
from hexlive.stream.config import Config
from hexlive.stream.doctor import Finding
from hexlive.stream.exposure import Totals
from hexlive.stream.inputs import live_source
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.simulator.truth import CtTruth, EmfTruth, load_truth

INTEGERS = ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames")


def counts(result: Path) -> dict[str, np.ndarray]:
    with h5py.File(result) as file:
        return {
            f"{name}/{key}": group[key][()]
            for name, group in file["entry"].items()
            if name.startswith("segment")
            for key in INTEGERS
        }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "hexlive.stream.cli", "demo", "--headless", "--seconds", "1.8"]
    ended = subprocess.run(
        [*command, "--out", out], capture_output=True, text=True, timeout=110, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return out, ended.stdout


@pytest.mark.timeout(120)
def test_the_demo_leaves_its_files_and_loses_nothing(demo: tuple[Path, str]) -> None:
    out, said = demo
    assert {path.name for path in out.iterdir()} == {
        "calibration.h5", "monitor.png", "recording.h5", "result.nxs", "result_scan_0001.nxs",
        "result_scan_0001_volume.nxs", "truth.json",
    }  # fmt: skip
    assert "16,200 frames, 0 lost, 0 rejected" in said
    assert (out / "monitor.png").stat().st_size > 50_000


def test_the_demo_measures_what_the_simulator_put_in(demo: tuple[Path, str]) -> None:
    out, _ = demo
    truth = {(row.state, row.name): row for row in load_truth(out / "truth.json").emf}
    pulls = []
    with h5py.File(out / "result.nxs") as file:
        trend = {name: column[()] for name, column in file["entry/trend"].items()}
        rows = zip(
            trend["state"], trend["component"], trend["emf"], trend["emf_sigma"], strict=True
        )
        for state, name, emf, sigma in rows:
            known = truth[int(state), name.decode()]
            pulls.append((emf - known.seen) / np.hypot(sigma, known.seen_sigma))
        scan = file["entry/ct/scan_0001"]
        known_scan = load_truth(out / "truth.json").ct[0]
        assert scan["centre_px"][()] == pytest.approx(known_scan.centre_px, abs=0.2)
        assert scan["ra_um"][()] == pytest.approx(known_scan.ra_um, rel=0.1)
    assert len(pulls) == 9
    assert np.sqrt(np.mean(np.square(pulls))) < 2


def test_offline_processing_gives_the_counts_of_the_demo(
    demo: tuple[Path, str], hexlive, tmp_path: Path
) -> None:
    out, _ = demo
    result = tmp_path / "result.nxs"
    code, said = hexlive(
        "process", out / "recording.h5", "--calibration", out / "calibration.h5", "--out", result
    )
    assert code == 0, said
    live, offline = counts(out / "result.nxs"), counts(result)
    assert live.keys() == offline.keys()
    assert len(live) == 9 * len(INTEGERS)
    for name, array in live.items():
        np.testing.assert_array_equal(array, offline[name], err_msg=name)


def test_a_recorded_scan_reconstructs_from_the_recording(
    demo: tuple[Path, str], hexlive, tmp_path: Path
) -> None:
    out, _ = demo
    code, said = hexlive(
        "reconstruct", out / "recording.h5", "--entry", "scan_0001", "--engine", "numba",
        "--out", tmp_path / "volume.nxs",
    )  # fmt: skip
    assert code == 0, said
    assert "centre 125.8" in said
    assert "engine numba" in said


def test_the_demo_never_touches_a_recording_that_is_there(hexlive, tmp_path: Path) -> None:
    (tmp_path / "recording.h5").write_text("precious")
    code, said = hexlive("demo", "--headless", "--out", tmp_path)
    assert code == 1
    assert "holds a recording already" in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_ctrl_c_ends_the_demo_in_one_sentence(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hexlive.stream.cli", "demo", "--headless", "--out", out]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        assert "frames at" in demo.stderr.readline()
        demo.send_signal(signal.SIGINT)
        said = demo.stderr.read()
    assert demo.returncode == 1
    result = out / "result.nxs"
    left = f"what was measured so far is in {result}" if result.exists() else "nothing was measured"
    news = [line for line in said.splitlines() if "events are counted on" not in line]
    assert news == [f"Interrupted; {left}."]


@pytest.mark.parametrize("words", [["simulate", "--to", "nonsense"], ["doctor", "--magic"]])
def test_a_simulator_that_fails_ends_the_demo(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_module, "_simulate", lambda *_: words)
    assert run_demo(tmp_path, 0.9, headless=True) == 1
    said = capsys.readouterr()
    assert "No state was measured" in said.out
    assert "The simulator ended with exit code" in said.err
    assert "8,100 of 8,100 frames were lost." in said.err
    assert "1 of 1 CT scans never began." in said.err


@pytest.mark.parametrize(("verdict", "n_found"), [("absent", 0), ("OK", 1)])
def test_a_picture_is_missed_only_where_one_could_be_drawn(
    verdict: str, n_found: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finding = Finding(verdict, "monitor", "pip install something")
    monkeypatch.setattr(demo_summary, "examine_monitor", lambda: finding)
    simulator = Simulator(SimulatorSettings(states=(1,), frames_per_segment=10))
    report = SimpleNamespace(totals=Totals(30, 30), find=lambda kind: None)
    outcome = SimpleNamespace(faults=[], report=report)
    found = list(demo_summary.shortcomings(tmp_path, simulator, outcome, NOTHING, 0))
    assert len(found) == n_found
    files = "\n".join(demo_summary._file_lines(tmp_path))
    assert ("pip install something" in files) == (verdict == "absent")


def anode(emf: float) -> EmfCheck:
    known = EmfTruth(
        state=4, soc=1.0, name="anode", free=2.4, isolated=1.3, isolated_sigma=0.0, seen=1.2,
        seen_sigma=0.0,
    )  # fmt: skip
    return EmfCheck(emf=emf, sigma=0.01, known=known)


def scan(centre_px: float = 125.8, ra_um: float = 7.0, slice_error: float = 0.05) -> CtCheck:
    known = CtTruth(
        scan=1, state=4, pixel_um=38.9, centre_px=125.8, ra_um=7.0, rq_um=8.7,
        anode_volume_um3=1.0, void_volume_um3=0.0, n_voids=9,
    )  # fmt: skip
    return CtCheck(
        name="scan_0001", centre_px=centre_px, ra_um=ra_um, rq_um=8.7, slice_error=slice_error,
        engine="numba", seconds=1.0, known=known,
    )  # fmt: skip


@pytest.mark.parametrize("emf", [1.2, 1.245, np.nan])
def test_what_agrees_with_the_truth_is_no_shortcoming(emf: float) -> None:
    found = Comparison(emf=[anode(emf)], ct=[scan(126.2, 8.2, 0.14), "CT scan_0002: never began"])
    assert not list(disagreements(found))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Comparison(emf=[anode(1.26)], ct=[]), "EMF of the anode in state 4 is 1.2600, 6.0 sigma"),
        (Comparison(emf=[anode(1.14)], ct=[]), "6.0 sigma from the truth 1.2000"),
        (Comparison(emf=[], ct=[scan(centre_px=125.2)]), "the centre is at 125.20 px"),
        (Comparison(emf=[], ct=[scan(ra_um=5.5)]), "Ra is 5.50 um"),
        (Comparison(emf=[], ct=[scan(ra_um=np.nan)]), "Ra is nan um"),
        (Comparison(emf=[], ct=[scan(slice_error=0.16)]), "by 16.0% of the contrast"),
    ],
)
def test_what_is_far_from_the_truth_fails_the_demo(found: Comparison, says: str) -> None:
    (sentence,) = disagreements(found)
    assert says in sentence


def test_the_sustained_rate_is_that_of_the_median_exposure() -> None:
    report = SimpleNamespace(totals=Totals(30, 30), rejected=Counter())
    outcome = SimpleNamespace(report=report)
    line = demo_summary._stream_line(outcome, [30_000.0, 8_000.0, 8_500.0], 9_000.0)
    assert "8,500 frames/s sustained (slowest exposure 8,000)" in line
    assert "does not keep up with 9,000 Hz" in line


def test_an_existing_recording_is_refused_before_anything_is_written(
    hexlive, tmp_path: Path
) -> None:
    (tmp_path / "x.h5").write_text("precious")
    code, said = hexlive(
        "simulate", "--out", tmp_path / "x.h5", "--truth", tmp_path / "truth.json",
        "--calibration", tmp_path / "cal.h5", "--seconds", "0.01",
    )  # fmt: skip
    assert code == 1
    assert "exists already" in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_an_interrupted_simulation_says_how_far_it_came(tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    command = [sys.executable, "-m", "hexlive.stream.cli", "simulate", "--out", out]
    with subprocess.Popen(
        [*command, "--states", "1", "--seconds", "600"], stderr=subprocess.PIPE, text=True
    ) as simulate:
        while simulate.poll() is None and not (out.exists() and out.stat().st_size > 1_000_000):
            time.sleep(0.05)
        simulate.send_signal(signal.SIGTERM)
        assert simulate.stderr is not None
        said = simulate.stderr.read()
    assert simulate.returncode == 1
    with h5py.File(out) as file:
        n_frames = len(file["entry/instrument/detector/data"])
    assert said.splitlines() == [f"{out}: stopped after {n_frames} frames"]


def test_injected_losses_are_counted_exactly(hexlive, tmp_path: Path) -> None:
    out, truth = tmp_path / "lossy.h5", tmp_path / "truth.json"
    code, said = hexlive(
        "simulate", "--out", out, "--truth", truth, "--calibration", tmp_path / "cal.h5",
        "--seconds", "0.05", "--states", "1", "--regions", "2,3", "--loss", "0.1",
    )  # fmt: skip
    assert code == 0, said
    outcome = run_session(
        open_file(out), Config(), load_calibration(tmp_path / "cal.h5"),
        Outputs(result=tmp_path / "result.nxs"),
    )  # fmt: skip
    expected, received = outcome.report.totals
    lost = sum(segment.n_lost for segment in load_truth(truth).segments)
    assert lost > 50
    assert (expected, received) == (900, 900 - lost)


def test_options_of_the_simulator_are_its_settings(hexlive, monkeypatch, tmp_path: Path) -> None:
    made: list[SimulatorSettings] = []

    def simulator(settings: SimulatorSettings) -> None:
        made.append(settings)
        raise ValueError("Enough.")

    monkeypatch.setattr("hexlive.stream.commands.simulate.Simulator", simulator)
    hexlive(
        "simulate", "--out", tmp_path / "x.h5", "--mode", "disk", "--seconds", "0.5",
        "--lines", "7", "--flat", "8", "--gain-drift", "2", "--occupancy", "0.02", "--seed", "5",
    )  # fmt: skip
    assert made == [
        SimulatorSettings(
            subject="disk", states=(1, 2, 4), frames_per_segment=4500, lines_counts=7,
            flat_counts=8, gain_drift=0.02, occupancy=0.02, seed=5,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("words", "seconds"), [((), 700), (("--seconds", "30"), 30)])
def test_the_experiment_is_asked_for_at_the_demo(
    hexlive, monkeypatch, tmp_path: Path, words: tuple[str, ...], seconds: float
) -> None:
    asked: list[tuple[Path, float]] = []
    monkeypatch.setattr(
        "hexlive.stream.commands.simulate.run_experiment", lambda *given: asked.append(given) or 3
    )
    assert hexlive("demo", "--experiment", "--out", tmp_path, *words) == (3, "")
    assert asked == [(tmp_path, seconds)]


def test_the_simulator_streams_what_it_writes(hexlive, tmp_path: Path) -> None:
    options = ("--seconds", "0.05", "--states", "2", "--regions", "1", "--seed", "7")
    code, said = hexlive(
        "simulate", "--out", tmp_path / "file.h5", "--calibration", tmp_path / "cal.h5", *options
    )
    assert code == 0, said
    config, maps = Config(), load_calibration(tmp_path / "cal.h5")
    with closing(live_source(config, "tcp://127.0.0.1:*")) as source:
        command = [sys.executable, "-m", "hexlive.stream.cli", "simulate", "--to", source.address]
        sender = subprocess.Popen([*command, "--rate", "max", "--checked", *options])
        guard = threading.Timer(60, sender.kill)
        guard.start()
        run_session(source, config, maps, Outputs(result=tmp_path / "live.nxs"))
        assert sender.wait(30) == 0
        guard.cancel()
    run_session(open_file(tmp_path / "file.h5"), config, maps, Outputs(result=tmp_path / "f.nxs"))
    live, written = counts(tmp_path / "live.nxs"), counts(tmp_path / "f.nxs")
    assert live.keys() == written.keys()
    assert live["segment_0001/counts"].sum() > 1000
    for name, array in live.items():
        np.testing.assert_array_equal(array, written[name], err_msg=name)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["simulate"], 2, "--to or --out"),
        (["simulate", "--out", "x.h5", "--states", "9"], 1, "states go from 1 to 7"),
        (["simulate", "--out", "x.h5", "--states", "one"], 1, "numbers with commas"),
        (["simulate", "--out", "x.h5", "--occupancy", "2"], 1, "occupancy"),
        (["simulate", "--out", "/no/x.h5", "--seconds", "0.01"], 1, "no folder"),
        (["simulate", "--out", "x.h5", "--truth", "no/t.json", "--calibration", "c.h5"], 1, "no/t"),
        (["simulate", "--out", "x.h5", "--seconds", "0"], 2, "above 0 s"),
        (["simulate", "--out", "x.h5", "--seconds", "inf"], 2, "above 0 s"),
        (["simulate", "--out", "x.h5", "--seed", "18446744073709551616"], 2, "--seed"),
        (["demo", "--out", "x", "--seconds", "-1"], 2, "above 0 s"),
        (["demo", "--out", "x", "--seconds", "nan"], 2, "above 0 s"),
        (
            ["monitor", "tcp://127.0.0.1:1", "--snapshot", "m.png", "--timeout", "0.3"],
            1,
            "snapshot",
        ),
        (["monitor", "nonsense", "--snapshot", "m.png"], 2, "nonsense"),
        (["reconstruct", "none.nxs", "--out", "v.nxs"], 1, "no file"),
        (["reconstruct", "none.nxs", "--out", "v.nxs", "--engine", "magic"], 1, "engine"),
        (["reconstruct", "none.nxs", "--out", "v.nxs", "--centre", "left"], 1, "left"),
    ],
)
def test_wrong_words_get_one_sentence(
    hexlive, monkeypatch, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    exit_code, said = hexlive(*words)
    assert exit_code == code, said
    assert says in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
