"""Counts to physics, with weights that are made once per geometry."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts
from hexlive.reconstruct.alignment import align
from hexlive.reconstruct.components import RegionSums
from hexlive.reconstruct.compton import FloatArray, window_edges_kev
from hexlive.reconstruct.crosscheck import CrossCheck
from hexlive.reconstruct.emf import EmfResult, emf, emf_weights, pool, window_sum_emf
from hexlive.reconstruct.peak import peak_centre_kev
from hexlive.reconstruct.pile_up import pooled_survival, survival
from hexlive.reconstruct.profile import Profile, profile, profile_weights
from hexlive.stream.config import Config


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """What counts say, see `ComptonResult` for the fields.

    Attributes
    ----------
    remedy
        Which setting of the geometry is probably wrong, a sentence; None: nothing speaks for it.
    """

    counts: Counts
    peak_kev: FloatArray
    emf: EmfResult
    check: CrossCheck
    survival: FloatArray
    profile: Profile
    remedy: str | None


class Estimator:
    """The weights of one camera and geometry.

    Parameters
    ----------
    gain
        Of all pixels since the calibration: measured energies are divided by it.

    Raises
    ------
    ValueError
        The energy axis does not cover the windows, or the efficiency of the sensor is not known.
    """

    def __init__(
        self, config: Config, theta_rad: FloatArray, valid: NDArray[np.bool_], gain: float = 1.0
    ) -> None:
        edges_kev, compton = config.spectrum.edges_kev / gain, config.compton
        self._config, self._valid, self._edges_kev = config, valid, edges_kev
        self._emf = emf_weights(edges_kev, theta_rad, compton)
        # The unbinned sums that this is held against know nothing of the gain.
        self._plain = emf_weights(config.spectrum.edges_kev, theta_rad, compton, normalised=False)
        self._profile = profile_weights(edges_kev, theta_rad, valid, compton)
        windows_kev = window_edges_kev(theta_rad, compton)
        self._line_kev = windows_kev[[0, 3]].astype(np.float64)

    def estimate(self, counts: Counts) -> Estimate:
        """Everything that these counts say."""
        maps = emf(counts.spectra, self._emf)
        return Estimate(
            counts=counts,
            peak_kev=peak_centre_kev(counts.spectra, self._edges_kev, self._line_kev),
            emf=maps,
            check=CrossCheck(
                binned=pool(maps, self._valid),
                plain=pool(emf(counts.spectra, self._plain), self._valid),
                unbinned=pool(window_sum_emf(counts.window_low, counts.window_high), self._valid),
            ),
            survival=survival(counts, self._config.events),
            profile=profile(counts.spectra, self._profile),
            remedy=self._remedy(counts),
        )

    def region_sums(self, found: Estimate, live_time_s: float) -> RegionSums:
        """Sums over the valid pixels, with the correction for pile-up if it is configured.

        The exposure is shortened to what survived, and pixels that lost more than others count for
        more. These weights are close to 1, so the variance of profile and spectrum leaves them out.
        """
        if self._config.compton.pile_up == "none":
            return RegionSums(
                spectrum=_spectrum(found.counts.spectra, self._valid),
                profile=found.profile,
                windows=found.check.binned,
                exposure_s=live_time_s,
            )
        survived = found.survival[self._valid]
        overall = pooled_survival(survived, found.counts.spectra[self._valid].sum(axis=-1))
        weight = np.ones(self._valid.shape)
        weight[self._valid] = overall / survived
        spectra = found.counts.spectra * weight[..., None]
        return RegionSums(
            spectrum=_spectrum(spectra, self._valid),
            profile=profile(spectra, self._profile),
            windows=pool(found.emf.scaled(weight), self._valid),
            exposure_s=live_time_s * overall,
        )

    def _remedy(self, counts: Counts) -> str | None:
        compton, pitch_mm = self._config.compton, self._config.detector.pitch_mm
        if compton.angles == "peak_map":
            return None
        found = align(counts.spectra, self._edges_kev, pitch_mm, compton, self._valid)
        return found.remedy(compton) if found else None


def _spectrum(spectra: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Of the valid pixels: all less the others, which are few, so that hardly any are copied."""
    kind = np.uint64 if spectra.dtype.kind == "u" else np.float64
    total: NDArray[Any] = spectra.sum(axis=(0, 1), dtype=kind)
    return np.asarray(total - spectra[~valid].sum(axis=0, dtype=kind))
