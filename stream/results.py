"""What the reducers know: the results of one exposure, of CT scans, the battery cycler, marks."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts, Hardware
from hexlive.reconstruct.components import (
    Component,
    ComponentName,
    ComponentSettings,
    RegionSums,
)
from hexlive.reconstruct.crosscheck import CrossCheck
from hexlive.reconstruct.density import electrons_per_mm3
from hexlive.reconstruct.emf import EmfResult, undefined_code, window_sum_emf
from hexlive.reconstruct.pooling import (
    Superpixels,
    adaptive_superpixels,
    superpixels,
    time_to_target_s,
)
from hexlive.reconstruct.profile import Profile
from hexlive.stream.config import Config
from hexlive.stream.model import Segment
from hexlive.stream.recent import Recent
from hexlive.stream.views import CtView, MarkView, TrendRow

OF_MASK: Final = " (CT)"  # behind the name of a mask in a trend


@dataclass(frozen=True, kw_only=True, eq=False)
class Relative:
    """EMF over that of the reference.

    Attributes
    ----------
    emf, sigma
        ``(rows, columns) float64``, NaN where either is undefined.
    mean, mean_sigma
        Of L and H pooled over the pixels that both have.
    source
        What it is relative to.
    """

    emf: NDArray[np.float64]
    sigma: NDArray[np.float64]
    mean: float
    mean_sigma: float
    source: str


@dataclass(frozen=True, kw_only=True)
class ComptonResult:
    """Counts and physics of one exposure.

    Attributes
    ----------
    config
        With which it was made.
    valid
        ``(rows, columns) bool``: pixels that can be hit.
    segment
        The exposure; None before the first segment.
    counts
        Everything counted.
    hardware
        Where it was counted.
    live_time_s
        From received frames only.
    theta_deg, peak_kev
        ``(rows, columns) float64``: angles in use, and the measured centre of the Compton peak.
    emf
        L, H and their covariance per pixel, ``(rows, columns)``.
    mean
        The same, pooled over all valid pixels.
    check
        The pooled EMF by bins and without.
    survival
        ``(rows, columns) float64``: fraction of the events that met no other photon.
    profile
        Compton profile summed over valid pixels, each at its own angle.
    recent
        The last seconds.
    relative
        To the reference; None where there is none.
    regions
        Sums of the regions of the present state, by number.
    components
        Of every state, as far as its regions have been exposed.
    component_live_time_s
        Of the regions of each of these together.
    states
        The first exposure of each state in ``components``: its state of charge, its time.
    doubts
        What the user should know of this exposure, a sentence each.
    mixing
        With which the components of each state were made.
    ct_masks, ct_volume
        L and H pooled over the masks of the CT of this state, by name, and where they are from;
        empty where there is none.
    ct_states
        The same of every state, from its exposures of the anode.
    notes
        The same of the run: its calibration, its device.
    """

    config: Config
    valid: NDArray[np.bool_]
    segment: Segment | None
    counts: Counts
    hardware: Hardware
    live_time_s: float
    theta_deg: NDArray[np.float64]
    peak_kev: NDArray[np.float64]
    emf: EmfResult
    mean: EmfResult
    check: CrossCheck
    survival: NDArray[np.float64]
    profile: Profile
    recent: Recent
    relative: Relative | None
    regions: dict[int, RegionSums]
    components: dict[int, dict[ComponentName, Component]]
    component_live_time_s: dict[int, dict[ComponentName, float]]
    states: dict[int, Segment]
    doubts: tuple[str, ...]
    mixing: dict[int, ComponentSettings] = field(default_factory=dict)
    ct_masks: dict[str, EmfResult] = field(default_factory=dict)
    ct_volume: str = ""
    ct_states: dict[int, dict[str, EmfResult]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def occupancy(self) -> float:
        """Mean fraction of pixels hit per frame."""
        hits = self.counts.hits
        return float(hits.sum()) / max(1, self.counts.n_frames * hits.size)

    @property
    def compton_counts(self) -> NDArray[np.float64]:
        """Unbinned events with \\|pz\\| below the outer limit, ``(rows, columns)``."""
        return (self.counts.window_low + self.counts.window_high).astype(np.float64)

    @cached_property
    def unbinned(self) -> EmfResult:
        """L and H from the unbinned sums, without normalisation, ``(rows, columns)``."""
        return window_sum_emf(self.counts.window_low, self.counts.window_high)

    @cached_property
    def undefined(self) -> NDArray[np.uint8]:
        """Why a pixel has no EMF, ``(rows, columns)``: index into ``emf.REASONS``."""
        return undefined_code(self.emf, self.valid)

    @cached_property
    def superpixels(self) -> EmfResult:
        """L and H of blocks of ``pooling.superpixel_px``."""
        return superpixels(self.emf, self.config.pooling.superpixel_px, self.valid)

    @cached_property
    def adaptive(self) -> Superpixels:
        """Groups of pixels that reach ``pooling.target_relative_sigma``."""
        return adaptive_superpixels(self.emf, self.config.pooling.target_relative_sigma, self.valid)

    @cached_property
    def electron_density(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Electrons per mm3 and its sigma (Eq. 1); None: intensities are relative."""
        pitch_mm, compton = self.config.detector.pitch_mm, self.config.compton
        return electrons_per_mm3(self.emf, self.live_time_s, pitch_mm, compton, self.config.density)

    def time_to_target_s(self, windows: EmfResult | None = None) -> NDArray[np.float64]:
        """Seconds until sigma/EMF is on target at the present rate; of the map or of any pool."""
        target = self.config.pooling.target_relative_sigma
        return time_to_target_s(windows or self.emf, self.live_time_s, target)

    def component_time_s(self, state: int, name: ComponentName) -> float:
        """The same for a component: live time to share among its regions as before."""
        part, target = self.components[state][name], self.config.pooling.target_relative_sigma
        live_time_s = self.component_live_time_s[state][name]
        return float(time_to_target_s(part.windows, live_time_s, target))

    def trend(self) -> list[TrendRow]:
        """EMF of each component, and of each mask of the CT, in each state so far."""
        found: list[tuple[int, str, EmfResult]] = [
            (state, name, part.windows)
            for state, parts in sorted(self.components.items())
            for name, part in parts.items()
        ]
        found += [
            (state, f"{name}{OF_MASK}", pooled)
            for state, masks in sorted(self.ct_states.items())
            for name, pooled in masks.items()
        ]
        return [
            TrendRow(
                state=state,
                soc=self.states[state].soc,
                component=name,
                emf=float(windows.emf),
                emf_sigma=float(windows.sigma),
                time_s=self.states[state].started_s,
            )
            for state, name, windows in found
        ]


@dataclass(frozen=True, kw_only=True)
class CtResult:
    """The CT scans of this run, oldest first; the last one may be under way."""

    scans: tuple[CtView, ...]


@dataclass(frozen=True, kw_only=True)
class MarksResult:
    """The marks of this run, oldest first."""

    marks: tuple[MarkView, ...]


@dataclass(frozen=True, kw_only=True)
class CyclerResult:
    """Rows of the battery cycler: time (s), voltage (V), current (A), capacity (A h)."""

    rows: tuple[tuple[float, float, float, float], ...]
