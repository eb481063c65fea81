"""Counting on a cluster: what a worker does with a batch, and the backend that sums them up."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from hexlive.kernels.backend import (
    Backend,
    Counts,
    EventSettings,
    Hardware,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.contract import without
from hexlive.stream.campaign.plan import Batch, Piece
from hexlive.stream.device import CLUSTER, DeviceName, open_counter
from hexlive.stream.files import FileError
from hexlive.stream.recordings import FileSource, open_file


@dataclass(frozen=True, kw_only=True, eq=False)
class Rules:
    """All that decides on counts, and what counts.

    Attributes
    ----------
    version
        Of hexlive.
    device, threads
        What each worker counts with; None: as many threads as it has cores.
    """

    version: str
    device: DeviceName
    threads: int | None
    events: EventSettings
    spectrum: SpectrumSettings
    pixels: PixelMaps

    def open(self) -> Backend:
        """Open the device.

        Raises
        ------
        RuntimeError
            This worker has another version of hexlive.
        """
        if (own := version("hexlive")) != self.version:
            raise RuntimeError(
                f"The worker on {gethostname()} has hexlive {own}, not {self.version}: the same "
                "version must be installed everywhere."
            )
        return open_counter(
            self.device,
            events=self.events,
            spectrum=self.spectrum,
            pixels=self.pixels,
            threads=self.threads,
        )


class Recorded(NamedTuple):
    """A recording as it was when its counting began, the same for every worker.

    Attributes
    ----------
    path
        Absolute, so that workers elsewhere find it.
    dataset, frame_rate_hz, calibrated
        See `open_file`.
    n_bytes, modified_ns
        By which a worker tells that it has the same file.
    """

    path: Path
    dataset: str | None
    frame_rate_hz: float
    calibrated: bool
    n_bytes: int
    modified_ns: int

    def open(self) -> FileSource:
        """Open it.

        Raises
        ------
        FileError
            It cannot be used, or is no longer the same.
        """
        source = open_file(self.path, self.dataset, self.frame_rate_hz, calibrated=self.calibrated)
        if fingerprint(self.path) != (self.n_bytes, self.modified_ns):
            raise FileError(f"{self.path} was changed while it was counted.")
        return source


def fingerprint(path: Path) -> tuple[int, int]:
    """Size (bytes) and time of the last change (ns) of a file.

    Raises
    ------
    FileError
        There is none.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(f"There is no file {path}.") from error
    return status.st_size, status.st_mtime_ns


class _Opened(threading.local):
    """The backend that this thread of a worker counted with last."""

    rules: Rules | None = None
    backend: Backend


_opened: Final = _Opened()


def count_batch(recorded: Recorded, batch: Batch, rules: Rules) -> Counts:
    """Count a batch; what a worker runs, as often as it takes.

    Raises
    ------
    FileError, OSError
        The recording cannot be read.
    BackendUnavailableError
        The worker has no such device.
    """
    source = recorded.open()
    if _opened.rules is not rules:
        _opened.rules, _opened.backend = None, rules.open()
        _opened.rules = rules
    backend = _opened.backend
    backend.clear()  # an earlier batch may have ended in the middle
    before = None
    if batch.before is not None and rules.events.next_frame:
        _add(backend, source, batch.before)
        before = backend.snapshot()
    for piece in batch.pieces:
        _add(backend, source, piece)
    counts = backend.snapshot()
    return counts if before is None else without(counts, before)


def _add(backend: Backend, source: FileSource, piece: Piece) -> None:
    first = piece.first_frame
    for frames in source.frames(piece.begin, piece.end):
        backend.add(frames, first)
        first += len(frames)


class Gathered:
    """The backend of a run whose frames are counted elsewhere: it waits for their counts.

    Parameters
    ----------
    total
        Adds up.
    batches
        In the order in which their frames come.
    take
        Waits for the counts of the next batch.
    """

    name: Final = CLUSTER

    def __init__(self, total: Backend, batches: list[Batch], take: Callable[[], Counts]) -> None:
        self._total, self._take = total, take
        self._sizes: Iterator[int] = iter([batch.n_frames for batch in batches])
        self._n_frames, self._needed = 0, next(self._sizes, None)

    @property
    def hardware(self) -> Hardware:
        """Whatever the workers have."""
        return Hardware(name="workers of a cluster")

    def add(self, frames: NDArray[Any], first_frame: int) -> None:
        """Take note of frames that are counted elsewhere; add up a batch when it is whole."""
        self._n_frames += len(frames)
        while self._needed is not None and self._n_frames >= self._needed:
            self._total.load(self._take())
            self._n_frames -= self._needed
            self._needed = next(self._sizes, None)

    def load(self, counts: Counts) -> None:
        """Add counts of other frames."""
        self._total.load(counts)

    def snapshot(self) -> Counts:
        """Copy of everything counted so far.

        Raises
        ------
        ArithmeticError
            It is asked for in the middle of a batch: a defect, never a property of the data.
        """
        if self._n_frames:
            raise ArithmeticError(f"The sum was asked for {self._n_frames} frames into a batch.")
        return self._total.snapshot()

    def clear(self) -> None:
        """Back to zero counts."""
        self._total.clear()
