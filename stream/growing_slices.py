"""The slices of one CT scan that grow in a process of their own: what that process runs."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.choosing import GPU_ENGINES
from hexlive.reconstruct.ct.live import LiveSlices, ready_engine
from hexlive.reconstruct.ct.live_volume import LiveVolume
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.reconstruct.optional import EngineUnavailableError
from hexlive.stream.nxtomo import DARK, FLAT, PROJECTION

Slices = dict[str, NDArray[np.float32]]


class Batch(NamedTuple):
    """What slices need of some images, with angle, key and number of each.

    ``rows`` are some rows ``(images, rows, columns)``, ``coarse`` all of it `halved`, or None.
    """

    rows: NDArray[np.uint16]
    coarse: NDArray[np.uint16] | None
    angles_deg: NDArray[np.float64]
    image_key: NDArray[np.uint8]
    taken: NDArray[np.intp]


class Answer(NamedTuple):
    """What a call brings: slices by name, if any, and their axis.

    ``whole`` says whether a volume grows, ``cuts_fault`` why one does not that was to.
    """

    slices: Slices
    centre_px: float | None
    whole: bool
    cuts_fault: str | None


class Growing:
    """The slice of one row, and on a GPU the volume of them all.

    Parameters
    ----------
    shape
        (rows, columns) of the detector.
    row
        The row of the slice, among those of a `Batch`.
    n_images
        Of the whole scan.
    whole
        Make a volume, too, if the engine is one for GPUs.
    """

    def __init__(
        self,
        settings: TomographySettings,
        shape: tuple[int, int],
        row: int,
        centre_px: float | None,
        n_images: int,
        whole: bool,
    ) -> None:
        engine = ready_engine(settings, shape[1], n_images)
        rows = slice(row, row + 1)
        self._slice = LiveSlices(settings, engine, shape[1], rows, centre_px, n_images)
        self._volume: LiveVolume | None = None
        self._cuts_fault: str | None = None
        if whole and centre_px is not None and engine in GPU_ENGINES:
            with_volume = partial(LiveVolume, settings, engine, shape, centre_px, n_images)
            self._volume = self._tried(with_volume)

    def keep(self, batch: Batch) -> None:
        """Take some images."""
        _add(self._slice, batch.rows, batch)
        volume, coarse = self._volume, batch.coarse
        if volume is not None and coarse is not None:
            self._tried(lambda: _add(volume, coarse, batch))

    def slices(self, *, finish: bool) -> Slices:
        """The slice of the row as it is now, or at the end."""
        made = self._slice.finish() if finish else self._slice.update()
        return {} if made is None else {"xy": self._slice.on_host(made[0])}

    def cuts(self, *, finish: bool) -> Slices:
        """Two slices along the axis, as they are now, or at the end."""
        volume = self._volume
        if volume is None:
            return {}
        return self._tried(lambda: volume.cuts(finish=finish)) or {}

    def answer(self, slices: Slices | None = None) -> Answer:
        """With what there is to say of the volume."""
        whole = self._volume is not None
        return Answer(slices or {}, self._slice.centre_px, whole, self._cuts_fault)

    def _tried(self, action: Callable[[], Any]) -> Any:
        """Do without the volume where it fails: the slice of the row goes on."""
        try:
            return action()
        except (EngineUnavailableError, MemoryError) as error:
            self._volume, self._cuts_fault = None, str(error)
            return None


def _add(slices: LiveSlices, images: NDArray[np.uint16], batch: Batch) -> None:
    flats, darks = batch.image_key == FLAT, batch.image_key == DARK
    slices.add_references(images[flats], images[darks], batch.taken[flats])
    good = (batch.image_key == PROJECTION) & np.isfinite(batch.angles_deg)
    slices.add(images[good], batch.angles_deg[good], batch.taken[good])


_growing: dict[int, Growing] = {}  # of the worker process: one at a time, by scan


def begin(scan: int, *arguments: Any) -> Answer:
    """Make ready for a scan; see `Growing`."""
    _growing.clear()
    _growing[scan] = Growing(*arguments)
    return _growing[scan].answer()


def keep(scan: int, batch: Batch) -> Answer:
    """Take some images."""
    growing = _of(scan)
    growing.keep(batch)
    return growing.answer()


def grow(scan: int) -> Answer:
    """All slices as they are now."""
    growing = _of(scan)
    slices = growing.slices(finish=False) | growing.cuts(finish=False)
    return growing.answer(slices)


def finish(scan: int) -> Answer:
    """The slice of the row, of all images."""
    growing = _of(scan)
    return growing.answer(growing.slices(finish=True))


def finish_cuts(scan: int) -> Answer:
    """The slices along the axis, of all images; the last that is asked of a scan."""
    growing = _of(scan)
    _growing.clear()
    return growing.answer(growing.cuts(finish=True))


def _of(scan: int) -> Growing:
    if scan not in _growing:  # this process is the successor of the one that began
        raise RuntimeError("its process died.")
    return _growing[scan]
