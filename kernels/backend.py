"""What every device must do: frames in, per-pixel spectra and counters out.

Array notation, used everywhere: frames are ``(frames, rows, columns) uint16, ADU``.
"""

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

MAX_BINS: Final = 100_000
DROP_REASONS: Final = ("too_large", "below_threshold", "next_frame", "vetoed")


Policy = Literal["add", "discriminate", "none"]


class BackendUnavailableError(RuntimeError):
    """The requested device cannot be used on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSettings:
    """How hits become events; see ``docs/events.md`` for the exact semantics.

    Attributes
    ----------
    threshold_kev
        A pixel is a hit when its energy reaches this; a per-pixel map in the calibration wins.
    low_threshold_kev
        Two-level threshold: pixels join clusters at this energy, and a cluster counts only if its
        largest pixel reaches ``threshold_kev``. None: one level.
    connectivity
        Neighbours of a pixel, 8 (with diagonals) or 4.
    policy
        "add": clusters up to ``max_cluster`` pixels are one event of summed energy.
        "discriminate": only clusters of one pixel are events. "none": every hit is an event.
    veto_masked
        Drop clusters that touch a masked pixel.
    next_frame
        Drop a hit if the same pixel was hit in the frame whose number is exactly one less.
    dither
        Spread the booked energy uniformly over one ADU, from a hash of seed, frame and pixel.
    keep_multiplicity
        Also keep the spectra of one-pixel events by themselves.
    charge_loss
        Scale the energy of two-pixel events of policy "add" by the calibration's charge-loss curve.
    """

    threshold_kev: float = 3.0
    low_threshold_kev: float | None = None
    connectivity: Literal[4, 8] = 8
    policy: Policy = "add"
    max_cluster: int = 2
    veto_masked: bool = False
    next_frame: bool = False
    dither: bool = False
    dither_seed: int = 0
    keep_multiplicity: bool = False
    charge_loss: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot mean anything.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        for name, choices in (("connectivity", (4, 8)), ("policy", get_args(Policy))):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"events.{name} must be one of {choices}, not {value!r}.")
        if not isinstance(self.max_cluster, Integral) or self.max_cluster < 1:
            raise ValueError(
                f"events.max_cluster must be a whole number of at least 1, not {self.max_cluster}."
            )
        if not isinstance(self.dither_seed, Integral):
            raise ValueError(f"events.dither_seed must be a whole number, not {self.dither_seed}.")
        low = self.low_threshold_kev
        for name in ("threshold_kev", "low_threshold_kev"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"events.{name} must be a finite energy, not {value}.")
        if low is not None and low > self.threshold_kev:
            raise ValueError(
                f"events.low_threshold_kev ({low}) must not exceed "
                f"events.threshold_kev ({self.threshold_kev})."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectrumSettings:
    """The energy axis: half-open bins from ``min_kev``, ``bin_kev`` wide."""

    min_kev: float = 0.0
    max_kev: float = 160.0
    bin_kev: float = 0.2

    def __post_init__(self) -> None:
        """Refuse an axis without bins.

        Raises
        ------
        ValueError
            The limits or the bin width leave no bin, or far too many.
        """
        finite = all(map(math.isfinite, (self.min_kev, self.max_kev, self.bin_kev)))
        if not (
            finite
            and self.bin_kev > 0
            and self.max_kev > self.min_kev
            and 0 < self.n_bins < MAX_BINS
        ):
            raise ValueError(
                f"spectrum: {self.min_kev} to {self.max_kev} keV in bins of {self.bin_kev} keV "
                "is not a usable energy axis."
            )

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return round((self.max_kev - self.min_kev) / self.bin_kev)

    @property
    def edges_kev(self) -> NDArray[np.float64]:
        """Bin edges, ``(bins + 1,) float64, keV``."""
        return np.linspace(self.min_kev, self.min_kev + self.n_bins * self.bin_kev, self.n_bins + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelMaps:
    """What a device must know of each pixel.

    Attributes
    ----------
    pedestal_adu, gradient_kev_per_adu, intercept_kev, threshold_kev
        ``(rows, columns) float32``. Energy is ``(ADU - pedestal) * gradient + intercept``.
    masked
        ``(rows, columns) bool``, True = never a hit.
    window_edges_kev
        ``(4, rows, columns) float32`` or None: E2 at pz = -outer, -inner, +inner, +outer for the
        unbinned window sums. Events in [1, 2) are low |pz|; in [0, 1) or [2, 3) high |pz|.
    charge_loss
        ``(nodes,) float32`` or None: factor on the summed energy of a two-pixel event, at equally
        spaced R = (E1 - E2) / (E1 + E2) from -1 to 1, E1 first in row-major order.
    modules
        Grid of modules (down, across); a cluster never crosses a module edge.
    """

    pedestal_adu: NDArray[np.float32]
    gradient_kev_per_adu: NDArray[np.float32]
    intercept_kev: NDArray[np.float32]
    threshold_kev: NDArray[np.float32]
    masked: NDArray[np.bool_]
    window_edges_kev: NDArray[np.float32] | None = None
    charge_loss: NDArray[np.float32] | None = None
    modules: tuple[int, int] = (1, 1)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.masked.shape
        return rows, columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Everything counted since the last clear; all integers, so sums never depend on order.

    Attributes
    ----------
    spectra
        ``(rows, columns, bins) uint32``, events per energy bin at the pixel they are booked on.
    single_spectra
        The same for one-pixel events only, or None unless ``keep_multiplicity``.
    under, over
        ``(rows, columns) uint32``, events below and above the energy axis.
    hits
        ``(rows, columns) uint64``, hits per pixel, before any rejection.
    cluster_sizes
        ``(5,) uint64``, clusters of 1, 2, 3, 4, 5+ pixels (those that reach the threshold).
    window_low, window_high
        ``(rows, columns) uint64``, unbinned events with low and high \\|pz\\|.
    booked_hits, under_hits, over_hits
        Hits in events inside, below and above the energy axis.
    dropped_hits
        Hits not in any event, by reason (``DROP_REASONS``).
    n_frames
        Frames counted.
    """

    spectra: NDArray[np.uint32]
    single_spectra: NDArray[np.uint32] | None
    under: NDArray[np.uint32]
    over: NDArray[np.uint32]
    hits: NDArray[np.uint64]
    cluster_sizes: NDArray[np.uint64]
    window_low: NDArray[np.uint64]
    window_high: NDArray[np.uint64]
    booked_hits: int
    under_hits: int
    over_hits: int
    n_frames: int
    dropped_hits: dict[str, int]

    def check(self) -> None:
        """Assert the conservation law: every hit is booked, out of range, or dropped for a reason.

        Raises
        ------
        ArithmeticError
            A hit was lost or counted twice: a defect, never a property of the data.
        """
        total = int(self.hits.sum())
        known = self.booked_hits + self.under_hits + self.over_hits
        known += sum(self.dropped_hits.values())
        if total != known:
            raise ArithmeticError(f"{total} hits, but {known} are accounted for.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What counts, and how full the memory of a GPU is.

    Attributes
    ----------
    name
        The model of the GPU, or how the CPU is used.
    used_bytes, total_bytes
        Memory of the GPU that is in use, by whomever, and all of it; None: no GPU counts.
    """

    name: str
    used_bytes: int | None = None
    total_bytes: int | None = None


class Backend(Protocol):
    """One device that turns frames into counts. Not thread-safe."""

    @property
    def name(self) -> str:
        """Short name for provenance: "cpu" or "cuda"."""
        ...

    @property
    def hardware(self) -> Hardware:
        """What it runs on, at this moment."""
        ...

    def add(self, frames: NDArray[np.uint16], first_frame: int) -> None:
        """Count ``(frames, rows, columns) uint16, ADU``, numbered from ``first_frame`` upwards.

        They may be on the device already, where there is one.
        """
        ...

    def load(self, counts: Counts) -> None:
        """Add counts of other frames, made with the same rules, such as those before a restart.

        The frame before the next one stays what it was.
        """
        ...

    def snapshot(self) -> Counts:
        """Copy of everything counted so far, checked for conservation."""
        ...

    def clear(self) -> None:
        """Back to zero counts; forget the previous frame."""
        ...
