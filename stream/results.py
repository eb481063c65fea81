"""What the reducers know: the results of one exposure, of one CT scan, of the battery cycler."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts
from hexlive.reconstruct.components import Component, ComponentName
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.profile import Profile
from hexlive.stream.model import CtView, Segment, TrendRow


@dataclass(frozen=True, kw_only=True)
class ComptonResult:
    """Counts and physics of one exposure.

    Attributes
    ----------
    segment
        The exposure; None before the first segment.
    counts
        Everything counted.
    live_time_s
        From received frames only.
    theta_deg, peak_kev
        ``(rows, columns) float64``: geometry, and the measured centre of the Compton peak.
    emf
        L, H and their covariance per pixel, ``(rows, columns)``.
    mean
        The same, pooled over all valid pixels.
    profile
        Compton profile summed over valid pixels, each at its own angle.
    components
        Of every state, as far as its regions have been exposed.
    states
        The first exposure of each state in ``components``: its state of charge, its time.
    """

    segment: Segment | None
    counts: Counts
    live_time_s: float
    theta_deg: NDArray[np.float64]
    peak_kev: NDArray[np.float64]
    emf: EmfResult
    mean: EmfResult
    profile: Profile
    components: dict[int, dict[ComponentName, Component]]
    states: dict[int, Segment]

    @property
    def occupancy(self) -> float:
        """Mean fraction of pixels hit per frame."""
        hits = self.counts.hits
        return float(hits.sum()) / max(1, self.counts.n_frames * hits.size)

    @property
    def compton_counts(self) -> NDArray[np.float64]:
        """Unbinned events with \\|pz\\| below the outer limit, ``(rows, columns)``."""
        return (self.counts.window_low + self.counts.window_high).astype(np.float64)

    def trend(self) -> list[TrendRow]:
        """EMF of each component in each state so far, in the order of states."""
        return [
            TrendRow(
                state=state,
                soc=self.states[state].soc,
                component=name,
                emf=float(part.windows.emf),
                emf_sigma=float(part.windows.sigma),
                time_s=self.states[state].started_s,
            )
            for state, parts in sorted(self.components.items())
            for name, part in parts.items()
        ]


@dataclass(frozen=True, kw_only=True)
class CtResult:
    """The CT scans of this run, oldest first; the last one may be under way."""

    scans: tuple[CtView, ...]


@dataclass(frozen=True, kw_only=True)
class CyclerResult:
    """Rows of the battery cycler: time (s), voltage (V), current (A), capacity (A h)."""

    rows: tuple[tuple[float, float, float, float], ...]
