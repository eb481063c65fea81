"""Electron density from L + H, Eq. 1 of Huang et al. 2024: only with flux and transmissions."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from hexlive.reconstruct.components import SHEET_HEIGHT_MM
from hexlive.reconstruct.compton import ComptonSettings, FloatArray, pixel_mm
from hexlive.reconstruct.emf import EmfResult

BARN_PER_MM2: Final = 1e22

# No default can stand for these.
NEEDED: Final = ("flux_per_mm2_s", "transmission_in", "transmission_out", "kept_fraction")


@dataclass(frozen=True, kw_only=True, slots=True)
class DensitySettings:
    """What Eq. 1 needs and only the user can know; the ``[density]`` table of the configuration.

    Attributes
    ----------
    flux_per_mm2_s
        Incident photons; None: intensities stay relative.
    transmission_in, transmission_out
        t1 and t2: through the sample to the pixel's volume, and from it to the pinhole.
    sheet_height_mm, pinhole_mm
        Height of the sheet beam, and diameter of the pinhole.
    kept_fraction
        Absorbed photons that become one event of full energy, about 0.6 with clusters of up to 2
        pixels; from a source of known activity. Needed like the flux and the transmissions.
    """

    flux_per_mm2_s: float | None = None
    transmission_in: float | None = None
    transmission_out: float | None = None
    sheet_height_mm: float = SHEET_HEIGHT_MM
    pinhole_mm: float = 0.2
    kept_fraction: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot be, and half of what is needed.

        Raises
        ------
        ValueError
            A value is out of range or missing; the sentence names it.
        """
        for each_field in fields(self):
            value = getattr(self, each_field.name)
            if value is not None and not value > 0:
                raise ValueError(f"density.{each_field.name} must be positive, not {value}.")
        for name in ("transmission_in", "transmission_out", "kept_fraction"):
            if (getattr(self, name) or 1) > 1:
                raise ValueError(f"density.{name} is a fraction, not {getattr(self, name)}.")
        given = [getattr(self, name) is not None for name in NEEDED]
        if any(given) and not all(given):
            raise ValueError(
                f"density: {', '.join(NEEDED)} are only of use together; give all four or none."
            )


def electrons_per_mm3(
    windows: EmfResult,
    live_time_s: float,
    pitch_mm: float,
    compton: ComptonSettings,
    density: DensitySettings,
) -> tuple[FloatArray, FloatArray] | None:
    """Density of electrons with \\|pz\\| below the outer limit, and its sigma; None: relative.

    Eq. 1, dN = phi0 t1 t2 rho_e dV dsigma/dOmega, with the solid angle of the pinhole, which the
    paper leaves implicit. Instead of all counts over Klein-Nishina it takes L + H, in which each
    bin is divided by its own cross-section and efficiency: electrons beyond the outer limit, 5 %
    of those of lithium and 30 % of those of iron, are not in it.

    Parameters
    ----------
    windows
        ``(rows, columns)``, of the whole detector; L and H made with ``compton.efficiency``.

    Returns
    -------
    tuple
        Two arrays ``(rows, columns) float64, electrons/mm3``, NaN where the sum is not positive.
    """
    if density.flux_per_mm2_s is None:
        return None
    fluence = density.flux_per_mm2_s * live_time_s * (density.transmission_in or 1)
    seen = fluence * (density.transmission_out or 1) * (density.kept_fraction or 1)
    pixel_mm3 = (pitch_mm / compton.magnification) ** 2 * density.sheet_height_mm
    rows, columns = windows.low.shape
    solid_angle_sr = pinhole_sr((rows, columns), pitch_mm, compton, density)
    per_density = seen * pixel_mm3 * solid_angle_sr / BARN_PER_MM2
    total = windows.low + windows.high
    variance = windows.var_low + windows.var_high + 2 * windows.cov
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(total > 0, 1 / per_density, np.nan)
    return total * scale, np.sqrt(np.maximum(variance, 0)) * scale


def pinhole_sr(
    shape: tuple[int, int], pitch_mm: float, compton: ComptonSettings, density: DensitySettings
) -> FloatArray:
    """Solid angle of the pinhole from the volume of each pixel, ``(rows, columns) float64, sr``.

    Off the optical axis by psi, it is farther away by 1 / cos(psi) and seen obliquely: cos^3(psi).
    """
    straight_sr = np.pi * density.pinhole_mm**2 / 4 / compton.pinhole_to_sheet_mm**2
    _, distance_mm = pixel_mm(shape, pitch_mm, compton)
    cos_psi: FloatArray = compton.pinhole_to_detector_mm / distance_mm
    return straight_sr * cos_psi**3
