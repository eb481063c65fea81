"""Energies of the simulated photons: per class and scattering angle, as inverse cumulatives."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import (
    ComptonSettings,
    FloatArray,
    cross_section_factor,
    czt_efficiency,
    pz_au,
)
from hexlive.stream.scene import CLASSES, MATERIALS, PZ_AU, compton_profile
from hexlive.stream.sensor_tables import Photons

# Energies are blended between these many angles: at a given quantile they are nearly linear.
N_ANGLES: Final = 9
N_QUANTILES: Final = 4096
MARGIN_RAD: Final = 1e-6

LOWEST_KEV: Final = 25.0
STEP_KEV: Final = 0.02
FLAT_KEV: Final = (5.0, 150.0)

# K lines of tungsten and lead, keV, and their share among all simulated lines (xraylib 4.3).
LINES_KEV: Final = (57.981, 59.318, 67.244, 72.805, 74.969, 84.938)
LINES_SHARE: Final = (0.16, 0.28, 0.06, 0.16, 0.28, 0.06)


def angle_nodes_rad(theta_rad: FloatArray) -> FloatArray:
    """The angles between which energies are blended, ``(N_ANGLES,)``."""
    return np.linspace(theta_rad.min() - MARGIN_RAD, theta_rad.max() + MARGIN_RAD, N_ANGLES)


def blend(theta_rad: FloatArray, nodes_rad: FloatArray) -> tuple[NDArray[np.int32], FloatArray]:
    """Index of the node below each angle, and how far the angle is towards the next."""
    position = (theta_rad - nodes_rad[0]) / (nodes_rad[1] - nodes_rad[0])
    index = np.clip(position.astype(np.int32), 0, nodes_rad.size - 2)
    return index, position - index


def quantile_table_kev(nodes_rad: FloatArray, compton: ComptonSettings) -> NDArray[np.float32]:
    """Energy at equal steps of probability, ``(classes, angles, N_QUANTILES + 1) float32, keV``.

    Absorbed photons: J times the cross-section times the efficiency of the sensor.

    Raises
    ------
    SimulatorUnavailableError
        xraylib is not installed.
    """
    probability = np.linspace(0.0, 1.0, N_QUANTILES + 1)
    table = np.empty((len(CLASSES), nodes_rad.size, probability.size), np.float32)
    energy_kev = np.arange(LOWEST_KEV, compton.incident_kev, STEP_KEV)
    for index, theta_rad in enumerate(nodes_rad):
        factor = cross_section_factor(
            energy_kev, theta_rad, compton.incident_kev, compton.polarisation
        ) * czt_efficiency(energy_kev, compton.sensor_mm)
        momentum_au = np.abs(pz_au(energy_kev, theta_rad, compton.incident_kev))
        for kind, material in enumerate(MATERIALS):
            density = factor * np.interp(momentum_au, PZ_AU, compton_profile(material), right=0.0)
            cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
            table[kind, index] = np.interp(probability, cumulative / cumulative[-1], energy_kev)
    line = np.searchsorted(np.cumsum(LINES_SHARE), probability).clip(max=len(LINES_KEV) - 1)
    table[CLASSES.index("lines")] = np.array(LINES_KEV)[line]
    table[CLASSES.index("flat")] = np.interp(probability, [0.0, 1.0], FLAT_KEV)
    return table


def photons(
    per_frame: FloatArray, theta_rad: FloatArray, quantile_kev: NDArray[np.float32]
) -> Photons:
    """Tables to draw photons from.

    Parameters
    ----------
    per_frame
        ``(classes, rows, columns)``: mean number of absorbed photons in a frame.
    theta_rad
        ``(rows, columns)``.
    quantile_kev
        From `quantile_table_kev` at the nodes of these angles.
    """
    nodes_rad = angle_nodes_rad(theta_rad)
    index, fraction = blend(theta_rad.ravel(), nodes_rad)
    keep, other = alias_table(per_frame.ravel())
    return Photons(
        keep=keep,
        other=other,
        quantile_kev=quantile_kev,
        angle=index,
        blend=fraction.astype(np.float32),
        per_frame=float(per_frame.sum()),
    )


def alias_table(weights: FloatArray) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Walker's alias method, after Vose, IEEE Trans. Softw. Eng. 17, 972 (1991)."""
    share = (weights * (weights.size / weights.sum())).tolist()
    keep, other = [1.0] * len(share), list(range(len(share)))
    small = [i for i, value in enumerate(share) if value < 1.0]
    large = [i for i, value in enumerate(share) if value >= 1.0]
    while small and large:
        low, high = small.pop(), large[-1]
        keep[low], other[low] = share[low], high
        share[high] -= 1.0 - share[low]
        if share[high] < 1.0:
            small.append(large.pop())
    return np.array(keep, np.float32), np.array(other, np.int32)
