"""Whether the measured Compton peaks rise where the geometry says they do."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import (
    ELECTRON_REST_KEV,
    ComptonSettings,
    FloatArray,
    peak_kev,
    scattered_kev,
    theta_map_rad,
)
from hexlive.reconstruct.peak import peak_centre_kev

BLOCK_PX: Final = 8
LEAST_BLOCK_COUNTS: Final = 200
LEAST_BLOCKS: Final = 6

# The median of n energies is known to sqrt(pi / 2) / sqrt(n) of their width; that of the Compton
# line within |pz| < 5 is 2 keV.
MEDIAN_SIGMA_KEV: Final = 2.5

# A wrong sign has a slope of -1 and a wrong axis one of 0; lines and steel shift the right one.
LEAST_SLOPE: Final = 0.5
LEAST_SIGNIFICANCE: Final = 5.0

# Charge lost below the threshold lowers all peaks by 0.25 keV at 3 keV; an offset of the optical
# axis moves them by 0.115 keV/mm, and bends them too little (0.01 keV) to be told from a gain.
MOST_OFFSET_KEV: Final = 0.6

AXES: Final[tuple[Literal["columns"], Literal["rows"]]] = ("columns", "rows")


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """How far the measured peaks follow the peaks of each axis with sign +1.

    Attributes
    ----------
    slope, sigma
        By axis: 1 where the peaks are as expected, -1 where the sign is wrong, 0 across the beam.
    offset_kev, offset_sigma_kev
        Mean of the measured peaks above those of the geometry as it is configured.
    offset_mm
        Along the beam, the offset of the optical axis that would explain it.
    """

    slope: dict[str, float]
    sigma: dict[str, float]
    offset_kev: float
    offset_sigma_kev: float
    offset_mm: float

    def remedy(self, settings: ComptonSettings) -> str | None:
        """The sentence that says which setting is probably wrong; None: nothing speaks for it."""
        return self._turned(settings) or self._displaced(settings)

    def _turned(self, settings: ComptonSettings) -> str | None:
        """A wrong axis or sign."""
        axis = max(AXES, key=lambda name: abs(self.slope[name]) / self.sigma[name])
        slope, sigma = self.slope[axis], self.sigma[axis]
        if abs(slope) < max(LEAST_SLOPE, LEAST_SIGNIFICANCE * sigma):
            return None
        found = {"beam_axis": axis, "beam_sign": 1 if slope > 0 else -1}
        wrong = {key: value for key, value in found.items() if getattr(settings, key) != value}
        if not wrong:
            return None
        fix = " and ".join(f"compton.{key} = {value!r}" for key, value in wrong.items())
        return (
            f"The measured Compton peaks do not follow the geometry: along the {axis} they change "
            f"{slope:+.2f} +- {sigma:.2f} times as much as with the beam along +{axis}; set {fix}."
        )

    def _displaced(self, settings: ComptonSettings) -> str | None:
        """A wrong place of the optical axis, or a wrong gain: both move all peaks alike."""
        least_kev = max(MOST_OFFSET_KEV, LEAST_SIGNIFICANCE * self.offset_sigma_kev)
        if abs(self.offset_kev) < least_kev:
            return None
        where = "above" if self.offset_kev > 0 else "below"
        gain = self.offset_kev / peak_kev(np.pi / 2, settings.incident_kev)
        return (
            f"The measured Compton peaks lie {abs(self.offset_kev):.2f} keV {where} those of the "
            f"geometry: the gain of the calibration is off by {gain:+.1%}, or the optical axis by "
            f"{self.offset_mm:+.1f} mm along the beam (compton.axis_offset_mm); a fluorescence "
            "line in the sum spectrum tells which."
        )


def align(
    counts: NDArray[Any],
    edges_kev: FloatArray,
    pitch_mm: float,
    settings: ComptonSettings,
    valid: NDArray[np.bool_],
) -> Alignment | None:
    """Fit the peaks of blocks of pixels by the peaks of both axes at once.

    Parameters
    ----------
    counts
        ``(rows, columns, bins)``.

    Returns
    -------
    Alignment
        None where too few blocks have counts enough.
    """
    beams = [replace(settings, beam_axis=axis, beam_sign=1) for axis in AXES]
    angles_rad = np.stack(
        [theta_map_rad(_shape(valid), pitch_mm, beam) for beam in (*beams, settings)]
    )
    window_kev = _window_kev(angles_rad, settings)
    first, last = np.searchsorted(edges_kev, window_kev)
    near = np.where(valid[..., None], counts[..., first:last], 0)
    spectra = _block_sums(near)
    total = spectra.sum(axis=-1)
    enough = total >= LEAST_BLOCK_COUNTS
    if enough.sum() < LEAST_BLOCKS:
        return None
    spectra, sigma_kev = spectra[enough], MEDIAN_SIGMA_KEV / np.sqrt(total[enough])
    everywhere = np.repeat(edges_kev[[first, last]][:, None], len(spectra), axis=1)
    measured_kev = peak_centre_kev(spectra, edges_kev[first : last + 1], everywhere)
    n_valid = _block_sums(valid.astype(float))[enough]
    *each_axis_kev, configured_kev = (
        _block_sums(np.where(valid, peak, 0.0))[enough] / n_valid
        for peak in peak_kev(angles_rad, settings.incident_kev)
    )
    slope, sigma = _fit(measured_kev, each_axis_kev, sigma_kev)
    offset_kev, offset_sigma_kev = _mean(measured_kev - configured_kev, sigma_kev)
    return Alignment(
        slope=slope,
        sigma=sigma,
        offset_kev=offset_kev,
        offset_sigma_kev=offset_sigma_kev,
        offset_mm=-offset_kev / _kev_per_mm(settings),
    )


def _kev_per_mm(settings: ComptonSettings) -> float:
    """Change of the peak at 90 deg per mm along the index of the beam: dE/d(cos theta) / D."""
    energy_kev = float(peak_kev(np.pi / 2, settings.incident_kev))
    per_cosine = energy_kev**2 / ELECTRON_REST_KEV
    return settings.beam_sign * per_cosine / settings.pinhole_to_detector_mm


def _shape(valid: NDArray[np.bool_]) -> tuple[int, int]:
    rows, columns = valid.shape
    return rows, columns


def _window_kev(angles_rad: FloatArray, settings: ComptonSettings) -> FloatArray:
    """Energies between which the line lies whatever the orientation, ``(2,)``."""
    low = scattered_kev(-settings.outer_au, angles_rad.max(), settings.incident_kev)
    high = scattered_kev(settings.outer_au, angles_rad.min(), settings.incident_kev)
    return np.array([low, high])


def _block_sums(values: NDArray[Any]) -> NDArray[Any]:
    kind = np.int64 if values.dtype.kind in "ui" else np.float64
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], BLOCK_PX)
        values = np.add.reduceat(values, starts, axis=axis, dtype=kind)
    return values


def _fit(
    measured_kev: FloatArray, expected_kev: list[FloatArray], sigma_kev: FloatArray
) -> tuple[dict[str, float], dict[str, float]]:
    """Weighted least squares with an offset; the scatter of a structured sample widens sigma."""
    design = np.stack([*expected_kev, np.ones_like(measured_kev)], axis=1) / sigma_kev[:, None]
    solution = np.linalg.lstsq(design, measured_kev / sigma_kev)[0]
    residual = measured_kev / sigma_kev - design @ solution
    scatter = max(1.0, float(residual @ residual) / (len(residual) - len(solution)))
    sigma = np.sqrt(np.diag(np.linalg.pinv(design.T @ design)) * scatter)
    return (
        dict(zip(AXES, solution.tolist(), strict=False)),
        dict(zip(AXES, sigma.tolist(), strict=False)),
    )


def _mean(values: FloatArray, sigma: FloatArray) -> tuple[float, float]:
    """Weighted mean and its sigma, widened by the scatter."""
    weight = sigma**-2
    mean = np.average(values, weights=weight)
    scatter = max(1.0, float(np.sum(weight * (values - mean) ** 2)) / (values.size - 1))
    return float(mean), float(np.sqrt(scatter / weight.sum()))
