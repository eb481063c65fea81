"""Counts to the Compton profile J(pz): energy bins, corrections, and the profile of many pixels."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hexlive.reconstruct.compton import ComptonSettings, FloatArray, pz_au, scattered_kev
from hexlive.reconstruct.cross_section import cross_section_factor
from hexlive.reconstruct.efficiency import czt_efficiency

PROFILE_EDGES_AU: Final = np.linspace(-10.05, 10.05, 202)


@dataclass(frozen=True, kw_only=True, slots=True)
class BinChoice:
    """The energy bins that an estimator needs: one run of bins, and those of the background.

    Attributes
    ----------
    edges_kev
        The whole axis, ``(bins + 1,) float64, keV``.
    bins, background
        Ranges on it; the background range is empty where none is subtracted.
    """

    edges_kev: FloatArray
    bins: slice
    background: slice

    @property
    def widths_kev(self) -> FloatArray:
        """Widths of the chosen bins."""
        return np.diff(self.edges_kev)[self.bins]

    @property
    def background_kev(self) -> float:
        """Width of the background range."""
        return float(np.diff(self.edges_kev)[self.background].sum())

    def take(self, counts: NDArray[Any]) -> FloatArray:
        """The chosen counts and, last, the background sum: ``(..., chosen bins + 1) float64``.

        Raises
        ------
        ValueError
            The counts are not on this energy axis.
        """
        n_bins = self.edges_kev.size - 1
        if counts.shape[-1] != n_bins:
            raise ValueError(
                f"The spectra have {counts.shape[-1]} bins where {n_bins} are expected; "
                "make the weights again for this energy axis."
            )
        background = counts[..., self.background].sum(axis=-1, dtype=np.float64, keepdims=True)
        return np.concatenate([counts[..., self.bins], background], axis=-1)

    def with_background(self, weights: FloatArray) -> FloatArray:
        """Append the weight of the background sum: minus its level under every chosen bin.

        A subtracted background thus is one more bin, and its noise needs no formula of its own.
        """
        level = -(weights @ self.widths_kev) / (self.background_kev or np.inf)
        return np.concatenate([weights, level[..., None]], axis=-1)


def choose_bins(
    edges_kev: FloatArray, reach_kev: FloatArray, settings: ComptonSettings, margin: int = 0
) -> BinChoice:
    """Choose the bins that cover these energies, and up to ``margin`` more on each side.

    Raises
    ------
    ValueError
        The energy axis does not reach that far, or has no bin inside the background window.
    """
    low, high = float(np.min(reach_kev)), float(np.max(reach_kev))
    if not edges_kev[0] <= low <= high <= edges_kev[-1]:
        raise ValueError(
            f"The energy axis runs from {edges_kev[0]:g} to {edges_kev[-1]:g} keV but "
            f"{low:.1f} to {high:.1f} keV are needed; widen [spectrum]."
        )
    first = int(np.searchsorted(edges_kev, low, side="right")) - 1 - margin
    last = int(np.searchsorted(edges_kev, high)) + margin
    bins = slice(max(first, 0), min(last, edges_kev.size - 1))
    return BinChoice(
        edges_kev=edges_kev, bins=bins, background=_background_bins(edges_kev, settings)
    )


def _background_bins(edges_kev: FloatArray, settings: ComptonSettings) -> slice:
    """Bins that lie wholly inside the background window; none where nothing is subtracted."""
    if settings.background == "none":
        return slice(0, 0)
    from_kev, to_kev = settings.background_window_kev
    start = int(np.searchsorted(edges_kev, from_kev))
    stop = int(np.searchsorted(edges_kev, to_kev, side="right")) - 1
    if start >= stop:
        raise ValueError(
            f"No energy bin lies inside compton.background_window_kev, {from_kev:g} to "
            f"{to_kev:g} keV; widen [spectrum] or set compton.background = 'none'."
        )
    return slice(start, stop)


def j_per_count(choice: BinChoice, theta_rad: FloatArray, settings: ComptonSettings) -> FloatArray:
    """J of one count in each chosen bin, 1/(dE K efficiency), ``(..., chosen bins) float64``.

    Raises
    ------
    EfficiencyUnavailableError
        ``settings.efficiency`` is set and xraylib is not installed.
    """
    edges = choice.edges_kev
    centres = ((edges[1:] + edges[:-1]) / 2)[choice.bins]
    cross_section = cross_section_factor(
        centres,
        theta_rad[..., None],
        settings.incident_kev,
        settings.polarisation,
        settings.kinematics,
    )
    stopped = czt_efficiency(centres, settings.sensor_mm) if settings.efficiency else 1.0
    return 1 / (cross_section * choice.widths_kev * stopped)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Profile:
    """A Compton profile; pz > 0 is on the side of higher scattered energy.

    Attributes
    ----------
    pz_au
        ``(points,) float64, a.u.``: bin centres.
    j
        ``(points,) float64``, relative units: linear in the counts, so profiles of different
        exposures can be added and subtracted. `unit_area` is for comparing shapes.
    variance
        ``(points,) float64``. Neighbouring points share energy bins, so they are correlated.
    """

    pz_au: FloatArray
    j: FloatArray
    variance: FloatArray

    @property
    def j_sigma(self) -> FloatArray:
        """Standard uncertainty of ``j``."""
        return np.sqrt(self.variance)

    def __add__(self, other: "Profile") -> "Profile":
        """Sum of profiles from independent counts on the same pz axis."""
        return Profile(
            pz_au=self.pz_au, j=self.j + other.j, variance=self.variance + other.variance
        )

    def scaled(self, factor: float) -> "Profile":
        """``j`` times a factor, the variance times its square."""
        return Profile(pz_au=self.pz_au, j=self.j * factor, variance=self.variance * factor**2)

    def unit_area(self, outer_au: float) -> "Profile":
        """Scaled to area 1 over |pz| < ``outer_au``; NaN where there is none."""
        inside = np.abs(self.pz_au) < outer_au
        area = float((self.j * np.gradient(self.pz_au))[inside].sum())
        return self.scaled(1 / area if area > 0 else np.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileWeights:
    """What each count adds to each point of the profile, for one geometry and mask.

    Attributes
    ----------
    valid
        ``(rows, columns) bool``: pixels that are summed.
    values, squares
        Sparse ``(points, valid pixels x (chosen bins + 1))``, and each of them squared.
    """

    choice: BinChoice
    valid: NDArray[np.bool_]
    pz_edges_au: FloatArray
    values: Any
    squares: Any


def profile_weights(
    edges_kev: FloatArray,
    theta_rad: FloatArray,
    valid: NDArray[np.bool_],
    settings: ComptonSettings,
    pz_edges_au: FloatArray = PROFILE_EDGES_AU,
) -> ProfileWeights:
    """Weights of `profile`; compute once per geometry and mask.

    The counts of an energy bin are spread evenly over the stretch of pz that it covers at the
    angle of its own pixel: this widens the profile by one bin (0.23 a.u.), a quarter of the
    detector's resolution. EMF does not come from here but from `emf`, which does not widen.

    Parameters
    ----------
    edges_kev
        ``(bins + 1,) float64, keV``.
    theta_rad, valid
        ``(rows, columns)``: angles, and which pixels to sum.
    pz_edges_au
        ``(points + 1,) float64``, rising.

    Raises
    ------
    ValueError
        Every pixel is masked, or the energy axis does not cover the range of pz in one of them.
    """
    if not valid.any():
        raise ValueError("Every pixel is masked, so there is no profile; check the calibration.")
    angle = theta_rad[valid][:, None]
    beam = settings.incident_kev, settings.kinematics
    reach_kev = scattered_kev(pz_edges_au[[0, -1]], angle, *beam)
    choice = choose_bins(edges_kev, reach_kev, settings)
    bin_edges_au = pz_au(edges_kev[choice.bins.start : choice.bins.stop + 1], angle, *beam)
    density = sparse.diags_array(j_per_count(choice, theta_rad[valid], settings).ravel())
    of_bins = choice.with_background(np.eye(choice.widths_kev.size))
    of_pixels = sparse.kron(sparse.eye_array(len(angle)), of_bins, format="csr")
    values = _overlap(pz_edges_au, bin_edges_au) @ density @ of_pixels
    # Squared here, with the places in common: that takes longer than a profile does.
    squares = sparse.csr_array((values.data**2, values.indices, values.indptr), values.shape)
    return ProfileWeights(
        choice=choice, valid=valid, pz_edges_au=pz_edges_au, values=values, squares=squares
    )


def _overlap(points_au: FloatArray, bins_au: FloatArray) -> Any:
    """Fraction of each point's bin that each energy bin covers, sparse ``(points, all bins)``.

    Parameters
    ----------
    points_au
        ``(points + 1,)`` edges.
    bins_au
        ``(pixels, bins + 1)`` edges.
    """
    low, high = bins_au[:, :-1].ravel(), bins_au[:, 1:].ravel()
    first = np.maximum(np.searchsorted(points_au, low, side="right") - 1, 0)
    stop = np.minimum(np.searchsorted(points_au, high), points_au.size - 1)
    touched = np.maximum(stop - first, 0)
    column = np.repeat(np.arange(low.size), touched)
    start_of_run = np.cumsum(touched) - touched
    row = np.arange(column.size) + np.repeat(first - start_of_run, touched)
    covered = np.minimum(high[column], points_au[row + 1]) - np.maximum(low[column], points_au[row])
    fraction = covered / np.diff(points_au)[row]
    return sparse.csr_array((fraction, (row, column)), shape=(points_au.size - 1, low.size))


def profile(counts: NDArray[Any], weights: ProfileWeights) -> Profile:
    """Compton profile of all valid pixels together, each at its own angle.

    Parameters
    ----------
    counts
        ``(rows, columns, bins)``, events per energy bin.

    Returns
    -------
    Profile
        In relative units: the sum over pixels of counts / (dE K efficiency).
    """
    chosen = weights.choice.take(counts)[weights.valid].ravel()
    edges = weights.pz_edges_au
    return Profile(
        pz_au=(edges[1:] + edges[:-1]) / 2,
        j=weights.values @ chosen,
        variance=weights.squares @ chosen,
    )
