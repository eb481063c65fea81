"""Where results go, and a book that cannot be read."""

from pathlib import Path

import pytest

from hexlive.stream.campaign.book import NAME, Book, Entry
from hexlive.stream.files import FileError


def test_each_recording_has_a_folder_of_its_own_that_says_which_it_is(tmp_path: Path) -> None:
    paths = [Path(text) for text in ("/d/monday/r.h5", "/d/tuesday/r.h5", "/d/monday/r.bin",
                                     "/e/monday/r.h5")]  # fmt: skip
    results = list(Book(tmp_path).results(paths).values())
    assert results == [
        "r/result.nxs", "r.h5/result.nxs", "r.bin/result.nxs", "monday_r.h5/result.nxs",
    ]  # fmt: skip


def test_a_further_start_with_other_recordings_moves_no_result(tmp_path: Path) -> None:
    one, other = Path("/d/monday/r.h5"), Path("/d/tuesday/r.h5")
    book = Book(tmp_path)
    result = book.results([one])[one]
    book.put(Entry(recording=str(one), result=result, status="done", made_with=""))
    again = Book(tmp_path).results([other, one])
    assert again[one] == result
    assert again[other] != result


def test_a_damaged_book_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    with pytest.raises(FileError, match=r"campaign\.json is damaged .* remove it"):
        Book(tmp_path)
