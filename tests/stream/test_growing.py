"""A file that grows can be had back as it was, whatever becomes of its writer or its bytes."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.files import FileError, index_of, opened
from hexlive.stream.growing import GoneError, GrowingFile
from hexlive.stream.journal import (
    Chunk,
    Column,
    Group,
    Journal,
    Link,
    Mark,
    Store,
    Value,
    read_steps,
)
from hexlive.stream.recovery import is_whole, recover

CHUNK = 4


def started(path: Path, band: int = 0) -> GrowingFile:
    file = GrowingFile(path)
    file.make(Group("/g", "NXdata"))
    file.make(Mark("/g", {"signal": "rows"}))
    file.make(Value("/g/pixel_um", 3.24))
    file.make(Store("/g/rows", "<u2", (3, 5), 1 if band else CHUNK, band=band))
    file.make(Column("/g/number", "<f8", along="/g/rows"))
    file.make(Column("/g/text", None))
    file.make(Link("/g/link", "/g/rows"))
    return file


def grow(file: GrowingFile, begin: int, end: int) -> None:
    numbers = np.arange(begin, end)
    file.append("/g/rows", np.broadcast_to(numbers[:, None, None], (end - begin, 3, 5)))
    file.append("/g/number", numbers)
    file.append("/g/text", [str(number).encode() for number in numbers])


def abandoned(file: GrowingFile, folder: Path) -> Path:
    """What a killed writer leaves: the files as they are on disk now."""
    folder.mkdir()
    for path in (file.path, index_of(file.path)):
        shutil.copy(path, folder)
    return folder / file.path.name


def assert_holds(path: Path, n_rows: int, n_texts: int | None = None) -> None:
    with opened(path) as file:
        group = file["g"]
        assert group["rows"].shape == (n_rows, 3, 5)
        for rows in (group["rows"][:, 2, 4], group["link"][:, 0, 0], group["number"][()]):
            assert rows.tolist() == list(range(n_rows))
        texts = n_rows if n_texts is None else n_texts
        assert group["text"][()].tolist() == [str(n).encode() for n in range(texts)]
        assert group["pixel_um"][()] == 3.24
        assert dict(group.attrs) == {"NX_class": "NXdata", "signal": "rows"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.h5"


@pytest.mark.parametrize("band", [0, 1, 2, 9])
@pytest.mark.parametrize("steps", [(1,), (4,), (3, 1, 4), (9, 2, 2, 30), (1, 1, 1, 1, 1, 1)])
def test_what_was_flushed_survives_its_writer(tmp_path: Path, path: Path, steps, band) -> None:
    file, n_rows = started(path, band), 0
    for number, step in enumerate(steps):
        grow(file, n_rows, n_rows + step)
        n_rows += step
        file.flush()
        survivor = abandoned(file, tmp_path / str(number))
        recovered = recover(survivor)
        assert recovered.path == survivor
        assert is_whole(survivor)
        assert_holds(survivor, n_rows)
        assert sorted(each.name for each in survivor.parent.iterdir()) == ["file.h5"]
    file.close()
    assert is_whole(path)
    assert_holds(path, n_rows)


def test_whole_chunks_survive_before_the_flush(tmp_path: Path, path: Path) -> None:
    file = started(path)
    grow(file, 0, 2 * CHUNK + 1)
    survivor = abandoned(file, tmp_path / "killed")
    file.close()
    recover(survivor)
    assert_holds(survivor, 2 * CHUNK, n_texts=2 * CHUNK + 1)


def test_the_structure_of_the_damaged_file_is_not_needed(tmp_path: Path, path: Path) -> None:
    file = started(path)
    grow(file, 0, 10)
    file.flush()
    survivor = abandoned(file, tmp_path / "killed")
    file.close()
    with survivor.open("r+b") as damaged:
        damaged.write(bytes(512))
    assert not h5py.is_hdf5(survivor)
    recover(survivor)
    assert_holds(survivor, 10)


@pytest.mark.parametrize("band", [0, 2])
def test_an_index_that_was_cut_anywhere_gives_what_came_before(
    tmp_path: Path, path: Path, band: int
) -> None:
    file = started(path, band)
    for begin in range(0, 12, 3):
        grow(file, begin, begin + 3)
        file.flush()
    whole = index_of(path).read_bytes()
    n_rows = []
    for length in np.linspace(1500, len(whole), 12).astype(int):
        survivor = abandoned(file, tmp_path / str(length))
        index_of(survivor).write_bytes(whole[:length])
        recover(survivor)
        with opened(survivor) as recovered:
            rows = recovered["g/rows"][:, 0, 0].tolist()
        assert rows == list(range(len(rows)))
        n_rows.append(len(rows))
    file.close()
    assert n_rows == sorted(n_rows)
    assert n_rows[-1] == 12


def test_a_flipped_bit_costs_what_follows_it_and_keeps_the_damaged_file(
    tmp_path: Path, path: Path
) -> None:
    file = started(path)
    grow(file, 0, 3 * CHUNK)
    survivor = abandoned(file, tmp_path / "killed")
    file.close()
    with index_of(survivor).open("rb") as index:
        second = [step for step in read_steps(index) if isinstance(step, Chunk)][1]
    with survivor.open("r+b") as damaged:
        damaged.seek(second.offset + second.size // 2)
        byte = damaged.read(1)[0]
        damaged.seek(-1, os.SEEK_CUR)
        damaged.write(bytes([byte ^ 1]))
    recovered = recover(survivor)
    assert "what follows row 4 of /g/rows" in recovered.lost
    assert "kept as file.h5.damaged" in recovered.lost
    assert_holds(survivor, CHUNK, n_texts=3 * CHUNK)
    assert survivor.with_name("file.h5.damaged").exists()


def test_rows_in_the_index_stand_in_for_a_chunk_that_was_not_written(
    tmp_path: Path, path: Path
) -> None:
    file = started(path)
    grow(file, 0, 3)
    file.flush()
    grow(file, 3, 9)
    survivor = abandoned(file, tmp_path / "killed")
    file.close()
    with survivor.open("r+b") as cut:
        cut.truncate(1024)
    assert "what follows row 0" in recover(survivor).lost
    assert_holds(survivor, 3, n_texts=9)


def test_a_recovery_that_was_killed_can_be_done_again(tmp_path: Path, path: Path) -> None:
    file = started(path)
    grow(file, 0, 10)
    file.flush()
    survivor = abandoned(file, tmp_path / "killed")
    file.close()
    survivor.rename(survivor.with_name("file.h5.damaged"))
    survivor.write_bytes(b"whatever was in its place")
    recover(survivor)
    assert_holds(survivor, 10)
    assert [each.name for each in survivor.parent.iterdir()] == ["file.h5"]


def test_a_file_without_a_name_is_noticed_and_leaves_nothing_behind(path: Path) -> None:
    file = started(path)
    grow(file, 0, 10)
    path.unlink()
    with pytest.raises(GoneError, match="removed or renamed"):
        file.flush()
    file.close()
    assert not list(path.parent.iterdir())


def test_a_file_being_written_is_neither_read_nor_recovered_nor_replaced(path: Path) -> None:
    file = started(path)
    assert not is_whole(path)
    with pytest.raises(FileError, match="still being written"), opened(path):
        pass
    with pytest.raises(FileError, match="still being written"):
        recover(path)
    with pytest.raises(FileError, match="it exists already"):
        GrowingFile(path)
    file.close()
    assert "nothing to recover" in str(recover(path))


def test_an_index_alone_is_not_written_over(path: Path) -> None:
    Journal(path).close(keep=True)
    with pytest.raises(FileError, match="hexlive recover"):
        GrowingFile(path)
    assert not path.exists()
    index_of(path).rename(path.with_name("other.h5.index"))
    with pytest.raises(FileError, match="only its index is left"):
        recover(path.with_name("other.h5"))


def test_bands_are_chunks_of_their_own(path: Path) -> None:
    file = started(path, band=2)
    grow(file, 0, 9)
    file.close()
    with opened(path) as whole:
        rows = whole["g/rows"]
        assert rows.chunks == (1, 2, 5)
        assert rows.id.get_num_chunks() == 9 * 2
    assert_holds(path, 9)


def test_rows_of_another_size_are_refused(path: Path) -> None:
    file = started(path)
    with pytest.raises(ValueError, match="do not fit"):
        file.append("/g/rows", np.zeros((2, 3, 4), np.uint16))
    file.close()
