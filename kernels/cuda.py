"""Frames to counts on a GPU: batches, memory, snapshots; the kernels are in ``*.cu``."""

import logging
from itertools import cycle
from typing import Any, Final

import numpy as np

from hexlive.kernels.backend import (
    BackendUnavailableError,
    Counts,
    EventSettings,
    Hardware,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.contract import check_batch, check_memory, counts_of, tally_of
from hexlive.kernels.cupy_device import Device, open_device
from hexlive.kernels.launches import LIST_BYTES, SOURCES, Launches, make_lists, padded
from hexlive.kernels.state import NEVER, Tally, make_tally

LOG: Final = logging.getLogger(__name__)
# No fused multiply-add: energies are rounded after each operation, as on the CPU.
COMPILE_OPTIONS: Final = ("--std=c++17", "--fmad=false")
# Frames of a launch: enough for every warp of the largest GPUs, and for copies and kernels to last
# much longer than the gaps between them. More would only take memory.
LAUNCH_BYTES: Final = 128 << 20
LAUNCH_FRAMES: Final = 16384
N_SLABS: Final = 2  # one is copied while the other is counted
ADU_BYTES: Final = np.dtype(np.uint16).itemsize
MIB: Final = 1 << 20


def open_cuda(
    *, events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
) -> "CudaBackend":
    """Open the current GPU.

    Raises
    ------
    BackendUnavailableError
        CuPy, a GPU or its driver is missing, or the GPU has too little memory.
    ValueError
        As of `CudaBackend`.
    """
    device = open_device(SOURCES, COMPILE_OPTIONS)
    return CudaBackend(events=events, spectrum=spectrum, pixels=pixels, device=device)


class CudaBackend:
    """Counts events on a GPU, where the counts stay until a snapshot. Not thread-safe.

    Parameters
    ----------
    events, spectrum, pixels
        As of the CPU's backend; the counts are the same.
    device
        The GPU.
    launch_frames
        Frames per launch; halved until they fit in the memory of the GPU.

    Raises
    ------
    ValueError
        The maps do not fit, a pixel would be hit in every frame, or the spectra take too much
        memory.
    BackendUnavailableError
        The GPU has no room for the spectra and a single frame.
    """

    name: Final = "cuda"

    def __init__(
        self,
        *,
        events: EventSettings,
        spectrum: SpectrumSettings,
        pixels: PixelMaps,
        device: Device,
        launch_frames: int | None = None,
    ) -> None:
        self._shape = pixels.shape
        self._n_pixels = pixels.masked.size
        self._events = events
        self._device = device
        check_memory(events, spectrum, self._n_pixels)
        counters = make_tally(self._n_pixels, spectrum.n_bins, events.keep_multiplicity)
        try:
            self._tally = Tally(*(device.zeros(c.shape, c.dtype) for c in counters))
            self._launches = Launches(device, events, spectrum, pixels, self._tally)
            self._previous = device.zeros((padded(self._n_pixels),), np.uint16)
            self._reserve(launch_frames or frames_per_launch(self._n_pixels))
        except MemoryError:
            n_bytes = sum(c.nbytes for c in counters)
            raise BackendUnavailableError(
                f"The GPU has no room for {n_bytes / MIB:.1f} MiB of counters and "
                f"{_bytes_per_frame(self._n_pixels) / MIB:.1f} MiB to count one frame: free some "
                "of its memory, use wider bins, or use --backend cpu (the same counts)."
            ) from None
        self._n_frames = 0
        self._last_frame = NEVER

    @property
    def hardware(self) -> Hardware:
        """The GPU, and its memory at this moment."""
        return self._device.hardware

    def add(self, frames: Any, first_frame: int) -> None:
        """Count ``(frames, rows, columns) uint16, ADU``, numbered from ``first_frame`` upwards.

        Frames on the host, a NumPy array, may be changed as soon as this returns; in page-locked
        memory they save a copy. Frames on the device, a CuPy array, may be changed by what the
        caller's stream does next. For next-frame rejection, batches must come in the order of
        their frame numbers.

        Raises
        ------
        ValueError
            The frames have the wrong dtype, shape or numbers; none of them was counted.
        OverflowError
            More frames than the counters can hold; take a snapshot and clear.
        """
        check_batch(frames, first_frame, self._shape, self._n_frames)
        if self._device.owns(frames):
            with self._device.borrowed(frames) as borrowed:
                self._add(borrowed, int(first_frame))
        else:
            self._add(np.asarray(frames), int(first_frame))

    def load(self, counts: Counts) -> None:
        """Add counts of other frames, made with the same rules; the frame before stays.

        Raises
        ------
        ValueError, ArithmeticError, OverflowError
            They do not fit, or are more than the counters hold; nothing was added.
        """
        added = tally_of(counts, self._tally, self._shape, self._n_frames)
        for name in Tally._fields:
            own, other = getattr(self._tally, name), getattr(added, name)
            if own.size:
                on_device = self._device.upload(other)
                with self._device.in_order():
                    own += on_device
        self._n_frames += counts.n_frames

    def snapshot(self) -> Counts:
        """Copy of everything counted so far, checked for conservation."""
        tally = Tally(*(self._device.download(counters) for counters in self._tally))
        singles = self._events.keep_multiplicity
        return counts_of(tally, self._shape, self._n_frames, singles=singles)

    def clear(self) -> None:
        """Back to zero counts; forget the previous frame."""
        with self._device.in_order():
            for counters in self._tally:
                counters.fill(0)
        self._n_frames = 0
        self._last_frame = NEVER

    def _add(self, frames: Any, first_frame: int) -> None:
        """Count a batch in pieces of the size of a launch."""
        whole = self._device.owns(frames) and self._n_pixels == padded(self._n_pixels)
        for begin in range(0, len(frames), self._launch_frames):
            piece = frames[begin : begin + self._launch_frames]
            piece = piece.reshape(len(piece), self._n_pixels)
            if whole and self._device.is_aligned(piece):
                self._count(piece, first_frame + begin)
            else:
                slab = next(self._slabs)
                self._count(slab.fill(piece), first_frame + begin)
                slab.release()

    def _count(self, adu: Any, first_frame: int) -> None:
        follows = self._last_frame == first_frame - 1
        self._launches.count(adu, first_frame, self._previous, follows, self._lists)
        if self._events.next_frame:
            with self._device.in_order():
                self._previous[:] = adu[-1]
        self._last_frame = first_frame + len(adu) - 1
        self._n_frames += len(adu)

    def _reserve(self, wanted: int) -> None:
        """Reserve what launches need, for as many frames at a time as the memory allows."""
        n_frames = wanted
        while not self._reserved(n_frames):
            if n_frames == 1:
                raise MemoryError
            n_frames //= 2
        self._launch_frames = n_frames
        if n_frames < wanted:
            mib_per_frame = _bytes_per_frame(self._n_pixels) / MIB
            LOG.warning(
                "The GPU has no room for %d frames at a time (%.1f MiB); it takes %d (%.1f MiB).",
                *(wanted, wanted * mib_per_frame, n_frames, n_frames * mib_per_frame),
            )

    def _reserved(self, n_frames: int) -> bool:
        try:
            lists = make_lists(self._device, n_frames, self._n_pixels)
            slabs = [self._device.slab(n_frames, padded(self._n_pixels)) for _ in range(N_SLABS)]
        except MemoryError:
            return False
        self._lists, self._slabs = lists, cycle(slabs)
        return True


def frames_per_launch(n_pixels: int) -> int:
    """Frames of so many pixels that one launch takes where there is memory."""
    return max(1, min(LAUNCH_FRAMES, LAUNCH_BYTES // (padded(n_pixels) * ADU_BYTES)))


def _bytes_per_frame(n_pixels: int) -> int:
    return padded(n_pixels) * (LIST_BYTES + N_SLABS * ADU_BYTES)
