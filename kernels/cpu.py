"""Frames to counts on one CPU core, with numba; the kernels are in ``events.py``."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import (
    DROP_REASONS,
    Counts,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.events import BOOKED, OVER, TOO_LARGE, UNDER, count_frames
from hexlive.kernels.state import NEVER, make_rules, make_tally, make_workspace
from hexlive.kernels.tables import pixel_tables

MAX_SPECTRA_BYTES: Final = 8 << 30
MAX_FRAMES: Final = 2**32 - 1  # a pixel has at most one event per frame, so uint32 cannot wrap
MAX_FRAME_NUMBER: Final = 2**63 - 1


class CpuBackend:
    """Counts events on one core; holds no lock and no thread, and releases the GIL while counting.

    The first one ever made on a machine compiles the kernels, which takes seconds; numba keeps
    the result on disk.

    Parameters
    ----------
    events, spectrum
        The rules, see ``docs/events.md``.
    pixels
        Calibration, mask and modules. A pixel with a gradient that is not positive or a value
        that is not finite is treated as masked. ``pixels.threshold_kev`` decides, not
        ``events.threshold_kev``.

    Raises
    ------
    ValueError
        The maps do not fit, a pixel would be hit in every frame, or the spectra take too much
        memory.
    """

    name: Final = "cpu"

    def __init__(
        self, *, events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
    ) -> None:
        _check_size(events, spectrum, pixels)
        self._shape = pixels.shape
        self._n_pixels = pixels.masked.size
        self._tables = pixel_tables(pixels, events)
        self._rules = make_rules(events, spectrum, self._n_pixels)
        self._work = make_workspace(self._n_pixels, self._tables.n_cells)
        self._tally = make_tally(self._n_pixels, spectrum.n_bins, events.keep_multiplicity)
        self._n_frames = 0
        self.add(np.zeros((0, *self._shape), np.uint16), 0)  # compile now, not at the first frame

    def add(self, frames: NDArray[np.uint16], first_frame: int) -> None:
        """Count ``(frames, rows, columns) uint16, ADU``, numbered from ``first_frame`` upwards.

        For next-frame rejection, batches must come in the order of their frame numbers.

        Raises
        ------
        ValueError
            The frames have the wrong dtype, shape or numbers; none of them was counted.
        OverflowError
            More frames than the counters can hold; take a snapshot and clear.
        """
        self._check(frames, first_frame)
        # One layout, always read-only: a second kind of array would be compiled for again.
        adu = np.require(np.asarray(frames), requirements=("C", "A"))
        adu = adu.reshape(len(frames), self._n_pixels)
        adu.flags.writeable = False
        count_frames(adu, int(first_frame), self._tables, self._rules, self._work, self._tally)
        self._n_frames += len(frames)

    def snapshot(self) -> Counts:
        """Copy of everything counted so far, checked for conservation."""
        tally = self._tally
        singles = tally.single_spectra
        counts = Counts(
            spectra=self._image(tally.spectra),
            single_spectra=self._image(singles) if self._rules.keep_singles else None,
            under=self._image(tally.under),
            over=self._image(tally.over),
            hits=self._image(tally.hits.astype(np.uint64)),
            cluster_sizes=tally.cluster_sizes.astype(np.uint64),
            window_low=self._image(tally.window_low.astype(np.uint64)),
            window_high=self._image(tally.window_high.astype(np.uint64)),
            booked_hits=int(tally.fates[BOOKED]),
            under_hits=int(tally.fates[UNDER]),
            over_hits=int(tally.fates[OVER]),
            n_frames=self._n_frames,
            dropped_hits=dict(zip(DROP_REASONS, tally.fates[TOO_LARGE:].tolist(), strict=True)),
        )
        counts.check()
        return counts

    def clear(self) -> None:
        """Back to zero counts; forget the previous frame."""
        for counters in self._tally:
            counters.fill(0)
        self._work.last_hit.fill(NEVER)
        self._n_frames = 0

    def _check(self, frames: NDArray[np.uint16], first_frame: int) -> None:
        if frames.dtype != np.uint16:
            raise ValueError(f"Frames must be uint16, not {frames.dtype}.")
        if frames.shape[1:] != self._shape or frames.ndim != 3:
            raise ValueError(
                f"Frames must have the shape (frames, {self._shape[0]}, {self._shape[1]}), "
                f"not {frames.shape}."
            )
        if not 0 <= first_frame <= MAX_FRAME_NUMBER - len(frames):
            raise ValueError(
                f"Frame numbers must lie in 0 to {MAX_FRAME_NUMBER}, "
                f"but {len(frames)} frames begin at {first_frame}."
            )
        if self._n_frames + len(frames) > MAX_FRAMES:
            raise OverflowError(
                f"{self._n_frames + len(frames)} frames are more than the counters hold "
                f"({MAX_FRAMES}); take a snapshot and clear."
            )

    def _image(self, by_pixel: NDArray[np.generic]) -> NDArray[Any]:
        return by_pixel.copy().reshape(*self._shape, *by_pixel.shape[1:])


def _check_size(events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps) -> None:
    n_spectra = pixels.masked.size * (2 if events.keep_multiplicity else 1)
    n_bytes = n_spectra * spectrum.n_bins * np.dtype(np.uint32).itemsize
    if n_bytes > MAX_SPECTRA_BYTES:
        raise ValueError(
            f"{n_spectra} spectra of {spectrum.n_bins} bins take {n_bytes / 2**30:.1f} GiB, more "
            f"than the limit of {MAX_SPECTRA_BYTES / 2**30:.0f} GiB; use wider bins."
        )
