"""Opening the result of an earlier run."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import h5py
import msgspec

from hexlive.stream.config import Config
from hexlive.stream.files import FileError, opened

ABSENT: Final = re.compile(r"object '([^']+)' doesn't exist")  # as HDF5 says it, in its own way


@contextmanager
def opened_result(path: Path) -> Iterator[tuple[h5py.Group, Config]]:
    """Give the entry of a result file, and the configuration that it was made with.

    Raises
    ------
    FileError
        Not readable, or not a result; also when it turns out within the context that something is
        absent.
    """
    with opened(path) as file:
        try:
            entry = file["entry"]
            text = entry["process/config"].asstr()[()]
            yield entry, msgspec.convert(tomllib.loads(text), Config)
        except KeyError as error:
            found = ABSENT.search(str(error))
            lacks = f"it has no {found[1]!r}" if found else str(error)
            raise FileError(f"{path} is not a result of this hexlive: {lacks}.") from error
        except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
            raise FileError(
                f"{path} is not a result of this hexlive; its configuration: {error}."
            ) from error
