"""Chunks packed here are those of HDF5's filter, to the byte and both ways."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.packing import FILTER, HEADER, pack, unpack


@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<u8", "<f4", "<f8"])
@pytest.mark.parametrize("shape", [(64, 12, 10), (1, 3, 5), (1, 1, 1), (7,), (8192,)])
def test_a_chunk_is_what_the_filter_makes_of_it(tmp_path: Path, dtype, shape) -> None:
    rows = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        by_filter = file.create_dataset("rows", data=rows, chunks=shape, **FILTER)
        expected = by_filter.id.read_direct_chunk((0,) * len(shape))[1]
    assert pack(rows).tobytes() == bytes(expected)
    back = np.empty_like(rows)
    unpack(expected, back)
    np.testing.assert_array_equal(back, rows)


def test_a_chunk_of_another_size_or_cut_short_is_refused() -> None:
    packed = pack(np.arange(100, dtype="<u2")).tobytes()
    for damaged in (b"", packed[: HEADER.size - 1], packed[:-1] + b"\0\0"):
        with pytest.raises(ValueError, match="damaged"):
            unpack(damaged, np.empty(100, "<u2"))
    with pytest.raises(ValueError, match="damaged"):
        unpack(packed, np.empty(101, "<u2"))
