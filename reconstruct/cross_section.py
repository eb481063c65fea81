"""The Compton cross-section: per unit of J, and for an electron at rest."""

from typing import Final

import numpy as np

from hexlive.reconstruct.compton import (
    ALPHA_INVERSE,
    ELECTRON_REST_KEV,
    FloatArray,
    FloatLike,
    Kinematics,
    cos,
    peak_kev,
    pz_au,
    transfer_kev,
)

# CODATA 2018 (Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021).
CLASSICAL_RADIUS_CM: Final = 2.8179403262e-13
BARN_PER_CM2: Final = 1e24


def cross_section_factor(
    scattered_kev: FloatLike,
    theta_rad: FloatLike,
    incident_kev: float,
    polarisation: float,
    kinematics: Kinematics = "paper",
) -> FloatArray:
    """K in d2sigma/(dE2 dOmega) = K J(pz), barn/(sr keV) for J in 1/a.u.

    K = (m^2 r0^2 / 2) (E2/E1) X / (|k| E(pz)), Ribberfors, Phys. Rev. B 12, 2067 (1975); X as
    in Holm, Phys. Rev. A 37, 3706 (1988), with the sign of pz adapted. With the detector at right
    angles to the polarisation the angular terms of X vanish, so they are scaled by
    1 - ``polarisation``. At pz = 0, K dE2/dpz is Klein-Nishina.
    """
    m = ELECTRON_REST_KEV
    scattered = np.asarray(scattered_kev, dtype=np.float64)
    transfer = transfer_kev(scattered, theta_rad, incident_kev)
    momentum = pz_au(scattered, theta_rad, incident_kev, kinematics) * m / ALPHA_INVERSE
    energy = np.sqrt(m**2 + momentum**2)
    along = incident_kev - scattered * cos(theta_rad)
    r_in = incident_kev * (energy + along * momentum / transfer)
    r_out = r_in - incident_kev * scattered * (1 - cos(theta_rad))
    step = 1 / r_in - 1 / r_out
    angular = 2 * m**2 * step + m**4 * step**2
    x = r_in / r_out + r_out / r_in + (1 - polarisation) * angular
    kev_per_au = m / ALPHA_INVERSE
    prefactor = m**2 / 2 * (scattered / incident_kev) / (transfer * energy * kev_per_au)
    return prefactor * x * CLASSICAL_RADIUS_CM**2 * BARN_PER_CM2


def klein_nishina_barn(
    theta_rad: FloatLike, incident_kev: float, polarisation: float
) -> FloatArray:
    """Cross-section of an electron at rest, barn/sr, at right angles to the polarisation."""
    ratio = peak_kev(theta_rad, incident_kev) / incident_kev
    angular = ratio + 1 / ratio - (1 - polarisation) * (1 - cos(theta_rad) ** 2)
    return CLASSICAL_RADIUS_CM**2 * BARN_PER_CM2 / 2 * ratio**2 * angular
