"""A calibration from dark frames: pedestal, noise, and the pixels that are not to be used."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.calibration import Calibration, usable_pixels
from hexlive.stream.files import FileError

# A pixel with less noise is dead, one with more is hot.
MIN_NOISE_KEV: Final = 0.08
MAX_NOISE_KEV: Final = 1.0
# One that is hit in more of the frames without beam flickers; a few hits may be cosmic.
MAX_HIT_SHARE: Final = 0.02
MIN_HITS: Final = 3

# What is wrong with a pixel; the index is the code in the calibration file.
FAULTS: Final = ("good", "without a gradient", "dead", "hot", "flickering")
GOOD, BLIND, DEAD, HOT, FLICKERING = range(len(FAULTS))


class Dark(NamedTuple):
    """Calibration from a dark, and what is wrong with each pixel.

    ``faults`` is ``(rows, columns) uint8``: index into ``FAULTS``.
    """

    calibration: Calibration
    faults: NDArray[np.uint8]

    def summary(self) -> str:
        """How many pixels have which fault, in words."""
        counts = np.bincount(self.faults.ravel(), minlength=len(FAULTS))
        named = [f"{n} {fault}" for n, fault in zip(counts, FAULTS, strict=True) if n][1:]
        return f"{counts[1:].sum()} pixels masked" + (f" ({', '.join(named)})" if named else "")

    def write_faults(self, file: h5py.File) -> None:
        """Add the faults to a calibration file."""
        file["faults"] = self.faults
        file["faults"].attrs["meaning"] = list(FAULTS)


def calibration_from_dark(
    blocks: Iterable[NDArray[np.uint16]],
    gradient_kev_per_adu: NDArray[np.float32],
    intercept_kev: NDArray[np.float32],
    *,
    threshold_kev: float,
    sources: tuple[str, ...] = (),
) -> Dark:
    """Pedestal, noise, dead, hot and flickering pixels from dark frames.

    Parameters
    ----------
    blocks
        ``(frames, rows, columns) uint16, ADU`` without photons; they are read twice.
    gradient_kev_per_adu, intercept_kev
        ``(rows, columns)``; a gradient that is 0 or not finite marks a dead pixel.
    threshold_kev
        A pixel with this energy is hit.

    Raises
    ------
    FileError
        Fewer than two frames, or maps of another size.
    """
    shape = gradient_kev_per_adu.shape
    n_frames, pedestal, noise = _moments(blocks, shape)
    usable = usable_pixels(gradient_kev_per_adu, intercept_kev)
    gradient = np.where(usable, gradient_kev_per_adu, 0.0)
    intercept = np.where(usable, intercept_kev, 0.0)
    noise_kev = noise * gradient
    with np.errstate(divide="ignore", invalid="ignore"):
        hit_adu = np.where(usable, pedestal + (threshold_kev - intercept) / gradient, np.inf)
    hits = sum((block >= hit_adu).sum(axis=0) for block in blocks)
    flickering = hits >= np.maximum(MIN_HITS, MAX_HIT_SHARE * n_frames)
    dead, hot = noise_kev < MIN_NOISE_KEV, noise_kev > MAX_NOISE_KEV
    faults = np.select([~usable, dead, hot, flickering], [BLIND, DEAD, HOT, FLICKERING], GOOD)
    calibration = Calibration(
        pedestal_adu=pedestal.astype(np.float32),
        noise_adu=noise.astype(np.float32),
        gradient_kev_per_adu=gradient.astype(np.float32),
        intercept_kev=intercept.astype(np.float32),
        mask=(faults != GOOD).astype(np.uint8),
        sources=sources,
    )
    return Dark(calibration, faults.astype(np.uint8))


def _moments(
    blocks: Iterable[NDArray[np.uint16]], shape: tuple[int, ...]
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Number of frames, mean and standard deviation of every pixel, exact until the end."""
    n_frames, total, squares = 0, np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for block in blocks:
        if block.shape[1:] != shape:
            raise FileError(f"The gradient map is {shape}, the dark frames are {block.shape[1:]}.")
        values = block.astype(np.int64)
        n_frames += len(values)
        total += values.sum(axis=0)
        squares += (values * values).sum(axis=0)
    if n_frames < 2:
        raise FileError(f"A dark needs at least 2 frames, there are {n_frames}.")
    spread = n_frames * squares - total * total
    return n_frames, total / n_frames, np.sqrt(spread / (n_frames * (n_frames - 1)))
