"""Compton kinematics: scattered energy, angle and electron momentum; the settings of both.

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

Kinematics = Literal["paper", "exact"]

CHOICES: Final[dict[str, tuple[str | int, ...]]] = {
    "beam_axis": ("columns", "rows"),
    "beam_sign": (1, -1),
    "kinematics": ("paper", "exact"),
    "angles": ("geometry", "peak_map"),
    "background": ("none", "flat"),
    "pile_up": ("none", "survival"),
    "reference": ("calibration", "first_state", "none"),
}


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
    kinematics
        "paper": Eq. 2, for electrons of rest energy. "exact": their energy at pz; at 5 a.u.
        the forms differ by 0.01 to 0.02 a.u.
    angles
        "geometry": the angle map from the lengths here. "peak_map": from the measured Compton
        peaks of the calibration, ``peak_kev``.
    efficiency, sensor_mm
        Whether J is divided by the fraction of photons that the CdZnTe stops, and its thickness.
    pile_up
        "survival": exposures of components count only as far as events met no other photon; see
        `hexlive.reconstruct.pile_up`.
    reference
        What relative EMF is relative to: the "calibration"'s reference, where it has one; the
        "first_state" measured at the same height; or "none".
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
    kinematics: Kinematics = "paper"
    angles: Literal["geometry", "peak_map"] = "geometry"
    efficiency: bool = True
    sensor_mm: float = 2.0
    background: Literal["none", "flat"] = "none"
    background_window_kev: tuple[float, float] = (118.0, 140.0)
    pile_up: Literal["none", "survival"] = "none"
    reference: Literal["calibration", "first_state", "none"] = "calibration"

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
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                options = " or ".join(map(str, known))
                raise ValueError(f"compton.{name} must be {options}, not {value}.")
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


def cos(theta_rad: FloatLike) -> FloatArray:
    """Cosine, of plain numbers too."""
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
    along_mm, distance_mm = pixel_mm(shape, pitch_mm, settings)
    cosine: FloatArray = settings.beam_sign * along_mm / distance_mm
    return np.arccos(cosine)


def pixel_mm(
    shape: tuple[int, int], pitch_mm: float, settings: ComptonSettings
) -> tuple[FloatArray, FloatArray]:
    """Place of each pixel along the index of the beam, u, and its distance from the pinhole.

    Returns
    -------
    tuple
        Two arrays ``(rows, columns) float64, mm``.
    """
    row_mm, column_mm = (
        (np.arange(count) - (count - 1) / 2) * pitch_mm - offset
        for count, offset in zip(shape, settings.axis_offset_mm, strict=True)
    )
    grid = np.meshgrid(row_mm, column_mm, indexing="ij")
    across, along = grid if settings.beam_axis == "columns" else grid[::-1]
    distance = np.sqrt(along**2 + across**2 + settings.pinhole_to_detector_mm**2)
    return along, distance


def theta_from_peak_rad(peak_kev: FloatLike, incident_kev: float) -> FloatArray:
    """Scattering angle from a measured Compton peak, the inverse of `peak_kev`.

    The alternative to `theta_map_rad`: a peak map of the homogeneous reference disk.
    """
    transfer = 1 / np.asarray(peak_kev, dtype=np.float64) - 1 / incident_kev
    return np.arccos(1 - ELECTRON_REST_KEV * transfer)


def transfer_kev(scattered_kev: FloatLike, theta_rad: FloatLike, incident_kev: float) -> FloatArray:
    """Length of the momentum transfer k, times c."""
    scattered = np.asarray(scattered_kev, dtype=np.float64)
    mixed = 2 * incident_kev * scattered * cos(theta_rad)
    return np.sqrt(incident_kev**2 + scattered**2 - mixed)


def pz_au(
    scattered_kev: FloatLike,
    theta_rad: FloatLike,
    incident_kev: float,
    kinematics: Kinematics = "paper",
) -> FloatArray:
    """Electron momentum along the transfer, a.u.; Eq. 2 of Huang et al. 2024 times 1/alpha.

    The paper prints pz in units of mc; its windows are in atomic units. Eq. 2 gives the electron
    its rest energy; "exact" solves energy and momentum conservation for an electron with pz alone
    (Ribberfors, Phys. Rev. B 12, 2067, 1975).
    """
    scattered = np.asarray(scattered_kev, dtype=np.float64)
    mixed = incident_kev * scattered * (1 - cos(theta_rad))
    transfer = transfer_kev(scattered, theta_rad, incident_kev)
    if kinematics == "exact":
        lost = incident_kev - scattered
        root = np.sqrt(1 / 4 + ELECTRON_REST_KEV**2 / (2 * mixed))
        return ALPHA_INVERSE / ELECTRON_REST_KEV * (transfer / 2 - lost * root)
    return ALPHA_INVERSE * (scattered - incident_kev + mixed / ELECTRON_REST_KEV) / transfer


def scattered_kev(
    pz_au: FloatLike,
    theta_rad: FloatLike,
    incident_kev: float,
    kinematics: Kinematics = "paper",
) -> FloatArray:
    """Scattered energy at a momentum and an angle: Eq. 2 solved for E2, for |pz| < 1/alpha.

    The exact form is Eq. 2 with the electron's energy at pz in place of its rest energy.
    """
    momentum_kev = np.asarray(pz_au, dtype=np.float64) * ELECTRON_REST_KEV / ALPHA_INVERSE
    moving = momentum_kev if kinematics == "exact" else 0.0
    electron_kev = np.hypot(ELECTRON_REST_KEV, moving)
    p, c = momentum_kev / electron_kev, cos(theta_rad)
    a = 1 + incident_kev * (1 - c) / electron_kev
    root = np.sqrt(a**2 - 2 * a * c + 1 - p**2 * (1 - c**2))
    return incident_kev / (a**2 - p**2) * (a - p**2 * c + p * root)


def peak_kev(theta_rad: FloatLike, incident_kev: float) -> FloatArray:
    """Centre of the Compton line: the energy scattered by an electron at rest (pz = 0)."""
    return incident_kev / (1 + incident_kev * (1 - cos(theta_rad)) / ELECTRON_REST_KEV)


def window_edges_kev(theta_rad: FloatArray, settings: ComptonSettings) -> NDArray[np.float32]:
    """Window edges of each pixel, ``(4, rows, columns) float32, keV``, as the event kernels want.

    In the order pz = -outer, -inner, +inner, +outer.
    """
    limits = settings.limits_au.reshape(4, *(1,) * theta_rad.ndim)
    edges = scattered_kev(limits, theta_rad, settings.incident_kev, settings.kinematics)
    return edges.astype(np.float32)
