"""The split of a recording: every frame once, and a cut wherever the sum is looked at."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.kernels.cpu import CpuBackend
from hexlive.reconstruct.drift import DriftSettings
from hexlive.stream.campaign.counting import Gathered, Recorded, Rules, count_batch, fingerprint
from hexlive.stream.campaign.plan import plan
from hexlive.stream.files import FileError
from hexlive.stream.model import Frames, Segment
from hexlive.stream.recordings import open_file

N_FRAMES = 900  # of a recording: three exposures of 300


@pytest.mark.parametrize("batch_frames", [1, 7, 64, 10_000])
def test_every_frame_is_in_one_batch(record, config, batch_frames: int) -> None:
    batches = plan(open_file(record("r.h5")), config, batch_frames)
    numbers = [
        piece.first_frame + i for batch in batches for piece in batch.pieces
        for i in range(piece.n_frames)
    ]  # fmt: skip
    assert numbers == list(range(N_FRAMES))
    assert max(batch.n_frames for batch in batches) <= batch_frames


def test_no_batch_goes_beyond_an_exposure_or_an_interval_of_the_drift_monitor(
    record, config
) -> None:
    """Points of at least 100 frames, made when the next message comes: of 120, 120 and 60."""
    batches = plan(open_file(record("r.h5")), config, 10_000)
    assert [batch.n_frames for batch in batches] == 3 * [120, 120, 60]
    unwatched = replace(config, drift=DriftSettings(lines=()))
    assert [b.n_frames for b in plan(open_file(record("s.h5")), unwatched, 10_000)] == 3 * [300]


def test_missing_frames_are_in_no_batch(record, config) -> None:
    batches = plan(open_file(record("r.h5", lose=(1, 5))), config, 10_000)
    pieces = [piece for batch in batches for piece in batch.pieces]
    assert sum(piece.n_frames for piece in pieces) == N_FRAMES - 120
    assert [piece.begin for piece in pieces] == sorted(piece.begin for piece in pieces)
    assert not {60, 300} & {piece.first_frame for piece in pieces}


def test_a_batch_knows_the_frame_before_it_unless_an_exposure_begins(record, config) -> None:
    batches = plan(open_file(record("r.h5")), config, 50)
    for earlier, batch in zip([None, *batches], batches, strict=False):
        first = batch.pieces[0].first_frame
        if first % 300 == 0:
            assert batch.before is None
        else:
            assert earlier is not None
            assert batch.before == earlier.pieces[-1].cut(
                earlier.pieces[-1].n_frames - 1, earlier.pieces[-1].n_frames
            )
            assert batch.before.first_frame == first - 1


@pytest.mark.parametrize("next_frame", [False, True])
@pytest.mark.parametrize("lose", [(), (1,)])
def test_batches_counted_apart_add_up_to_the_counts_of_the_whole(
    record, with_events, calibration, next_frame: bool, lose: tuple[int, ...]
) -> None:
    """In any order: here backwards."""
    path, config = record("r.h5", lose=lose), with_events(next_frame=next_frame, dither=True)
    rules = Rules(
        version=version("hexlive"), device="cpu", threads=1, events=config.events,
        spectrum=config.spectrum, pixels=calibration.pixel_maps(config.events),
    )  # fmt: skip
    recorded = Recorded(path, None, 9000.0, False, *fingerprint(path))
    total, whole = rules.open(), rules.open()
    for batch in plan(open_file(path), config, 37)[::-1]:
        total.load(count_batch(recorded, batch, rules))
    for message in open_file(path):
        if isinstance(message, Segment):  # a new exposure has no frame before it
            counted = whole.snapshot()
            whole.clear()
            whole.load(counted)
        elif isinstance(message, Frames):
            whole.add(message.frames, message.first_frame)
    found, expected = total.snapshot(), whole.snapshot()
    np.testing.assert_array_equal(found.spectra, expected.spectra)
    np.testing.assert_array_equal(found.hits, expected.hits)
    assert found.dropped_hits == expected.dropped_hits
    assert (found.dropped_hits["next_frame"] > 0) is next_frame


def test_a_recording_that_changes_while_it_is_counted_is_refused(record) -> None:
    path = record("r.h5")
    n_bytes, modified_ns = fingerprint(path)
    with pytest.raises(FileError, match="was changed while it was counted"):
        Recorded(path, None, 9000.0, False, n_bytes, modified_ns - 1).open()


def test_a_sum_in_the_middle_of_a_batch_is_a_defect(record, config, calibration) -> None:
    batches = plan(open_file(record("r.h5")), config)
    total = CpuBackend(
        events=config.events,
        spectrum=config.spectrum,
        pixels=calibration.pixel_maps(config.events),
        threads=1,
    )
    gathered = Gathered(total, batches, total.snapshot)
    gathered.add(np.zeros((7, 12, 10), np.uint16), 0)
    with pytest.raises(ArithmeticError, match="7 frames into a batch"):
        gathered.snapshot()


def test_a_plain_stack_is_split_too_and_unwritten_frames_are_in_no_batch(
    config, tmp_path: Path
) -> None:
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("raw_frames", (300, 12, 10), np.uint16, chunks=(10, 12, 10))
        data[:100] = data[120:] = 1000
    batches = plan(open_file(path), config, 90)
    found = [tuple(piece) for batch in batches for piece in batch.pieces]
    assert sum(end - begin for _, begin, end in found) == 280
    assert all(first == begin for first, begin, _ in found)
