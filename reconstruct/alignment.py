"""Whether the measured Compton peaks rise where the geometry says they do."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import (
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

AXES: Final[tuple[Literal["columns"], Literal["rows"]]] = ("columns", "rows")


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """How far the measured peaks follow the peaks of each axis with sign +1.

    Attributes
    ----------
    slope, sigma
        By axis: 1 where the peaks are as expected, -1 where the sign is wrong, 0 across the beam.
    """

    slope: dict[str, float]
    sigma: dict[str, float]

    def remedy(self, settings: ComptonSettings) -> str | None:
        """The sentence that says which setting is probably wrong; None: nothing speaks for it."""
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
    angles_rad = np.stack([theta_map_rad(_shape(valid), pitch_mm, beam) for beam in beams])
    window_kev = _window_kev(angles_rad, settings)
    first, last = np.searchsorted(edges_kev, window_kev)
    near = np.where(valid[..., None], counts[..., first:last], 0).astype(np.int64)
    spectra = _block_sums(near)
    total = spectra.sum(axis=-1)
    enough = total >= LEAST_BLOCK_COUNTS
    if enough.sum() < LEAST_BLOCKS:
        return None
    spectra, sigma_kev = spectra[enough], MEDIAN_SIGMA_KEV / np.sqrt(total[enough])
    everywhere = np.repeat(edges_kev[[first, last]][:, None], len(spectra), axis=1)
    measured_kev = peak_centre_kev(spectra, edges_kev[first : last + 1], everywhere)
    n_valid = _block_sums(valid.astype(float))[enough]
    expected_kev = [
        _block_sums(np.where(valid, peak, 0.0))[enough] / n_valid
        for peak in peak_kev(angles_rad, settings.incident_kev)
    ]
    return _fit(measured_kev, expected_kev, sigma_kev)


def _shape(valid: NDArray[np.bool_]) -> tuple[int, int]:
    rows, columns = valid.shape
    return rows, columns


def _window_kev(angles_rad: FloatArray, settings: ComptonSettings) -> FloatArray:
    """Energies between which the line lies whatever the orientation, ``(2,)``."""
    low = scattered_kev(-settings.outer_au, angles_rad.max(), settings.incident_kev)
    high = scattered_kev(settings.outer_au, angles_rad.min(), settings.incident_kev)
    return np.array([low, high])


def _block_sums(values: NDArray[Any]) -> NDArray[Any]:
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], BLOCK_PX), axis=axis)
    return values


def _fit(
    measured_kev: FloatArray, expected_kev: list[FloatArray], sigma_kev: FloatArray
) -> Alignment:
    """Weighted least squares with an offset; the scatter of a structured sample widens sigma."""
    design = np.stack([*expected_kev, np.ones_like(measured_kev)], axis=1) / sigma_kev[:, None]
    solution = np.linalg.lstsq(design, measured_kev / sigma_kev)[0]
    residual = measured_kev / sigma_kev - design @ solution
    scatter = max(1.0, float(residual @ residual) / (len(residual) - len(solution)))
    sigma = np.sqrt(np.diag(np.linalg.pinv(design.T @ design)) * scatter)
    return Alignment(
        slope=dict(zip(AXES, solution.tolist(), strict=False)),
        sigma=dict(zip(AXES, sigma.tolist(), strict=False)),
    )
