"""Frames to counts on the cores of the CPU, with numba; the kernels are in ``events.py``."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import (
    Counts,
    EventSettings,
    Hardware,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.contract import add_counts, check_batch, check_memory, counts_of, flat
from hexlive.kernels.events import count_frames, see_frame
from hexlive.kernels.state import NEVER, Kit, Tally, make_kit

# Handing frames to another thread takes some 50 us, in which one counts 50 frames at 1 % occupancy.
MIN_FRAMES_PER_THREAD: Final = 128
MAX_THREAD_BYTES: Final = 1 << 30  # of counters beyond those of the first thread


class CpuBackend:
    """Counts events on one or more cores, and releases the GIL while counting. Not thread-safe.

    Each thread counts a part of every batch into counters of its own; a snapshot adds them up, so
    that the counts do not depend on the number of threads. The first backend ever made on a
    machine compiles the kernels, which takes seconds; numba keeps the result on disk.

    Parameters
    ----------
    events, spectrum
        The rules, see ``docs/events.md``.
    pixels
        Calibration, mask and modules. A pixel with a gradient that is not positive or a value
        that is not finite is treated as masked. ``pixels.threshold_kev`` decides, not
        ``events.threshold_kev``.
    threads
        At most so many; None: as many as there are cores. Fewer where their counters would take
        more than a GiB.

    Raises
    ------
    ValueError
        The maps do not fit, a pixel would be hit in every frame, or the spectra take too much
        memory.
    """

    name: Final = "cpu"

    def __init__(
        self,
        *,
        events: EventSettings,
        spectrum: SpectrumSettings,
        pixels: PixelMaps,
        threads: int | None = None,
    ) -> None:
        check_memory(events, spectrum, pixels.masked.size)
        self._shape = pixels.shape
        self._new_kit = partial(make_kit, events, spectrum, pixels)
        self._kits = [self._new_kit()]  # the others when they are first needed
        n_bytes = sum(counters.nbytes for counters in self._kits[0].tally)
        self.threads: Final = usable_threads(n_bytes, threads)
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="hexlive-events")
        self._n_frames = 0
        self.add(np.zeros((0, *self._shape), np.uint16), 0)  # compile now, not at the first frame

    @property
    def hardware(self) -> Hardware:
        """The CPU, and how many of its cores at most."""
        return Hardware(name=f"CPU, {self.threads} thread{'s' * (self.threads != 1)} (numba)")

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
        check_batch(frames, first_frame, self._shape, self._n_frames)
        adu = flat(frames, self._shape[0] * self._shape[1])
        n_parts = min(self.threads, max(1, len(adu) // MIN_FRAMES_PER_THREAD))
        if n_parts == 1:
            count_frames(adu, int(first_frame), self._kits[0])
        else:
            self._share(adu, int(first_frame), n_parts)
        self._n_frames += len(frames)

    def _share(self, adu: NDArray[np.uint16], first_frame: int, n_parts: int) -> None:
        """Count a part of the frames on each of several threads."""
        self._kits += [self._new_kit() for _ in range(n_parts - len(self._kits))]
        edges = [len(adu) * i // n_parts for i in range(n_parts + 1)]

        def count(part: int) -> None:
            kit, begin, end = self._kits[part], edges[part], edges[part + 1]
            if part and kit.rules.next_frame:
                see_frame(adu[begin - 1], first_frame + begin - 1, kit)
            count_frames(adu[begin:end], first_frame + begin, kit)

        others = [self._pool.submit(count, part) for part in range(1, n_parts)]
        count(0)
        for other in others:
            other.result()
        if self._kits[0].rules.next_frame:
            see_frame(adu[-1], first_frame + len(adu) - 1, self._kits[0])

    def load(self, counts: Counts) -> None:
        """Add counts of other frames, made with the same rules; the frame before stays.

        Raises
        ------
        ValueError, ArithmeticError, OverflowError
            They do not fit, or are more than the counters hold; nothing was added.
        """
        add_counts(counts, self._kits[0].tally, self._shape, self._n_frames)
        self._n_frames += counts.n_frames

    def snapshot(self) -> Counts:
        """Copy of everything counted so far, checked for conservation."""
        tallies = [kit.tally for kit in self._kits]
        total = Tally(*map(added, zip(*tallies, strict=True)))
        singles = self._kits[0].rules.keep_singles
        return counts_of(total, self._shape, self._n_frames, singles=singles)

    def clear(self) -> None:
        """Back to zero counts; forget the previous frame."""
        for kit in self._kits:
            clear_kit(kit)
        self._n_frames = 0


def clear_kit(kit: Kit) -> None:
    """Back to zero counts; forget the previous frame."""
    for counters in kit.tally:
        counters.fill(0)
    kit.work.last_frame.fill(NEVER)


def added(arrays: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    """Sum of integer arrays of one type, as a new one."""
    total: NDArray[Any] = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def usable_threads(counters_bytes: int, asked: int | None = None) -> int:
    """How many threads, with counters of their own, there may be.

    Parameters
    ----------
    counters_bytes
        Of one thread.
    asked
        At most so many; None: as many as there are cores.
    """
    return max(1, min(asked or available_cores(), 1 + MAX_THREAD_BYTES // counters_bytes))


def available_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
