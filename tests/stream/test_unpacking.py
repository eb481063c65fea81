"""Rows read ahead are those that HDF5 reads, however they are packed and asked for."""

from contextlib import closing
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from hexlive.stream import unpacking
from hexlive.stream.files import FileError
from hexlive.stream.packing import FILTER
from hexlive.stream.unpacking import RowReader

ROWS = np.random.default_rng(1).integers(0, 900, (150, 4, 6)).astype("<u2")
PACKED = {"chunks": (16, 4, 6), **FILTER}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", 2 * ROWS[:16].nbytes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.h5"


@pytest.mark.parametrize(
    "layout",
    [
        PACKED,
        {},
        {"chunks": (16, 4, 6)},
        {"chunks": (16, 2, 6), **FILTER},
        {"chunks": (16, 4, 6), "compression": "gzip"},
        {"chunks": (16, 4, 6), **hdf5plugin.Bitshuffle(cname="zstd")},
        {"chunks": (16, 4, 6), **FILTER, "dtype": ">u2"},
    ],
)
@pytest.mark.parametrize("takes", [(150,), (1,) * 150, (5, 40, 33, 0, 72), (32, 32, 32, 32, 22)])
def test_rows_come_in_order_and_as_many_as_asked_for(path: Path, layout, takes) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("rows", data=ROWS, **layout)
        with closing(RowReader(path, dataset, 0, len(ROWS))) as reader:
            taken = [reader.take(n) for n in takes]
    assert [len(rows) for rows in taken] == list(takes)
    np.testing.assert_array_equal(np.concatenate(taken), ROWS)


@pytest.mark.parametrize("begin", [0, 1, 16, 31, 32, 100, 150])
def test_reading_may_begin_anywhere(path: Path, begin: int) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("rows", data=ROWS, **PACKED)
        with closing(RowReader(path, dataset, begin, 150)) as reader:
            np.testing.assert_array_equal(reader.take(150 - begin), ROWS[begin:])


def test_chunks_that_were_never_written_are_what_hdf5_says_they_are(path: Path) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("rows", ROWS.shape, "<u2", **PACKED)
        dataset[20:] = ROWS[20:]
        with closing(RowReader(path, dataset, 0, len(ROWS))) as reader:
            np.testing.assert_array_equal(reader.take(150), dataset[()])


def test_a_damaged_chunk_is_named(path: Path) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("rows", data=ROWS, **PACKED)
        dataset.id.write_direct_chunk((64, 0, 0), bytes(40))
        with closing(RowReader(path, dataset, 0, len(ROWS))) as reader:
            assert len(reader.take(64)) == 64
            with pytest.raises(FileError, match=r"rows\.h5 is damaged at row 64 of /rows"):
                reader.take(1)
