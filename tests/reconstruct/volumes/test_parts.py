"""Parts of a mask that is labelled slab by slab are those of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hexlive.reconstruct.volumes.parts import connected_parts
from hexlive.reconstruct.volumes.slabs import Slabs

SHAPE = (6, 4, 5)
ONE_SLICE_MB = 4 * 5 * 40 / 1e6


def by_voxel(mask, slabs):
    parts = connected_parts(lambda slab: mask[slab], slabs)
    return parts, np.concatenate([parts.of(slab) for slab in slabs])


@settings(deadline=None, max_examples=60)
@given(arrays(bool, SHAPE, elements=st.booleans()), st.integers(1, 6))
def test_slabs_label_as_one_piece_does(mask, thickness):
    parts, numbers = by_voxel(mask, Slabs(SHAPE, thickness * ONE_SLICE_MB))
    labels, n = ndimage.label(mask)
    assert len(parts.sizes_px) == n + 1
    pairs = np.unique(np.stack([labels.ravel(), numbers.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(labels))
    np.testing.assert_array_equal(np.bincount(numbers.ravel(), minlength=n + 1)[1:],
                                  parts.sizes_px[1:])  # fmt: skip


@pytest.mark.parametrize("thickness", [1, 2, 6])
def test_a_part_that_reaches_a_face_in_another_slab_is_said_to(thickness):
    mask = np.zeros(SHAPE, bool)
    mask[0:5, 1, 1] = True  # reaches the first slice
    mask[2:4, 2, 3] = True  # reaches nothing
    mask[4, 3, 3] = True  # reaches a side
    parts, numbers = by_voxel(mask, Slabs(SHAPE, thickness * ONE_SLICE_MB))
    at_face = parts.at_face[numbers[[4, 2, 4], [1, 2, 3], [1, 3, 3]]]
    assert at_face.tolist() == [True, False, True]
