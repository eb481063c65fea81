"""What a detector makes of known spectra, from photons followed one by one through the sensor.

L and H are integrated here over the fine expected spectrum, without the estimator of
``hexlive.reconstruct.emf``: an expectation that shared its weights would hide a fault in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hexlive.kernels.backend import EventSettings
from hexlive.reconstruct.compton import (
    ComptonSettings,
    FloatArray,
    pz_au,
)
from hexlive.reconstruct.cross_section import cross_section_factor
from hexlive.stream.simulator.atoms import absorbed_fraction
from hexlive.stream.simulator.camera import INTERCEPT_KEV, NOISE_KEV
from hexlive.stream.simulator.photons import angle_nodes_rad, blend, quantile_table_kev
from hexlive.stream.simulator.scene import CLASSES
from hexlive.stream.simulator.sensor_tables import EventRules, sensor_tables
from hexlive.stream.simulator.tagging import tag_photons

# Energies at which photons are followed, and how many each time; in between, the response is
# interpolated. The Compton line is between 84 and 104 keV.
PHOTONS_AT_KEV: Final = {
    5.0: 1_000,
    30.0: 1_000,
    60.0: 1_000,
    84.0: 24_000,
    94.0: 24_000,
    104.0: 24_000,
    115.0: 1_000,
    150.0: 1_000,
}
NODES_KEV: Final = tuple(PHOTONS_AT_KEV)
N_GROUPS: Final = 10

N_RATES: Final = 3

# Fine energy axes, in steps that widen the response by 0.1 %: true energy, and measured minus true.
STEP_KEV: Final = 0.05
TRUE_KEV: Final = (5.0, 150.0)
OFFSET_KEV: Final = (-150.0, 5.0)

DIAGONAL_NEIGHBOURS: Final = 8
MIXTURE_STREAM: Final = 6
RESPONSE_STREAM: Final = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowYield:
    """L and H that one absorbed photon adds on average.

    Attributes
    ----------
    low_high
        ``(groups, rates, classes, angles, 2) float64``; the groups are independent repetitions.
    rates
        ``(rates,)``: photons per pixel and frame, from 0.
    """

    low_high: FloatArray
    rates: FloatArray
    nodes_rad: FloatArray

    def sums(self, per_frame: FloatArray, theta_rad: FloatArray, rate: FloatArray) -> FloatArray:
        """L and H of some pixels together, ``(groups, 2)``.

        Parameters
        ----------
        per_frame
            ``(classes, pixels)``: photons per frame.
        theta_rad, rate
            ``(pixels,)``: angle, and photons of all classes per pixel and frame.
        """
        index, fraction = blend(theta_rad, self.nodes_rad)
        at_rate = lagrange(self.rates, rate)
        weight = np.zeros((self.rates.size, per_frame.shape[0], self.nodes_rad.size))
        for step, share in ((0, 1 - fraction), (1, fraction)):
            for kind, amounts in enumerate(per_frame):
                for number in range(self.rates.size):
                    part = amounts * share * at_rate[number]
                    weight[number, kind] += np.bincount(index + step, part, self.nodes_rad.size)
        sums: FloatArray = np.einsum("rka,grkai->gi", weight, self.low_high)
        return sums


def lagrange(nodes: FloatArray, at: FloatArray) -> FloatArray:
    """Weight of each node in polynomial interpolation, ``(nodes, points)``."""
    weights = np.ones((nodes.size, at.size))
    for i, node in enumerate(nodes):
        for other in np.delete(nodes, i):
            weights[i] *= (at - other) / (node - other)
    return weights


def window_yield(
    per_frame: FloatArray,
    theta_rad: FloatArray,
    compton: ComptonSettings,
    events: EventSettings,
    seed: int,
    classes: Sequence[str] = CLASSES["cell"],
) -> WindowYield:
    """Follow photons through the sensor, for all classes, the range of angles and of rates.

    Parameters
    ----------
    per_frame
        ``(classes, rows, columns)``: photons per frame in the brightest exposure.
    theta_rad
        ``(rows, columns)``.
    """
    nodes_rad = angle_nodes_rad(theta_rad)
    quantiles_kev = quantile_table_kev(nodes_rad, compton, classes)
    others_kev = _mixture_kev(quantiles_kev[:, nodes_rad.size // 2], per_frame, seed)
    rates = np.linspace(0.0, per_frame.sum(axis=0).max(), N_RATES)
    folding = _Folding(quantiles_kev)
    weights = window_weights(folding.edges_kev, nodes_rad, compton)

    def yields(group: int, rate: float) -> FloatArray:
        responses = _responses(rate, others_kev, events, (seed, RESPONSE_STREAM, group))
        low_high: FloatArray = np.einsum("kae,aei->kai", folding.spectra(responses), weights)
        return low_high

    low_high = [[yields(group, float(rate)) for rate in rates] for group in range(N_GROUPS)]
    return WindowYield(low_high=np.array(low_high), rates=rates, nodes_rad=nodes_rad)


def window_weights(
    edges_kev: FloatArray, theta_rad: FloatArray, compton: ComptonSettings
) -> FloatArray:
    """What an event in each fine energy bin adds to L and to H, ``(angles, bins, 2)``.

    J of one event, 1/(dE K efficiency), times the stretch of pz (Eq. 2 of Huang et al. 2024) that
    its bin covers inside the window.

    Parameters
    ----------
    edges_kev
        ``(bins + 1,) float64, keV``, so fine that a bin is linear in pz.
    theta_rad
        ``(angles,) float64, rad``.
    """
    angle, centres_kev = theta_rad[:, None], (edges_kev[1:] + edges_kev[:-1]) / 2
    momentum_au = pz_au(edges_kev, angle, compton.incident_kev)
    inside, reach = (_covered(momentum_au, limit) for limit in (compton.inner_au, compton.outer_au))
    cross_section = cross_section_factor(
        centres_kev, angle, compton.incident_kev, compton.polarisation
    )
    seen = np.diff(edges_kev) * cross_section
    if compton.efficiency:
        seen *= absorbed_fraction(centres_kev, compton.sensor_mm)
    weights = np.stack([inside, reach - inside], axis=-1) / seen[..., None]
    if compton.background == "flat":
        from_kev, to_kev = compton.background_window_kev
        outside = (centres_kev > from_kev) & (centres_kev < to_kev)
        weights[:, outside] -= weights.sum(axis=1, keepdims=True) / outside.sum()
    return weights


def _covered(momentum_au: FloatArray, limit_au: float) -> FloatArray:
    """Length in pz of the part of each bin inside +-limit."""
    return np.diff(np.clip(momentum_au, -limit_au, limit_au))


def _mixture_kev(
    quantiles_kev: NDArray[np.float32], per_frame: FloatArray, seed: int
) -> NDArray[np.float32]:
    """Energies of photons of all classes together, equally likely."""
    random = np.random.default_rng((seed, MIXTURE_STREAM))
    classes, n = quantiles_kev.shape
    shares = per_frame.sum(axis=(1, 2)) / per_frame.sum()
    kind, index = random.choice(classes, n, p=shares), random.integers(0, n, n)
    return np.ascontiguousarray(quantiles_kev[kind, index])


def _responses(
    rate: float,
    others_kev: NDArray[np.float32],
    events: EventSettings,
    seeds: tuple[int, ...],
) -> FloatArray:
    """Probability of a measured minus true energy, for photons of ``NODES_KEV``.

    The same seeds follow the same photons at every rate, so that rates can be interpolated without
    adding their noise.

    Returns
    -------
    ``(nodes, offsets)``; the sum over offsets is the probability of an accepted event.
    """
    threshold, low = events.threshold_kev, events.low_threshold_kev
    rules = EventRules(
        threshold_kev=threshold,
        low_threshold_kev=threshold if low is None else low,
        every_hit=events.policy == "none",
        diagonals=events.connectivity == DIAGONAL_NEIGHBOURS,
        noise_kev=NOISE_KEV,
        intercept_kev=INTERCEPT_KEV,
    )
    random = np.random.default_rng(seeds)
    largest = events.max_cluster if events.policy == "add" else 1
    responses = np.empty((len(NODES_KEV), _n_bins(OFFSET_KEV)))
    for node, (true_kev, n_photons) in enumerate(PHOTONS_AT_KEV.items()):
        seed = int(random.integers(2**62))
        photons_kev = np.full(n_photons, true_kev)
        event_kev, size = tag_photons(photons_kev, seed, rate, others_kev, sensor_tables(), rules)
        accepted = (size >= 1) & (size <= largest)
        offset_kev = event_kev[accepted] - true_kev
        counts = np.histogram(offset_kev, _n_bins(OFFSET_KEV), OFFSET_KEV)[0]
        responses[node] = counts / n_photons
    return responses


def _n_bins(limits_kev: tuple[float, float]) -> int:
    return round((limits_kev[1] - limits_kev[0]) / STEP_KEV)


class _Folding:
    """Folds the spectra of all classes and angles with a response.

    The spectra are split into parts that belong to one node of the response each, and every part
    is convolved with the response of its node.

    Attributes
    ----------
    edges_kev
        ``(bins + 1,)``: positive measured energies, in bins of ``STEP_KEV``.
    """

    def __init__(self, quantiles_kev: NDArray[np.float32]) -> None:
        n_true, n_offset = _n_bins(TRUE_KEV), _n_bins(OFFSET_KEV)
        self._length = fft.next_fast_len(n_true + n_offset, real=True)
        start_kev = TRUE_KEV[0] + OFFSET_KEV[0] + STEP_KEV / 2
        fine_kev = start_kev + STEP_KEV * np.arange(self._length + 1)
        self._first = int(np.searchsorted(fine_kev, 0.0, side="right"))
        self.edges_kev = fine_kev[self._first :]
        true_edges_kev = np.linspace(*TRUE_KEV, n_true + 1)
        centres_kev = (true_edges_kev[1:] + true_edges_kev[:-1]) / 2
        nearness = [np.interp(centres_kev, NODES_KEV, unit) for unit in np.eye(len(NODES_KEV))]
        probability = np.linspace(0.0, 1.0, quantiles_kev.shape[-1])
        cumulative = np.apply_along_axis(
            lambda energy_kev: np.interp(true_edges_kev, energy_kev, probability), -1, quantiles_kev
        )
        parts = np.diff(cumulative)[..., None, :] * np.array(nearness)
        self._parts = fft.rfft(parts, self._length)

    def spectra(self, responses: FloatArray) -> FloatArray:
        """Measured events per photon in the bins of ``edges_kev``, ``(classes, angles, bins)``."""
        transformed = fft.rfft(responses, self._length)
        folded: FloatArray = fft.irfft(
            np.einsum("kanf,nf->kaf", self._parts, transformed), self._length
        )
        return folded[..., self._first :]
