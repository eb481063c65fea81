"""Live, recorded and replayed: the same frames give the same integers, and the file says so."""

import threading
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config
from hexlive.stream.files import FileError
from hexlive.stream.recordings import open_file
from hexlive.stream.sending import ZmqSender, paced
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource
from hexlive.stream.stopping import Stop

INTEGERS = ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames")


def segments(path: Path) -> dict[str, dict[str, np.ndarray]]:
    with h5py.File(path) as file:
        return {
            name: {key: group[key][()] for key in INTEGERS}
            for name, group in file["entry"].items()
            if name.startswith("segment")
        }


def assert_same_counts(one: Path, other: Path) -> None:
    first, second = segments(one), segments(other)
    assert list(first) == list(second)
    for name, arrays in first.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, second[name][key], err_msg=f"{name}/{key}")


@pytest.fixture
def live(lossy_source, config: Config, calibration: Calibration, tmp_path: Path) -> Outputs:
    outputs = Outputs(result=tmp_path / "live.nxs", recording=tmp_path / "recording.h5")
    outcome = run_session(lossy_source, config, calibration, outputs)
    assert not outcome.faults
    return outputs


def test_processing_the_recording_gives_the_counts_of_the_live_run(
    live: Outputs, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    offline = tmp_path / "offline.nxs"
    run_session(open_file(live.recording), config, calibration, Outputs(result=offline))
    assert_same_counts(live.result, offline)
    assert segments(offline)["segment_0001"]["counts"].sum() > 0


def test_replaying_the_recording_through_zeromq_gives_the_counts_of_the_live_run(
    live: Outputs, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    replayed = tmp_path / "replayed.nxs"
    listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)
    with closing(listening) as source:

        def send() -> None:
            with closing(ZmqSender(source.address)) as sender:
                sender.send_all(paced(open_file(live.recording), None))

        thread = threading.Thread(target=send)
        thread.start()
        run_session(source, config, calibration, Outputs(result=replayed))
        thread.join()
    assert_same_counts(live.result, replayed)


def test_the_result_states_losses_live_time_and_the_fate_of_every_hit(live: Outputs) -> None:
    with h5py.File(live.result) as file:
        attrs = file["entry/segment_0002"].attrs
        assert attrs["frames_expected"] == 192
        assert attrs["frames_lost"] == 64
        assert attrs["live_time_s"] == pytest.approx(128 / 9000)
        hits = file["entry/segment_0002/hits"][()].sum()
        fates = [n for key, n in attrs.items() if key.endswith("_hits") or key[:8] == "dropped_"]
        assert sum(fates) == hits
        assert file["entry/segment_0002/missing_frames"][()].tolist() == [[256, 320]]


def test_the_result_holds_components_trend_cycler_and_provenance(live: Outputs) -> None:
    with h5py.File(live.result) as file:
        entry = file["entry"]
        assert set(entry["components"]) == {"anode", "electrolyte", "cathode"}
        assert set(entry["components/cathode"]) == {"state_1", "state_2"}
        assert entry["trend/state"][()].tolist() == [1, 1, 1, 2, 2, 2]
        assert len(entry["cycler/voltage_volt"]) == 6
        assert "threshold_kev" in entry["process/config"].asstr()[()]
        assert entry["process/backend"].asstr()[()] == "cpu"
        assert entry.attrs["default"] in entry


def test_a_recording_is_never_overwritten(
    live: Outputs, source, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    before = live.recording.read_bytes()
    outputs = Outputs(result=tmp_path / "again.nxs", recording=live.recording)
    with pytest.raises(FileError, match="exists"):
        run_session(source, config, calibration, outputs)
    assert live.recording.read_bytes() == before
    assert not list(tmp_path.glob("again*"))


def test_an_error_leaves_the_old_result_and_no_half_one(
    live: Outputs, config: Config, calibration: Calibration
) -> None:
    class Broken:
        live = False

        def __iter__(self):
            raise OSError("the disk is gone")

    before = live.result.read_bytes()
    with pytest.raises(OSError, match="gone"):
        run_session(Broken(), config, calibration, Outputs(result=live.result))
    assert live.result.read_bytes() == before
    assert not list(live.result.parent.glob("*.part"))


def test_a_run_in_which_nothing_came_leaves_the_old_result_alone(
    live: Outputs, config: Config, calibration: Calibration, tmp_path: Path, make_source
) -> None:
    before = live.result.read_bytes()
    stop = Stop()
    stop.request()
    outputs = Outputs(result=live.result, recording=tmp_path / "new.h5")
    silent = make_source([])
    silent.live = True
    run_session(silent, config, calibration, outputs, stop=stop)
    assert live.result.read_bytes() == before
    assert not outputs.recording.exists()


def test_a_file_that_was_not_read_to_its_end_gives_no_result(
    live: Outputs, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    stop = Stop()
    stop.request()
    outputs = Outputs(result=tmp_path / "partial.nxs")
    with pytest.raises(InterruptedError, match="no result"):
        run_session(open_file(live.recording), config, calibration, outputs, stop=stop)
    assert not list(tmp_path.glob("partial*"))


@pytest.mark.parametrize("name", ["recording.h5", "live.nxs"])
def test_products_never_replace_inputs_or_each_other(live: Outputs, name: str) -> None:
    place = live.result.parent / name
    with pytest.raises(FileError, match="same file"):
        Outputs(result=place, recording=live.recording).refuse({"the input": live.result})
