"""Arrays between the stages leave memory when they would not fit, and go with the last reader."""

import numpy as np
import pytest

from hexlive.reconstruct.volumes.slabs import Part, Slabs
from hexlive.reconstruct.volumes.surface_settings import SurfaceError

SHAPE = (10, 20, 30)


@pytest.mark.parametrize(("memory_mb", "on_disk"), [(100.0, False), (0.01, True)])
def test_what_does_not_fit_is_kept_in_a_file(memory_mb, on_disk):
    scratch = Slabs(SHAPE, memory_mb).scratch(np.float32)
    assert isinstance(scratch, np.memmap) == on_disk
    assert not scratch.any()
    scratch[3] = 7
    assert scratch.sum() == 7 * 20 * 30


def test_a_disk_without_room_is_a_sentence_and_not_the_end_of_the_process():
    more_than_any_disk = Slabs((10**6, 10**5, 10**5), 1.0)
    with pytest.raises(SurfaceError, match="has no room for the 40000000000 MB"):
        more_than_any_disk.scratch(np.float32)


@pytest.mark.parametrize("memory_mb", [1e-6, 0.07, 100.0])
def test_slabs_cover_every_slice_once(memory_mb):
    slices = [z for slab in Slabs(SHAPE, memory_mb) for z in range(slab.start, slab.stop)]
    assert slices == list(range(10))


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_is_cropped_binned_and_turned(turned):
    volume = np.arange(11 * 5 * 6, dtype=np.float32).reshape(11, 5, 6)
    part = Part(volume=volume, first=2, end=9, binning=2, turned=turned)
    expected = volume[2:8, :4].reshape(3, 2, 2, 2, 3, 2).mean((1, 3, 5))
    expected = expected[::-1] if turned else expected
    assert part.shape == (3, 2, 3)
    np.testing.assert_allclose(part.read(slice(0, 3)), expected)
    np.testing.assert_allclose(part.read(slice(1, 2)), expected[1:2])
