"""Files of battery cyclers: the rows as they are, or one sentence."""

from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.cyclers import WithCycler, read_cycler
from hexlive.stream.files import FileError
from hexlive.stream.model import Cycler, Frames, Segment, Start
from hexlive.stream.recorder import Recorder

BDF = """unix_time_second,voltage_volt,current_ampere,net_capacity_ah
1000.0,3.60,0.0002,0.0
1010.0,3.61,0.0002,0.0000005
1020.0,3.62,-0.0002,0.0000003
"""
LABELLED = """Voltage / V,"Current / A",Unix Time / s
3.60,0.0002,1000.0
3.61,0.0002,1010.0
"""
DTA = (
    "EXPLAIN\nTAG\tCHRONOP\nDATE\tLABEL\t5/30/2024\tDate\n"
    "OCVCURVE\tTABLE\t1\n\tPt\tT\tVf\n\t#\ts\tV\n\t0\t0\t3.1\n"
    "CURVE\tTABLE\t3\n\tPt\tT\tVf\tIm\tVu\n\t#\ts\tV vs. Ref.\tA\tV\n"
    "\t0\t1.0\t3.60\t2.0E-004\t0\n\t1\t2.0\t3.61\t2.0E-004\t0\n\t2\t3.0\t3.62\t-2.0E-004\t0\n"
    "\nEXPERIMENTABORTED\tTOGGLE\tT\tExperiment Aborted\n"
)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_bdf_columns_are_found_by_name_or_by_label(tmp_path: Path) -> None:
    log = read_cycler(write(tmp_path / "c.csv", BDF, "utf-8-sig"))
    np.testing.assert_array_equal(log.time_s, [1000, 1010, 1020])
    np.testing.assert_array_equal(log.current_ampere, [2e-4, 2e-4, -2e-4])
    assert log.capacity_ah is not None
    assert log.capacity_ah[1] == 5e-7
    labelled = read_cycler(write(tmp_path / "l.csv", LABELLED))
    np.testing.assert_array_equal(labelled.voltage_volt, [3.6, 3.61])
    assert labelled.capacity_ah is None


@pytest.mark.parametrize("text", [DTA, DTA.replace(".", ",").replace("\n", "\r\n")])
def test_gamry_tables_are_read_in_the_language_of_their_computer(tmp_path: Path, text: str) -> None:
    log = read_cycler(write(tmp_path / "run.DTA", text, "latin-1"))
    np.testing.assert_array_equal(log.time_s, [1, 2, 3])
    np.testing.assert_array_equal(log.voltage_volt, [3.6, 3.61, 3.62])
    np.testing.assert_array_equal(log.current_ampere, [2e-4, 2e-4, -2e-4])
    np.testing.assert_array_equal(log.shifted(1e9).time_s, 1e9 + np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.csv", BDF.replace("voltage_volt", "volts"), "no column voltage_volt; it has unix_time"),
        ("c.csv", BDF.replace("3.61,0.0002,0.0000005", "3.61"), "line 3: 'nothing' in column 3"),
        ("c.csv", BDF.replace("3.61", "high"), "line 3: 'high' in column 2 is not a number"),
        ("c.csv", BDF.replace("1020", "1005"), "from 1010.000 s to 1005.000 s in row 3"),
        ("c.csv", BDF.splitlines()[0], "no rows of data"),
        ("c.csv", "\n".join(BDF.splitlines()[:2]), "1 rows; two are the least"),
        ("c.csv", "", "no column"),
        ("c.dta", BDF, "no CURVE table"),
        ("c.dta", DTA.replace("\tIm", "\tI"), "no column Im"),
        ("c.dta", DTA.replace("2.0E-004", "2.0 mA"), "line 11"),
    ],
)
def test_what_is_no_log_is_one_sentence(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(FileError, match=r"^[^\n]*$") as caught:
        read_cycler(write(tmp_path / name, text))
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_a_file_takes_the_place_of_the_rows_in_the_stream(source, tmp_path: Path) -> None:
    log = read_cycler(write(tmp_path / "run.dta", DTA)).shifted(100.0)
    messages = []
    for message in WithCycler(source, log):
        if message is None:
            break
        messages.append(message)
    rows = [message for message in messages if isinstance(message, Cycler)]
    assert [row.time_s for row in rows] == [101, 102, 103]
    assert all(np.isnan(row.capacity_ah) for row in rows)
    assert isinstance(messages[0], Start)
    assert {row.series for row in rows} == {messages[0].series}


def test_process_stores_the_rows_on_the_clock_of_the_run(
    hexlive, calibration_file: Path, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["raw_frames"] = np.full((20, 12, 10), 1000, np.uint16)
    log, out = write(tmp_path / "log.csv", BDF), tmp_path / "r.nxs"
    words = ("process", tmp_path / "frames.h5", "--calibration", calibration_file, "--out", out)
    code, said = hexlive(*words, "--cycler", log, "--cycler-offset", "-990")
    assert code == 0, said
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["entry/cycler/time_s"], [10, 20, 30])
        assert "--cycler-offset -990" in file["entry/process/command"].asstr()[()]


@pytest.mark.parametrize(("offset_s", "covered"), [(-1010, True), (0, False)])
def test_a_clock_outside_the_run_is_said_once_and_kept(
    hexlive, calibration_file: Path, caplog, tmp_path: Path, offset_s: float, covered: bool
) -> None:
    """The exposure begins at 0 s and lasts 0.002 s."""
    recording, out = tmp_path / "recording.h5", tmp_path / "r.nxs"
    log = write(tmp_path / "log.csv", BDF)
    header = {"series": "s", "first_frame": 0}
    with closing(Recorder(recording)) as recorder:
        recorder.put(Start(series="s", rows=12, columns=10, frame_rate_hz=9000.0, started_s=0.0))
        recorder.put(Segment(**header, number=1, started_s=0.0))
        recorder.put(
            Frames(**header, timestamp_s=0.0, frames=np.full((20, 12, 10), 1000, np.uint16))
        )
    code, said = hexlive(
        "process", recording, "--calibration", calibration_file, "--out", out,
        "--cycler", log, "--cycler-offset", offset_s,
    )  # fmt: skip
    assert code == 0, said
    assert caplog.text.count("check the offset of its clock") == (not covered)
    with h5py.File(out) as file:
        process = file["entry/process"]
        notes = process["notes"].asstr()[()] if "notes" in process else ""
    assert notes.count("it covers none of them") == (not covered)


@pytest.mark.parametrize("words", [["--cycler", "log.csv"], ["--cycler-offset", "5"]])
def test_the_offset_of_the_clock_is_never_guessed(
    hexlive, calibration_file: Path, tmp_path: Path, words: list[str]
) -> None:
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["raw_frames"] = np.full((20, 12, 10), 1000, np.uint16)
    code, said = hexlive(
        "process", tmp_path / "frames.h5", "--calibration", calibration_file,
        "--out", tmp_path / "r.nxs", *words,
    )  # fmt: skip
    assert code == 2
    assert "go together" in " ".join(said.split())
    assert not (tmp_path / "r.nxs").exists()
