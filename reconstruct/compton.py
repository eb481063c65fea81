"""Compton kinematics: scattered energy, angle and electron momentum, and the cross-section.

Sign convention, everywhere in hexlive: pz > 0 means a scattered energy above the Compton peak.
Part of the literature has the opposite sign. Momenta are in atomic units, energies in keV.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FloatLike = float | FloatArray

# CODATA 2018 (Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021).
ALPHA_INVERSE: Final = 137.035999084
ELECTRON_REST_KEV: Final = 510.99895
CLASSICAL_RADIUS_CM: Final = 2.8179403262e-13

BARN_PER_CM2: Final = 1e24
BARN_PER_MM2: Final = 1e22
CM_PER_MM: Final = 0.1

# Total attenuation of Cd0.9Zn0.1Te at 5.78 g/cm3, from xraylib 4.3 CS_Total. Between the Te K edge
# (31.8 keV) and 160 keV a log-log interpolation gives the efficiency of 2 mm within 0.001; below,
# the first value stands in, because there 2 mm stop everything anyway.
CZT_ENERGY_KEV: Final = (32.0, 40.0, 60.0, 80.0, 90.0, 100.0, 120.0, 140.0, 160.0)
CZT_ATTENUATION_PER_CM: Final = (195.7, 109.7, 37.20, 17.17, 12.55, 9.511, 5.956, 4.077, 2.986)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComptonSettings:
    """Geometry, momentum windows and corrections; the ``[compton]`` table of the configuration.

    Attributes
    ----------
    beam_axis, beam_sign
        The detector index that runs along the beam, and whether it rises with it (+1) or against
        it (-1). The pinhole inverts the image, so only an alignment can tell.
    axis_offset_mm
        The optical axis from the detector centre, (row, column) on the detector.
    inner_au, outer_au
        |pz| < inner is the valence window L; inner < |pz| < outer is the core window H.
    polarisation
        Degree of linear polarisation of the beam, perpendicular to the plane through beam and
        detector: 1 for a synchrotron beam with the detector above it, 0 for unpolarised light.
    sensor_mm
        Thickness of the CdZnTe.
    background, background_window_kev
        "flat" subtracts the mean level between these energies, above the elastic line.
    """

    incident_kev: float = 115.0
    beam_axis: Literal["columns", "rows"] = "columns"
    beam_sign: Literal[1, -1] = 1
    pinhole_to_sheet_mm: float = 160.0
    pinhole_to_detector_mm: float = 150.0
    axis_offset_mm: tuple[float, float] = (0.0, 0.0)
    inner_au: float = 1.0
    outer_au: float = 5.0
    polarisation: float = 1.0
    sensor_mm: float = 2.0
    background: Literal["none", "flat"] = "none"
    background_window_kev: tuple[float, float] = (118.0, 140.0)

    def __post_init__(self) -> None:
        """Refuse settings that cannot mean anything.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        for name in ("incident_kev", "pinhole_to_sheet_mm", "pinhole_to_detector_mm", "sensor_mm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"compton.{name} must be positive, not {getattr(self, name)}.")
        for name, known in (
            ("beam_axis", ("columns", "rows")),
            ("beam_sign", (1, -1)),
            ("background", ("none", "flat")),
        ):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise ValueError(f"compton.{name} must be {known[0]} or {known[1]}, not {value}.")
        if not 0 < self.inner_au < self.outer_au < ALPHA_INVERSE:
            raise ValueError(
                f"compton.inner_au ({self.inner_au}) must be positive and below "
                f"compton.outer_au ({self.outer_au}), and that below 1/alpha."
            )
        if not -1 <= self.polarisation <= 1:
            raise ValueError(
                f"compton.polarisation must lie between -1 and 1, not {self.polarisation}."
            )
        if not self.background_window_kev[0] < self.background_window_kev[1]:
            raise ValueError(
                "compton.background_window_kev must rise, "
                f"not run from {self.background_window_kev[0]} to {self.background_window_kev[1]}."
            )

    @property
    def limits_au(self) -> FloatArray:
        """Limits of the windows, ``(4,) float64, a.u.``: -outer, -inner, +inner, +outer."""
        return np.array([-self.outer_au, -self.inner_au, self.inner_au, self.outer_au])

    @property
    def magnification(self) -> float:
        """Length on the detector per length in the sheet beam; both axes are inverted."""
        return self.pinhole_to_detector_mm / self.pinhole_to_sheet_mm


def _cos(theta_rad: FloatLike) -> FloatArray:
    return np.cos(np.asarray(theta_rad, dtype=np.float64))


def theta_map_rad(shape: tuple[int, int], pitch_mm: float, settings: ComptonSettings) -> FloatArray:
    """Scattering angle of each pixel, ``(rows, columns) float64, rad``.

    cos theta = u / sqrt(u^2 + v^2 + D^2), with u along the beam and v across it on the detector,
    from the optical axis, and D from pinhole to detector. One angle for all pixels biases EMF by
    -10 % at 4 mm from the axis and -50 % at 10 mm.

    Parameters
    ----------
    shape
        (rows, columns) of the detector.
    pitch_mm
        Pixel pitch on the detector.
    """
    row_mm, column_mm = (
        (np.arange(count) - (count - 1) / 2) * pitch_mm - offset
        for count, offset in zip(shape, settings.axis_offset_mm, strict=True)
    )
    grid = np.meshgrid(row_mm, column_mm, indexing="ij")
    across, along = grid if settings.beam_axis == "columns" else grid[::-1]
    distance = np.sqrt(along**2 + across**2 + settings.pinhole_to_detector_mm**2)
    cos: FloatArray = settings.beam_sign * along / distance
    return np.arccos(cos)


def theta_from_peak_rad(peak_kev: FloatLike, incident_kev: float) -> FloatArray:
    """Scattering angle from a measured Compton peak, the inverse of `peak_kev`.

    The alternative to `theta_map_rad`: a peak map of the homogeneous reference disk.
    """
    transfer = 1 / np.asarray(peak_kev, dtype=np.float64) - 1 / incident_kev
    return np.arccos(1 - ELECTRON_REST_KEV * transfer)


def _momentum_transfer_kev(
    scattered_kev: FloatLike, theta_rad: FloatLike, incident_kev: float
) -> FloatArray:
    """Length of the momentum transfer k, times c."""
    scattered = np.asarray(scattered_kev, dtype=np.float64)
    mixed = 2 * incident_kev * scattered * _cos(theta_rad)
    return np.sqrt(incident_kev**2 + scattered**2 - mixed)


def pz_au(scattered_kev: FloatLike, theta_rad: FloatLike, incident_kev: float) -> FloatArray:
    """Electron momentum along the transfer, a.u.; Eq. 2 of Huang et al. 2024 times 1/alpha.

    The paper prints pz in units of mc; its windows are in atomic units.
    """
    scattered = np.asarray(scattered_kev, dtype=np.float64)
    recoil = incident_kev * scattered * (1 - _cos(theta_rad)) / ELECTRON_REST_KEV
    transfer = _momentum_transfer_kev(scattered, theta_rad, incident_kev)
    return ALPHA_INVERSE * (scattered - incident_kev + recoil) / transfer


def scattered_kev(pz_au: FloatLike, theta_rad: FloatLike, incident_kev: float) -> FloatArray:
    """Scattered energy at a momentum and an angle: Eq. 2 solved for E2, for |pz| < 1/alpha."""
    p = np.asarray(pz_au, dtype=np.float64) / ALPHA_INVERSE
    cos = _cos(theta_rad)
    a = 1 + incident_kev * (1 - cos) / ELECTRON_REST_KEV
    root = np.sqrt(a**2 - 2 * a * cos + 1 - p**2 * (1 - cos**2))
    return incident_kev / (a**2 - p**2) * (a - p**2 * cos + p * root)


def peak_kev(theta_rad: FloatLike, incident_kev: float) -> FloatArray:
    """Centre of the Compton line: the energy scattered by an electron at rest (pz = 0)."""
    cos = _cos(theta_rad)
    return incident_kev / (1 + incident_kev * (1 - cos) / ELECTRON_REST_KEV)


def window_edges_kev(theta_rad: FloatArray, settings: ComptonSettings) -> NDArray[np.float32]:
    """Window edges of each pixel, ``(4, rows, columns) float32, keV``, as the event kernels want.

    In the order pz = -outer, -inner, +inner, +outer.
    """
    limits = settings.limits_au.reshape(4, *(1,) * theta_rad.ndim)
    return scattered_kev(limits, theta_rad, settings.incident_kev).astype(np.float32)


def cross_section_factor(
    scattered_kev: FloatLike, theta_rad: FloatLike, incident_kev: float, polarisation: float
) -> FloatArray:
    """K in d2sigma/(dE2 dOmega) = K J(pz), barn/(sr keV) for J in 1/a.u.

    K = (m^2 r0^2 / 2) (E2/E1) X / (|k| E(pz)), Ribberfors, Phys. Rev. B 12, 2067 (1975); X as
    in Holm, Phys. Rev. A 37, 3706 (1988), with the sign of pz adapted. With the detector at right
    angles to the polarisation the angular terms of X vanish, so they are scaled by
    1 - ``polarisation``. At pz = 0, K dE2/dpz is Klein-Nishina.
    """
    m = ELECTRON_REST_KEV
    scattered = np.asarray(scattered_kev, dtype=np.float64)
    cos = _cos(theta_rad)
    transfer = _momentum_transfer_kev(scattered, theta_rad, incident_kev)
    momentum = pz_au(scattered, theta_rad, incident_kev) * m / ALPHA_INVERSE
    energy = np.sqrt(m**2 + momentum**2)
    r_in = incident_kev * (energy + (incident_kev - scattered * cos) * momentum / transfer)
    r_out = r_in - incident_kev * scattered * (1 - cos)
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
    angular = ratio + 1 / ratio - (1 - polarisation) * (1 - _cos(theta_rad) ** 2)
    return CLASSICAL_RADIUS_CM**2 * BARN_PER_CM2 / 2 * ratio**2 * angular


def czt_efficiency(energy_kev: FloatLike, thickness_mm: float) -> FloatArray:
    """Fraction of photons that CdZnTe of this thickness stops, up to 160 keV."""
    log_energy = np.log(np.asarray(energy_kev, dtype=np.float64))
    nodes = np.log(CZT_ENERGY_KEV), np.log(CZT_ATTENUATION_PER_CM)
    attenuation_per_cm = np.exp(np.interp(log_energy, *nodes))
    return -np.expm1(-attenuation_per_cm * thickness_mm * CM_PER_MM)


def electrons_per_mm3(
    counts: FloatLike,
    theta_rad: FloatLike,
    settings: ComptonSettings,
    *,
    fluence_per_mm2: float,
    transmission: float,
    volume_mm3: float,
    solid_angle_sr: float,
) -> FloatArray:
    """Electron density from all counts of the Compton line, Eq. 1 of Huang et al. 2024.

    Parameters
    ----------
    fluence_per_mm2
        Incident photons per area over the exposure.
    transmission
        t1 t2: the way in times the way out, both through the sample.
    volume_mm3, solid_angle_sr
        Seen by one pixel. The paper leaves the solid angle and the efficiency implicit.
    """
    incident = settings.incident_kev
    stopped = czt_efficiency(peak_kev(theta_rad, incident), settings.sensor_mm)
    area_mm2 = klein_nishina_barn(theta_rad, incident, settings.polarisation) / BARN_PER_MM2
    seen = fluence_per_mm2 * transmission * volume_mm3 * solid_angle_sr * stopped
    return np.asarray(counts) / (seen * area_mm2)
