"""The live slice of a CT scan: its rows leave the data leg, a process makes the slice of them."""

import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.live import LiveSlice
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.model import Projections, ScanStart
from hexlive.stream.nxtomo import DARK, FLAT, PROJECTION
from hexlive.stream.worker import Worker, failed

NEIGHBOURS: Final = 1  # rows on either side, for the zinger filter
PAUSE: Final = 3.0  # between updates, of the time that the last one took
LAST_PART: Final = 0.05  # of a scan: no more updates, as the slice at its end would wait for them


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveScanSettings:
    """What happens to a CT scan while it runs, and when it counts as over.

    Attributes
    ----------
    row
        Detector row of the live slice; None: the middle one.
    interval_s
        Between updates of the live slice, at least.
    end_timeout_s
        After the end of a scan: how long to wait for images that are still missing.
    idle_timeout_s
        A scan without images for so long has ended; None: wait for its end.
    """

    row: int | None = None
    interval_s: float = 1.0
    end_timeout_s: float = 1.0
    idle_timeout_s: float | None = 60.0

    def __post_init__(self) -> None:
        """Refuse times and rows that are none.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        if self.row is not None and self.row < 0:
            raise ValueError(f"live_scan.row must not be negative, not {self.row}.")
        for name in ("interval_s", "end_timeout_s", "idle_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < inf:
                raise ValueError(f"live_scan.{name} must be a time, not {value}.")


class SliceNews(NamedTuple):
    """A slice ``(y, x)``, the axis it was made with, and when it was there (monotonic clock)."""

    xy: NDArray[np.float32]
    centre_px: float
    known_s: float


class LiveLeg:
    """Hands the rows of one scan to a worker, a batch at a time, and takes slices from it.

    Parameters
    ----------
    centre_px
        Column of the axis where it is known; None: the only slice is that at the end.

    Attributes
    ----------
    fault
        Why there will be no more slices of this scan; None: there will.
    """

    def __init__(
        self,
        worker: Worker,
        start: ScanStart,
        settings: TomographySettings,
        live: LiveScanSettings,
        centre_px: float | None,
    ) -> None:
        self._worker, self._live, self._scan = worker, live, start.scan
        row = start.rows // 2 if live.row is None else min(live.row, start.rows - 1)
        first = max(0, row - NEIGHBOURS)
        self._rows = slice(first, row + NEIGHBOURS + 1)
        self._n_images, self._n_expected = 0, start.n_images
        self._waiting: list[Batch] = []
        self._news: list[SliceNews] = []
        self._due_s = 0.0
        self._call: Future[None] | None = None
        self.fault: str | None = None
        self._submit(_begin, settings, start.columns, row - first, centre_px, start.n_images)

    @property
    def busy(self) -> bool:
        """A call is under way."""
        return self._call is not None

    def add(self, message: Projections) -> None:
        """Take what the slice needs of some images."""
        self._n_images += len(message.images)
        if self.fault is None:
            images = message.images[:, self._rows].copy()
            self._waiting.append(Batch(images, message.angles_deg, message.image_key))

    def advance(self) -> SliceNews | None:
        """Keep the worker supplied; the newest slice, if there is a new one."""
        if self._call is not None and self._call.done():
            if self.fault is None and failed(self._call):
                self.fault = _why(self._call)
                self._waiting.clear()
            self._call = None
        if self._call is None and self._waiting and self._due():
            self._hand_over(_grow)
        news = self._news[-1] if self._news else None
        self._news.clear()
        return news

    def finish(self) -> None:
        """No more images will come: ask for the slice of them all, behind what is under way."""
        self._hand_over(_finish)

    def _due(self) -> bool:
        left = self._n_expected - self._n_images
        nearly_over = 0 <= left < LAST_PART * self._n_expected
        return time.monotonic() >= self._due_s and not nearly_over

    def _hand_over(self, function: Any) -> None:
        batches, self._waiting = self._waiting, []
        if self.fault is None:
            self._submit(function, batches)

    def _submit(self, function: Any, *arguments: Any) -> None:
        began_s = time.monotonic()
        call = self._call = self._worker.submit(function, self._scan, *arguments)

        def note(done: "Future[tuple[NDArray[np.float32], float] | None]") -> None:
            known_s = time.monotonic()
            self._due_s = known_s + max(self._live.interval_s, PAUSE * (known_s - began_s))
            if not failed(done) and (made := done.result()) is not None:
                self._news.append(SliceNews(*made, known_s))

        call.add_done_callback(note)


def _why(call: "Future[Any]") -> str:
    if call.cancelled() or isinstance(call.exception(), BrokenProcessPool):
        return "its process died."
    return str(call.exception())


class Batch(NamedTuple):
    """Some rows ``(images, rows, columns)`` of some images, with an angle and a key each."""

    images: NDArray[np.uint16]
    angles_deg: NDArray[np.float64]
    image_key: NDArray[np.uint8]


_slices: dict[int, LiveSlice] = {}  # of the worker process: one at a time, by scan


def _begin(
    scan: int,
    settings: TomographySettings,
    columns: int,
    row: int,
    centre_px: float | None,
    n_images: int,
) -> None:
    _slices.clear()
    _slices[scan] = LiveSlice(settings, columns, row, centre_px, n_images)


def _grow(scan: int, batches: list[Batch]) -> tuple[NDArray[np.float32], float] | None:
    return _made(_with(scan, batches), finish=False)


def _finish(scan: int, batches: list[Batch]) -> tuple[NDArray[np.float32], float] | None:
    made = _made(_with(scan, batches), finish=True)
    _slices.clear()
    return made


def _with(scan: int, batches: list[Batch]) -> LiveSlice:
    slice_ = _slices.get(scan)
    if slice_ is None:  # this process is the successor of the one that began
        raise RuntimeError("its process died.")
    for images, angles_deg, key in batches:
        slice_.add_references(images[key == FLAT], images[key == DARK])
        good = (key == PROJECTION) & np.isfinite(angles_deg)
        slice_.add(images[good], angles_deg[good])
    return slice_


def _made(slice_: LiveSlice, *, finish: bool) -> tuple[NDArray[np.float32], float] | None:
    image = slice_.finish() if finish else slice_.update()
    if image is None or slice_.centre_px is None:
        return None
    return image, slice_.centre_px
