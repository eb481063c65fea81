"""What the kernels read and write: rules, working memory, counters."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import DROP_REASONS, EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.tables import PixelTables, pixel_tables
from hexlive.kernels.words import Bits, Grid, make_bits, make_grid

N_SIZES: Final = 5  # clusters of 1, 2, 3, 4, 5+ pixels
N_FATES: Final = 3 + len(DROP_REASONS)  # booked, under, over, and the reasons
NEVER: Final = -2  # as the number of the last frame: frame 0 follows -1
LIST_SLACK: Final = 4  # lists are written a little beyond their end
EVENTS_AT_ONCE: Final = 2048  # wait for their spectra; what they ask for fits the nearest caches
FRAMES_AT_ONCE: Final = 2**8 - 1  # n_hits is uint8

Count = int | np.int64  # one type to numba

# Places in Tally.fates: the first three belong to hits in events, the others to DROP_REASONS.
BOOKED: Final = 0
UNDER: Final = 1
OVER: Final = 2
TOO_LARGE: Final = 3
BELOW_THRESHOLD: Final = 4
NEXT_FRAME: Final = 5
VETOED: Final = 6


class Rules(NamedTuple):
    """How hits become events, as plain numbers: branches at run time, one compiled variant."""

    max_cluster: int
    max_listed: int  # larger clusters are dropped whatever their pixels are
    every_hit: bool
    simple: bool  # single hits and pairs are told apart as bits, and need no judgement
    next_frame: bool
    dither: bool
    dither_seed: np.uint64
    keep_singles: bool
    windows: bool
    min_kev: np.float32
    bins_per_kev: np.float32
    n_bins: np.uint64


class Workspace(NamedTuple):
    """Memory reused from frame to frame.

    Attributes
    ----------
    cell, member
        ``(pixels + few,) uint64``: cells of hits, and pixels of one cluster in row-major order.
    event
        ``(events,) uint64``: place in the flattened spectra of each event that waits to be booked.
    n_hits
        ``(pixels,) uint8``, hits of the last few frames.
    last_frame
        ``(1,) int64``, number of the last frame.
    """

    cell: NDArray[np.uint64]
    member: NDArray[np.uint64]
    event: NDArray[np.uint64]
    n_hits: NDArray[np.uint8]
    last_frame: NDArray[np.int64]


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


class Kit(NamedTuple):
    """All that the kernels work with; ``spectra`` are those of the tally, flattened."""

    tables: PixelTables
    grid: Grid
    rules: Rules
    bits: Bits
    work: Workspace
    tally: Tally
    spectra: NDArray[np.uint32]
    single_spectra: NDArray[np.uint32]


def make_kit(events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps) -> Kit:
    """Prepare everything, with no count yet.

    Raises
    ------
    ValueError
        The maps do not fit, or a pixel would be hit in every frame.
    """
    n_pixels = pixels.masked.size
    tables = pixel_tables(pixels, events)
    grid = make_grid(pixels.shape, pixels.modules, events)
    tally = make_tally(n_pixels, spectrum.n_bins, events.keep_multiplicity)
    return Kit(
        tables=tables,
        grid=grid,
        rules=make_rules(events, spectrum, n_pixels, windows=pixels.window_edges_kev is not None),
        bits=make_bits(grid),
        work=make_workspace(n_pixels),
        tally=tally,
        spectra=tally.spectra.reshape(-1),
        single_spectra=tally.single_spectra.reshape(-1),
    )


def make_rules(
    events: EventSettings, spectrum: SpectrumSettings, n_pixels: int, *, windows: bool = True
) -> Rules:
    """Translate the settings."""
    max_cluster = {"add": events.max_cluster, "discriminate": 1, "none": n_pixels}[events.policy]
    judged = events.low_threshold_kev is not None or events.veto_masked
    return Rules(
        max_cluster=min(max_cluster, n_pixels),
        max_listed=n_pixels if judged else min(max_cluster, n_pixels),
        every_hit=events.policy == "none",
        simple=not judged and events.policy != "none",
        next_frame=events.next_frame,
        dither=events.dither,
        dither_seed=np.uint64(events.dither_seed % 2**64),
        keep_singles=events.keep_multiplicity,
        windows=windows,
        min_kev=np.float32(spectrum.min_kev),
        bins_per_kev=np.float32(1 / spectrum.bin_kev),
        n_bins=np.uint64(spectrum.n_bins),
    )


def make_workspace(n_pixels: int) -> Workspace:
    """Reserve the memory that frames share."""
    return Workspace(
        cell=np.zeros(n_pixels + LIST_SLACK, np.uint64),
        member=np.zeros(n_pixels + LIST_SLACK, np.uint64),
        event=np.zeros(n_pixels + EVENTS_AT_ONCE, np.uint64),
        n_hits=np.zeros(n_pixels, np.uint8),
        last_frame=np.full(1, NEVER, np.int64),
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
