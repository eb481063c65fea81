"""What the CPU kernels read and write: rules, working memory, counters."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import DROP_REASONS, EventSettings, SpectrumSettings

N_SIZES: Final = 5  # clusters of 1, 2, 3, 4, 5+ pixels
N_FATES: Final = 3 + len(DROP_REASONS)  # booked, under, over, and the reasons
NEVER: Final = -2  # as the number of a pixel's last hit: frame 0 follows -1


class Rules(NamedTuple):
    """How hits become events, as plain numbers: branches at run time, one compiled variant."""

    max_cluster: int
    every_hit: bool
    next_frame: bool
    dither: bool
    dither_seed: np.uint64
    keep_singles: bool
    min_kev: np.float32
    bins_per_kev: np.float32


class Workspace(NamedTuple):
    """Memory reused from frame to frame. Hits are numbered in row-major order within a frame.

    Per hit: its pixel, its root (the first hit of its cluster), its energy and the energy to book.
    Per cluster, at the index of its root: size, sum to book, hit of the largest energy, whether
    any pixel reaches its threshold, whether any pixel is beside a masked one.
    Per event: the pixel it is booked on, its energy, the size of its cluster.
    """

    pixel: NDArray[np.int32]
    root: NDArray[np.int32]
    energy_kev: NDArray[np.float32]
    booked_kev: NDArray[np.float32]
    size: NDArray[np.int32]
    sum_kev: NDArray[np.float32]
    largest: NDArray[np.int32]
    reaches: NDArray[np.bool_]
    vetoed: NDArray[np.bool_]
    event_pixel: NDArray[np.int32]
    event_kev: NDArray[np.float32]
    event_size: NDArray[np.int32]
    hit_at: NDArray[np.int32]  # (cells,), -1 where there is no hit
    last_hit: NDArray[np.int64]  # (pixels,), frame number


class Tally(NamedTuple):
    """The counts, pixels flattened; see ``Counts`` for the meaning."""

    spectra: NDArray[np.uint32]
    single_spectra: NDArray[np.uint32]
    under: NDArray[np.uint32]
    over: NDArray[np.uint32]
    hits: NDArray[np.int64]
    window_low: NDArray[np.int64]
    window_high: NDArray[np.int64]
    cluster_sizes: NDArray[np.int64]
    fates: NDArray[np.int64]


def make_rules(events: EventSettings, spectrum: SpectrumSettings, n_pixels: int) -> Rules:
    """Translate the settings."""
    max_cluster = {"add": events.max_cluster, "discriminate": 1, "none": n_pixels}[events.policy]
    return Rules(
        max_cluster=min(max_cluster, n_pixels),
        every_hit=events.policy == "none",
        next_frame=events.next_frame,
        dither=events.dither,
        dither_seed=np.uint64(events.dither_seed % 2**64),
        keep_singles=events.keep_multiplicity,
        min_kev=np.float32(spectrum.min_kev),
        bins_per_kev=np.float32(1 / spectrum.bin_kev),
    )


def make_workspace(n_pixels: int, n_cells: int) -> Workspace:
    """Reserve the memory that frames share."""
    return Workspace(
        pixel=np.zeros(n_pixels, np.int32),
        root=np.zeros(n_pixels, np.int32),
        energy_kev=np.zeros(n_pixels, np.float32),
        booked_kev=np.zeros(n_pixels, np.float32),
        size=np.zeros(n_pixels, np.int32),
        sum_kev=np.zeros(n_pixels, np.float32),
        largest=np.zeros(n_pixels, np.int32),
        reaches=np.zeros(n_pixels, np.bool_),
        vetoed=np.zeros(n_pixels, np.bool_),
        event_pixel=np.zeros(n_pixels, np.int32),
        event_kev=np.zeros(n_pixels, np.float32),
        event_size=np.zeros(n_pixels, np.int32),
        hit_at=np.full(n_cells, -1, np.int32),
        last_hit=np.full(n_pixels, NEVER, np.int64),
    )


def make_tally(n_pixels: int, n_bins: int, keep_singles: bool) -> Tally:
    """Reserve the counters, all zero."""
    return Tally(
        spectra=np.zeros((n_pixels, n_bins), np.uint32),
        single_spectra=np.zeros((n_pixels if keep_singles else 0, n_bins), np.uint32),
        under=np.zeros(n_pixels, np.uint32),
        over=np.zeros(n_pixels, np.uint32),
        hits=np.zeros(n_pixels, np.int64),
        window_low=np.zeros(n_pixels, np.int64),
        window_high=np.zeros(n_pixels, np.int64),
        cluster_sizes=np.zeros(N_SIZES, np.int64),
        fates=np.zeros(N_FATES, np.int64),
    )
