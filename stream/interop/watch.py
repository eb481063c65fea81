"""Scan files that other programs finish in a folder, reconstructed like scans of the stream.

The folder is named in the local configuration. Nothing that comes over a network names a file: an
announcement is a name to be looked for in the listing of the folder, and only speeds things up.
"""

import logging
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

import h5py
import numpy as np

from hexlive.stream.ct import TomographyReducer
from hexlive.stream.files import FileError, opened
from hexlive.stream.interop.stacks import written_frames
from hexlive.stream.layouts import find_layout
from hexlive.stream.model import Message, Segment
from hexlive.stream.nxtomo import PROJECTION
from hexlive.stream.results import CtResult

SUFFIXES: Final = (".nxs", ".h5", ".hdf5", ".hdf")
INTERVAL_S: Final = 1.0
REMEMBERED: Final = 1000  # announced names that did not come yet
LOG: Final = logging.getLogger(__name__)


class FoundScan(NamedTuple):
    """A finished scan file, and its number of images."""

    path: Path
    n_images: int


class FolderWatch:
    """Looks into a folder, again and again, for scan files that are finished.

    A file is finished when it did not change between two looks, nobody has it open for writing (as
    far as locks tell), images, image keys and angles are of one length, and all were written. Each
    file is given once. Files that were there at the start are left alone unless they still grow.

    Raises
    ------
    FileError
        There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileError(f"There is no folder {folder} to watch; see tomography.watch.")
        self._folder = folder
        self._old = self._last = self._listing()
        self._done: set[str] = set()
        self._waiting: set[str] = set()
        self._quiet: Counter[str] = Counter()
        self._announced: OrderedDict[str, int] = OrderedDict()

    def announce(self, name: str, looks: int = 0) -> None:
        """Somebody says that a scan is over: it is taken even where images are missing at its end.

        Parameters
        ----------
        name
            Of a file in the folder. What is not exactly a name in its listing has no effect.
        looks
            For how many looks the file must not have changed before that.
        """
        self._announced[name] = looks
        if len(self._announced) > REMEMBERED:
            self._announced.popitem(last=False)

    def look(self) -> Iterator[FoundScan]:
        """Files that are finished since the last look, oldest first."""
        before, self._last = self._last, self._listing()
        for name, stamp in sorted(self._last.items(), key=lambda item: item[::-1]):
            self._quiet[name] = self._quiet[name] + 1 if before.get(name) == stamp else 0
            over = self._quiet[name] >= self._announced.get(name, math.inf)
            finished = self._quiet[name] > 0 and self._old.get(name) != stamp
            if name in self._done or not (over or finished):
                continue
            path = self._folder / name
            try:
                n_images = _count_images(path, cut_short=over)
            except Exception as error:  # other programs write anything; the next file is looked at
                if name not in self._waiting:
                    LOG.info("%s is not a finished scan yet: %s", path, error)
                self._waiting.add(name)
                continue
            self._done.add(name)
            LOG.info("%s is finished, %d images", path, n_images)
            yield FoundScan(path, n_images)

    def _listing(self) -> dict[str, tuple[int, int]]:
        """Time of the last change (ns) and size of each file that may hold a scan."""
        found = {}
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # it may be gone again
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    status = path.stat()
                    found[path.name] = (status.st_mtime_ns, status.st_size)
        return found


def _count_images(path: Path, *, cut_short: bool) -> int:
    """Number of images of a scan file that is whole.

    Raises
    ------
    ValueError, OSError, KeyError
        It is not whole, or not a scan.
    """
    with opened(path) as file:
        theta = file.get("exchange/theta")
        if isinstance(theta, h5py.Dataset):
            parts, key = {"images": file["exchange/data"], "angles": theta}, np.zeros(len(theta))
        else:
            layout = find_layout(file, path, None)
            parts = {"images": layout.data, "image keys": layout.image_key, "angles": layout.angle}
            key = layout.image_key[()]
        written = {name: int(written_frames(part).sum()) for name, part in parts.items()}
        expected = max(len(part) for part in parts.values())
    n_images = min(written.values())
    if not (key[:n_images] == PROJECTION).any():
        raise ValueError("it has no projections.")
    if n_images < expected and not cut_short:
        said = ", ".join(f"{count} {name}" for name, count in written.items())
        raise ValueError(f"it has {said}, of {expected}.")
    return n_images


class WatchedTomography:
    """The CT reducer, which also takes finished files of a folder; a thread does the looking.

    Such a scan belongs to the state of the exposure that is on when it is found.
    """

    def __init__(self, tomography: TomographyReducer, watch: FolderWatch) -> None:
        self._tomography, self._watch = tomography, watch
        self._found: SimpleQueue[FoundScan] = SimpleQueue()
        self._state: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="folder watch", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """A reconstruction is still to come."""
        return self._tomography.busy

    def add(self, message: Message) -> None:
        """Take a part of a scan of the stream."""
        self._take()
        if isinstance(message, Segment):
            self._state = message.state
        self._tomography.add(message)

    def snapshot(self) -> CtResult:
        """Where every scan of this run stands."""
        self._take()
        return self._tomography.snapshot()

    def finish(self) -> None:
        """Look no further; what was found is reconstructed."""
        self.close()
        self._take()
        self._tomography.finish()

    def clear(self) -> None:
        """Give up the reconstructions under way."""
        self._tomography.clear()

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()

    def _take(self) -> None:
        while not self._found.empty():
            found = self._found.get()
            self._tomography.take(found.path, found.n_images, self._state)

    def _look(self) -> None:
        well = True
        while not self._over.wait(INTERVAL_S):
            try:
                for found in self._watch.look():
                    self._found.put(found)
                well = True
            except OSError as error:
                if well:
                    LOG.warning("the watched folder cannot be read: %s", error)
                well = False
