"""What a campaign has done: ``campaign.json`` in its folder, by which a restart goes on."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, Literal

import msgspec

from hexlive.stream.files import FileError, whole_or_absent

NAME: Final = "campaign.json"
RESULT: Final = "result.nxs"
DECIDING: Final = ("n_bytes", "modified_ns", "made_with", "dataset")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One recording.

    Attributes
    ----------
    recording
        Absolute path.
    result
        Path of its result in the folder of the campaign.
    sentence
        Why it failed.
    n_bytes, modified_ns
        Of the recording, by which a change is seen.
    made_with
        SHA-256 of what decided on the result: version, calibration id, configuration.
    dataset
        Where the frames were looked for; None: at the usual places.
    frames, missing
        Received, and lost.
    rejected
        By reason.
    seconds
        Since the recording before was finished.
    """

    recording: str
    result: str
    status: Literal["done", "failed"]
    sentence: str = ""
    n_bytes: int = 0
    modified_ns: int = 0
    made_with: str
    dataset: str | None = None
    frames: int = 0
    missing: int = 0
    rejected: dict[str, int] = {}
    seconds: float = 0.0


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the file."""

    recordings: list[Entry]
    v: Literal[1] = 1


class Book:
    """The entries of a campaign, on disk after each recording.

    Parameters
    ----------
    folder
        Of the campaign; it is there when something is put.

    Raises
    ------
    FileError
        There is a book that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._entries: dict[str, Entry] = {}
        if self.path.exists():
            try:
                page = msgspec.json.decode(self.path.read_bytes(), type=Page)
            except (OSError, msgspec.MsgspecError) as error:
                raise FileError(
                    f"{self.path} is damaged ({error}); remove it to do the campaign anew."
                ) from error
            self._entries = {entry.recording: entry for entry in page.recordings}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def entry(self, recording: Path) -> Entry | None:
        """What is known of a recording."""
        return self._entries.get(str(recording))

    def put(self, entry: Entry) -> None:
        """Write down how a recording went.

        Raises
        ------
        FileError
            The folder cannot be written to.
        """
        self._entries[entry.recording] = entry
        page = Page(recordings=list(self._entries.values()))
        with whole_or_absent(self.path) as part:
            part.write_bytes(msgspec.json.format(msgspec.json.encode(page)) + b"\n")

    def done(self, entry: Entry) -> bool:
        """Whether this was done before, of the same file and with the same settings."""
        known = self._entries.get(entry.recording)
        if known is None or known.status != "done":
            return False
        same = all(getattr(known, name) == getattr(entry, name) for name in DECIDING)
        return same and (self.folder / known.result).is_file()

    def results(self, recordings: Iterable[Path]) -> dict[Path, str]:
        """Where the result of each goes: a folder of its own, the same in every start.

        It has the name of the recording, with those of its folders in front as far as it takes.
        """
        taken = {entry.result: entry.recording for entry in self}
        found: dict[Path, str] = {}
        for path in recordings:
            known = self.entry(path)
            names = iter([known.result]) if known else (f"{n}/{RESULT}" for n in _names(path))
            result = next(name for name in names if taken.get(name, str(path)) == str(path))
            taken[result], found[path] = str(path), result
        return found


def _names(path: Path) -> Iterator[str]:
    """The stem of a path, with its ending, with the name of its folder in front, and so on."""
    yield path.stem
    name = path.name
    yield name
    for parent in path.parents[:-1]:
        name = f"{parent.name}_{name}"
        yield name
    yield from (f"{name}_{number}" for number in count(2))
