"""Each command does its job from the shell, and says one sentence when it cannot."""

import subprocess
import sys
import threading
from contextlib import closing
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from hexlive.stream.cli import main
from hexlive.stream.files import FileError
from hexlive.stream.recordings import open_file
from hexlive.stream.sending import ZmqSender
from hexlive.stream.session import Outputs, run_session

FRAMES = np.random.default_rng(0).integers(900, 1100, (20, 12, 10)).astype(np.uint16)


@pytest.fixture
def recording(source, config, calibration, tmp_path: Path) -> Path:
    path = tmp_path / "recording.h5"
    run_session(source, config, calibration, Outputs(result=tmp_path / "r.nxs", recording=path))
    return path


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file["raw_frames"] = FRAMES
        file["dark_frames"] = FRAMES
        file["floats"] = FRAMES.astype(float)
        file["flat"] = FRAMES[0]
    return path


def test_process_writes_a_result(hexlive, recording, calibration_file, tmp_path) -> None:
    out = tmp_path / "result.nxs"
    code, said = hexlive("process", recording, "--calibration", calibration_file, "--out", out)
    assert code == 0, said
    assert "1152 frames, 0 missing" in said
    with h5py.File(out) as file:
        assert file["entry/process/command"].asstr()[()].startswith("hexlive process")


def test_process_takes_a_stack_of_frames(hexlive, stack, calibration_file, tmp_path) -> None:
    out = tmp_path / "result.nxs"
    code, said = hexlive("process", stack, "--calibration", calibration_file, "--out", out)
    assert code == 0, said
    with h5py.File(out) as file:
        assert file["entry/segment_0001"].attrs["frames_received"] == 20


def test_calibrate_dark_finds_pedestal_noise_and_bad_pixels(hexlive, tmp_path) -> None:
    frames = np.random.default_rng(2).normal(1000, 8, (200, 4, 5))
    frames[:, 0, 0] = 1000
    frames[:, 1, 1] += np.random.default_rng(3).normal(0, 60, 200)
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file["dark_frames"] = frames.round().astype(np.uint16)
    gradient = np.full((4, 5), 0.029)
    gradient[2, 2] = 0
    np.save(tmp_path / "g.npy", gradient)
    out = tmp_path / "cal.h5"
    code, said = hexlive(
        "calibrate", "dark", tmp_path / "dark.h5", "--gradient", tmp_path / "g.npy",
        "--intercept", "1.2", "--out", out,
    )  # fmt: skip
    assert code == 0, said
    with h5py.File(out) as file:
        assert np.argwhere(file["mask"][()]).tolist() == [[0, 0], [1, 1], [2, 2]]
        good = file["mask"][()] == 0
        np.testing.assert_allclose(file["pedestal_adu"][()][good], 1000, atol=3)
        np.testing.assert_allclose(file["noise_adu"][()][good], 8, rtol=0.25)
        assert (file["intercept_kev"][()][good] == np.float32(1.2)).all()


def test_calibrate_import_takes_odin_text_and_numbers(hexlive, tmp_path) -> None:
    (tmp_path / "g.txt").write_text("0.03 0.03 0.0\n0.03 0.03 0.03\n")
    out = tmp_path / "cal.h5"
    code, said = hexlive(
        "calibrate", "import", "--gradient", tmp_path / "g.txt", "--rows", 2, "--columns", 3,
        "--threshold", "4", "--out", out,
    )  # fmt: skip
    assert code == 0, said
    with h5py.File(out) as file:
        assert file["mask"][()].tolist() == [[0, 0, 1], [0, 0, 0]]
        assert (file["threshold_kev"][()] == 4).all()


def test_record_and_replay_keep_every_frame(hexlive, recording, tmp_path, free_addresses) -> None:
    copy, address = tmp_path / "copy.h5", free_addresses[0]
    recorder = subprocess.Popen(
        [sys.executable, "-m", "hexlive.stream.cli", "record", "--from", address, "--out", copy],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        code, said = hexlive("replay", recording, "--to", address, "--rate", "max", "--checked")
        assert code == 0, said
        _, heard = recorder.communicate(timeout=30)
    finally:
        recorder.kill()
    assert recorder.returncode == 0, heard
    with h5py.File(recording) as one, h5py.File(copy) as other:
        for name in ("data", "frame_number"):
            path = f"entry/instrument/detector/{name}"
            np.testing.assert_array_equal(one[path][()], other[path][()])


@pytest.fixture
def run_live(hexlive, recording, calibration_file, tmp_path, free_addresses):
    """``hexlive run`` of the recording, replayed to it."""
    address, publish = free_addresses
    config = tmp_path / "live.toml"
    config.write_text(
        f'[detector]\nrows = 12\ncolumns = 10\ncalibration = "{calibration_file}"\n'
        f'[stream]\ninput = "{address}"\npublish = "{publish}"\n'
        f'record = "{tmp_path / "again.h5"}"\nresult = "{tmp_path / "live.nxs"}"\n'
    )

    def run(*options: str) -> tuple[int, str]:
        stop = threading.Event()

        def send() -> None:
            with closing(ZmqSender(address, should_stop=stop.is_set)) as sender:
                sender.send_all(open_file(recording))

        thread = threading.Thread(target=send)
        thread.start()
        try:
            return hexlive("run", "--config", config, *options)
        finally:
            stop.set()
            thread.join()

    return run


def test_run_processes_records_and_ends_with_the_series(run_live, tmp_path) -> None:
    code, said = run_live()
    assert code == 0, said
    assert "1152 frames, 0 missing" in said
    assert (tmp_path / "live.nxs").exists()
    assert open_file(tmp_path / "again.h5").n_frames == 1152


def test_a_checkpoint_that_cannot_be_used_is_kept_aside_by_a_fresh_start(
    run_live, tmp_path
) -> None:
    left = tmp_path / "live.nxs.checkpoint"
    left.mkdir()
    (left / "run.json").write_text("{")
    code, said = run_live()
    assert code == 1, said
    assert "damaged" in said
    assert "--fresh" in said
    code, said = run_live("--fresh")
    assert code == 0, said
    assert "live.nxs.checkpoint_1" in said
    assert (tmp_path / "live.nxs.checkpoint_1" / "run.json").read_text() == "{"
    assert not left.exists()


def test_doctor_reports_each_thing_on_a_line(hexlive) -> None:
    code, said = hexlive("doctor")
    lines = [line.split() for line in said.splitlines()]
    assert {line[0] for line in lines} <= {"OK", "absent", "ERROR"}
    assert {"kernels", "GPU", "sockets", "disk", "astra"} <= {line[1] for line in lines}
    assert code == (1 if "ERROR" in said else 0)


def test_doctor_says_which_library_cannot_be_loaded_and_goes_on(hexlive, monkeypatch) -> None:
    def broken(name: str) -> ModuleType:
        if name == "astra":
            raise ImportError("libcudart.so.12: cannot open shared object file")
        return import_module(name)

    pytest.importorskip("astra", reason="pip install 'hexlive[ct]'")
    monkeypatch.setattr("hexlive.stream.doctor.import_module", broken)
    code, said = hexlive("doctor")
    assert code == 1
    assert "ERROR  astra             libcudart.so.12" in said
    assert "xraylib" in said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["process", "{tmp}/no.h5", "--calibration", "{cal}"], 1, "There is no file"),
        (["process", "{tmp}/text", "--calibration", "{cal}"], 1, "not a readable HDF5"),
        (["process", "{stack}", "--calibration", "{tmp}/no.h5"], 1, "There is no file"),
        (["process", "{stack}", "--calibration", "{stack}"], 1, "not a calibration file"),
        (["process", "{stack}", "--calibration", "{small}"], 1, "calibration is 2 x 3"),
        (["process", "{stack}", "--calibration", "{cal}", "--dataset", "x/y"], 1, "no dataset"),
        (["process", "{stack}", "--calibration", "{cal}", "--dataset", "floats"], 1, "float64"),
        (["process", "{stack}", "--calibration", "{cal}", "--dataset", "flat"], 1, "(12, 10)"),
        (["process", "{stack}", "--calibration", "{cal}", "--config", "{bad}"], 1, "columns"),
        (["process", "{stack}", "--calibration", "{cal}", "--config", "{other}"], 1, "rows = 80"),
        (["process", "{stack}", "--calibration", "{cal}", "--backend", "tpu"], 2, "tpu"),
        (["process", "{stack}", "--calibration", "{cal}", "--out", "/no/r.nxs"], 1, "no folder"),
        (["process", "{stack}", "--calibration", "{cal}", "--out", "{stack}"], 1, "same file"),
        (["process", "{stack}", "--calibration", "{cal}", "--out", "{cal}"], 1, "same file"),
        (["process", "{stack}", "--calibration", "{cal}", "--out", "{tmp}"], 1, "is a folder"),
        (["reconstruct", "{stack}", "--out", "{stack}"], 1, "same file"),
        (["process"], 2, "Missing argument"),
        (["replay", "{stack}", "--to", "tcp://127.0.0.1:1", "--rate", "fast"], 2, "fast"),
        (["replay", "{stack}", "--to", "nonsense"], 1, "nonsense"),
        (["record", "--from", "tcp://127.0.0.1:x", "--out", "{tmp}/r.h5"], 1, "listen"),
        (["calibrate", "dark", "{stack}", "--gradient", "{tmp}/no"], 1, "neither"),
        (["calibrate", "dark", "{stack}", "--gradient", "1", "--dataset", "z"], 1, "no dataset"),
        (["calibrate", "import", "--gradient", "{tmp}/text"], 1, "numbers"),
        (["calibrate", "dark", "{stack}", "--gradient", "1", "--out", "{stack}"], 1, "same file"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(
    hexlive, stack, calibration_file, tmp_path, monkeypatch, words, code, says
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("hello")
    (tmp_path / "bad.toml").write_text("[detector]\ncolums = 1")
    (tmp_path / "other.toml").write_text("[detector]\nrows = 80")
    hexlive(
        "calibrate", "import", "--gradient", "1", "--rows", 2, "--columns", 3,
        "--out", tmp_path / "small.h5",
    )  # fmt: skip
    places = {
        "tmp": tmp_path, "stack": stack, "cal": calibration_file, "small": tmp_path / "small.h5",
        "bad": tmp_path / "bad.toml", "other": tmp_path / "other.toml",
    }  # fmt: skip
    before = set(tmp_path.iterdir())
    exit_code, said = hexlive(*(word.format(**places) for word in words))
    assert exit_code == code, said
    assert says in said
    assert "Traceback" not in said
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("words", [("--debug", "process"), ("process", "--debug")])
def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path, words) -> None:
    monkeypatch.setattr("sys.argv", ["hexlive", *words, f"{tmp_path}/no.h5", "--calibrated"])
    with pytest.raises(FileError, match="There is no file"):
        main()


def test_the_version_is_said(hexlive) -> None:
    assert hexlive("--version") == (0, f"hexlive {version('hexlive')}\n")
