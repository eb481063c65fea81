"""The live slices of a CT scan: images leave the data leg, a process makes slices of them.

Everywhere it is the slice of one detector row; with a GPU also two cuts along the axis, of a volume
of pixels twice as wide that grows with the scan.
"""

import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.choosing import GPU_ENGINES
from hexlive.reconstruct.ct.live_volume import halved
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.growing_slices import Answer, Batch, begin, finish, finish_cuts, grow, keep
from hexlive.stream.model import Projections, ScanStart
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
    """Slices by their name in a `CtView`, the axis, and when they were there (monotonic clock).

    ``stage`` is "slice" or "cuts" for those of the whole scan, "" before.
    """

    slices: dict[str, NDArray[np.float32]]
    centre_px: float
    known_s: float
    stage: str


class LiveLeg:
    """Hands what slices need of one scan to a worker, and takes slices from it.

    Parameters
    ----------
    centre_px
        Column of the axis where it is known; None: the only slice is that at the end.

    Attributes
    ----------
    fault
        Why there will be no more slices of this scan; None: there will.
    cuts_fault
        Why there are no cuts along the axis, where a GPU was to make them; None: nothing is wrong.
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
        self._n_images, self._n_seen, self._n_expected = 0, 0, start.n_images
        self._news: list[SliceNews] = []
        self._due_s = 0.0
        self._calls: list[Future[Answer]] = []
        self._growing: Future[Answer] | None = None
        self.fault: str | None = None
        self.cuts_fault: str | None = None
        self._whole = centre_px is not None and wants_gpu(settings)
        shape = (start.rows, start.columns)
        self._submit(begin, settings, shape, row - first, centre_px, start.n_images, self._whole)

    @property
    def busy(self) -> bool:
        """Calls are under way."""
        return bool(self._calls)

    def add(self, message: Projections) -> None:
        """Take what the slices need of some images."""
        self._n_images += len(message.images)
        if self.fault is None:
            coarse = halved(message.images) if self._whole else None
            images = message.images[:, self._rows].copy()
            taken = np.arange(message.first_image, message.end_image)
            batch = Batch(images, coarse, message.angles_deg, message.image_key, taken)
            self._submit(keep, batch)

    def advance(self) -> list[SliceNews]:
        """Ask for slices where it is time to; those that have come, the latest last."""
        while self._calls and self._calls[0].done():
            self._take(self._calls.pop(0))
        if self._growing not in self._calls and self._due():
            self._n_seen = self._n_images
            self._growing = self._submit(grow)
        news, self._news = self._news, []
        return news

    def finish(self) -> None:
        """No more images will come: ask for the slices of them all, behind what is under way."""
        self._n_seen = self._n_images
        if self.fault is None:
            self._submit(finish, stage="slice")
            self._submit(finish_cuts, stage="cuts")

    def _take(self, call: "Future[Answer]") -> None:
        if failed(call):
            self.fault = self.fault or _why(call)
        else:
            self._whole &= call.result().whole
            self.cuts_fault = call.result().cuts_fault

    def _due(self) -> bool:
        left = self._n_expected - self._n_images
        nearly_over = 0 <= left < LAST_PART * self._n_expected
        fresh = self.fault is None and self._n_images > self._n_seen
        return fresh and time.monotonic() >= self._due_s and not nearly_over

    def _submit(self, function: Any, *arguments: Any, stage: str = "") -> "Future[Answer]":
        began_s = time.monotonic()
        call = self._worker.submit(function, self._scan, *arguments)
        self._calls.append(call)

        def note(done: "Future[Answer]") -> None:
            known_s = time.monotonic()
            if failed(done):
                return
            slices, centre_px, *_ = done.result()
            if slices and centre_px is not None:
                self._due_s = known_s + max(self._live.interval_s, PAUSE * (known_s - began_s))
                self._news.append(SliceNews(slices, centre_px, known_s, stage))

        call.add_done_callback(note)
        return call


def wants_gpu(settings: TomographySettings) -> bool:
    """Whether the engine may be one for GPUs, as far as can be told without asking a GPU."""
    return settings.engine in ("auto", *GPU_ENGINES) and find_spec("cupy") is not None


def _why(call: "Future[Any]") -> str:
    if call.cancelled() or isinstance(call.exception(), BrokenProcessPool):
        return "its process died."
    return str(call.exception())
