"""Frames that other programs wrote: each is counted once, and a lost one is missing, not dark."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.files import FileError
from hexlive.stream.frame_files import FrameFiles
from hexlive.stream.interop.energies import MAX_KEV, STEP_KEV, as_adu
from hexlive.stream.interop.stacks import find_stack
from hexlive.stream.model import End, Frames
from hexlive.stream.recordings import open_file

SHAPE = (6, 4)
FRAMES = np.random.default_rng(2).integers(1, 4000, (40, *SHAPE)).astype(np.uint16)
PACKED = hdf5plugin.Bitshuffle(cname="lz4")
# Columns of one row in the order in which the camera sends them.
READ_OUT = [20 * output + step for step in range(20) for output in range(4)]


def write_odin(path: Path, kept: np.ndarray, frames=FRAMES, chunk=(1, *SHAPE), **how) -> None:
    """As odin-data's file writer does: one chunk at a time, lost frames never written."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "raw_frames", (0, *SHAPE), frames.dtype, maxshape=(None, *SHAPE), chunks=chunk, **how
        )
        for number in np.flatnonzero(kept):
            data.resize(max(len(data), number + 1), axis=0)
            data[number] = frames[number]


def numbered(path: Path) -> dict[int, np.ndarray]:
    return {
        message.first_frame + i: frame
        for message in open_file(path)
        if isinstance(message, Frames)
        for i, frame in enumerate(message.frames)
    }


def assert_given(path: Path, numbers: np.ndarray) -> None:
    found = numbered(path)
    assert sorted(found) == numbers.tolist()
    for number, frame in found.items():
        np.testing.assert_array_equal(frame, FRAMES[number])


@given(kept=st.lists(st.booleans(), min_size=40, max_size=40).filter(any))
def test_frames_that_odin_lost_are_missing_and_all_others_there(
    tmp_path_factory: pytest.TempPathFactory, kept: list[bool]
) -> None:
    path = tmp_path_factory.mktemp("odin") / "raw.h5"
    write_odin(path, np.array(kept), **PACKED)
    assert_given(path, np.flatnonzero(kept))


@pytest.mark.parametrize("chunk", [(4, *SHAPE), (1, 3, 4), None])
def test_a_dataset_written_whole_lacks_nothing_however_it_is_chunked(tmp_path, chunk) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("raw_frames", data=FRAMES, chunks=chunk)
    assert_given(tmp_path / "raw.h5", np.arange(40))


def test_a_frame_with_a_part_missing_is_missing(tmp_path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        data = file.create_dataset("raw_frames", FRAMES.shape, "<u2", chunks=(1, 3, 4))
        data[:] = FRAMES
    whole = (tmp_path / "raw.h5").stat().st_size
    with h5py.File(tmp_path / "cut.h5", "w") as file:
        data = file.create_dataset("raw_frames", FRAMES.shape, "<u2", chunks=(1, 3, 4))
        data[:7], data[7, :3], data[8:] = FRAMES[:7], FRAMES[7, :3], FRAMES[8:]
    assert (tmp_path / "cut.h5").stat().st_size <= whole
    assert_given(tmp_path / "cut.h5", np.delete(np.arange(40), 7))


def write_virtual(tmp_path: Path, kept: np.ndarray) -> Path:
    """Two processes of odin, every other frame each, and the virtual dataset over both."""
    layout = h5py.VirtualLayout(shape=FRAMES.shape, dtype=FRAMES.dtype)
    for rank in (0, 1):
        path = tmp_path / f"run_{rank + 1:06d}.h5"
        write_odin(path, kept[rank::2], frames=FRAMES[rank::2])
        with h5py.File(path) as file:
            source = h5py.VirtualSource(path.name, "raw_frames", file["raw_frames"].shape)
        layout[rank : rank + 2 * source.shape[0] : 2] = source
    with h5py.File(tmp_path / "run_vds.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("raw_frames", layout)
    return tmp_path / "run_vds.h5"


def test_frames_of_several_processes_come_in_order_without_the_lost_ones(tmp_path) -> None:
    kept = np.ones(40, bool)
    kept[[0, 3, 4, 20, 39]] = False
    assert_given(write_virtual(tmp_path, kept), np.flatnonzero(kept))


def test_a_part_of_a_virtual_dataset_that_is_gone_is_named(tmp_path) -> None:
    path = write_virtual(tmp_path, np.ones(40, bool))
    (tmp_path / "run_000002.h5").unlink()
    with pytest.raises(FileError, match="run_000002"):
        open_file(path)


def test_lost_frames_do_not_pull_a_pedestal_down(tmp_path) -> None:
    kept = np.arange(40) % 3 != 0
    write_odin(tmp_path / "dark.h5", kept)
    files = FrameFiles([tmp_path / "dark.h5"], ("raw_frames",))
    np.testing.assert_array_equal(np.concatenate(list(files)), FRAMES[kept])
    assert files.n_frames == kept.sum()


def test_the_camera_sends_a_row_through_four_outputs_at_once(tmp_path) -> None:
    image = np.random.default_rng(3).integers(0, 65536, (5, 80, 80)).astype("<u2")
    (tmp_path / "frames.bin").write_bytes(image[:, :, READ_OUT].tobytes())
    (message,) = (m for m in open_file(tmp_path / "frames.bin") if isinstance(m, Frames))
    np.testing.assert_array_equal(message.frames, image)


def test_the_rest_of_a_cut_frame_is_said_and_left_out(tmp_path, caplog) -> None:
    (tmp_path / "frames.bin").write_bytes(bytes(2 * 12_800 + 1_000))
    messages = list(open_file(tmp_path / "frames.bin"))
    assert isinstance(messages[-1], End)
    assert messages[-1].last_frame == 1
    assert "2, and 1000 bytes that are left out" in caplog.text


@pytest.mark.parametrize("size", [0, 12_799])
def test_less_than_a_frame_is_refused_with_both_sizes(tmp_path, size: int) -> None:
    (tmp_path / "frames.bin").write_bytes(bytes(size))
    with pytest.raises(FileError, match=f"{size} bytes and holds frames of 80 x 80 uint16, 12800"):
        open_file(tmp_path / "frames.bin")


@given(step=st.integers(0, 65535))
def test_an_energy_on_a_step_comes_back_as_itself(step: int) -> None:
    energy_kev = np.float32(step * STEP_KEV)
    again_kev = np.float32(as_adu(np.array([energy_kev]))[0]) * np.float32(STEP_KEV)
    assert again_kev == energy_kev


@given(energy_kev=st.floats(0, MAX_KEV, width=32))
def test_an_energy_is_moved_by_half_a_step_at_most(energy_kev: float) -> None:
    steps = as_adu(np.array([energy_kev], np.float32))
    assert abs(float(steps[0]) * STEP_KEV - energy_kev) <= STEP_KEV / 2


def test_energies_that_are_none_are_never_hits_and_wild_ones_stay_above_all() -> None:
    odd = np.array([-1, -np.inf, np.nan, np.inf, 1e30], np.float32)
    assert as_adu(odd).tolist() == [0, 0, 0, 65535, 65535]


@pytest.mark.parametrize(
    ("frames", "calibrated", "sentence"),
    [
        (FRAMES.astype(np.float32), False, "float32, frames are uint16 ADU; .*--calibrated"),
        (FRAMES, True, "uint16, calibrated frames are float32 keV"),
        (FRAMES[0], False, r"is \(6, 4\), frames are \(frames, rows, columns\)"),
        (FRAMES[:0], False, r"is \(0, 6, 4\), frames are"),
    ],
)
def test_frames_of_another_kind_are_refused_in_one_sentence(
    tmp_path, frames, calibrated, sentence
) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["raw_frames"] = frames
    with pytest.raises(FileError, match=sentence):
        find_stack(tmp_path / "f.h5", ("raw_frames",), calibrated=calibrated)


def test_a_dataset_that_was_never_written_is_refused(tmp_path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("raw_frames", FRAMES.shape, "<u2", chunks=(1, *SHAPE))
    with pytest.raises(FileError, match="no frame of raw_frames was ever written"):
        open_file(tmp_path / "f.h5")
