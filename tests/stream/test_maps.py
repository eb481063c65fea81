"""Maps of other programs are read whole, or refused in one sentence that names the file."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hexlive.stream.files import FileError
from hexlive.stream.maps import read_map, read_numbers

MAP = np.arange(12.0).reshape(3, 4) / 8
TEXT = "\n".join(" ".join(f"{value}" for value in row) for row in MAP)


@pytest.mark.parametrize("name", ["m.txt", "m.txt.gz", "m.npy", "m.mat"])
def test_every_format_gives_the_same_map(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    match path.suffix:
        case ".npy":
            np.save(path, MAP)
        case ".mat":
            savemat(path, {"gradients": MAP})
        case ".gz":
            path.write_bytes(gzip.compress(TEXT.encode()))
        case _:
            path.write_text(TEXT)
    np.testing.assert_array_equal(read_map(str(path), (3, 4)), MAP.astype(np.float32))
    with pytest.raises(FileError, match=re.escape("holds 12 numbers, 3 x 5 = 15 are needed")):
        read_map(str(path), (3, 5))


@pytest.mark.parametrize("cut", [0, 5, 20, -4])
def test_a_packed_file_that_is_cut_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "m.txt.gz"
    path.write_bytes(gzip.compress(TEXT.encode())[:cut])
    with pytest.raises(FileError, match=r"m\.txt\.gz"):
        read_map(str(path), (3, 4))


def test_a_packed_file_with_any_byte_wrong_is_refused_or_read_as_it_was(tmp_path: Path) -> None:
    packed = gzip.compress(TEXT.encode(), mtime=0)
    for place in range(len(packed)):
        path = tmp_path / "m.txt.gz"
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :])
        try:
            values = read_numbers(path)
        except FileError:
            continue
        np.testing.assert_array_equal(values, MAP.ravel())


@pytest.mark.parametrize("content", [b"1 2 three", b"\xff\xfe\x00", b"1,2,3"])
def test_text_that_is_no_numbers_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.txt").write_bytes(content)
    with pytest.raises(FileError, match=r"m\.txt does not hold numbers"):
        read_numbers(tmp_path / "m.txt")
