"""Energies of the simulated photons: per class and scattering angle, as inverse cumulatives."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import (
    ComptonSettings,
    FloatArray,
    pz_au,
)
from hexlive.reconstruct.cross_section import cross_section_factor
from hexlive.reconstruct.lines import AM_241_EMITTED, Components
from hexlive.stream.simulator.atoms import PZ_AU, absorbed_fraction
from hexlive.stream.simulator.scene import CLASSES, MATERIALS, compton_profile
from hexlive.stream.simulator.sensor_tables import Photons

# Energies are blended between these many angles: at a given quantile they are nearly linear.
N_ANGLES: Final = 9
N_QUANTILES: Final = 4096
PROBABILITY: Final = np.linspace(0.0, 1.0, N_QUANTILES + 1)
MARGIN_RAD: Final = 1e-6
NOTHING: Final = (np.ones(1, np.float32), np.zeros(1, np.int32))

LOWEST_KEV: Final = 25.0
STEP_KEV: Final = 0.02
FLAT_KEV: Final = (5.0, 150.0)

# Energy, keV, and share among the photons of the class. "lines": K lines of tungsten and lead;
# "am241": what the source emits, its strong Np L lines and gammas.
LINES: Final[dict[str, Components]] = {
    "lines": (
        (57.981, 0.16), (59.318, 0.28), (67.244, 0.06),
        (72.805, 0.16), (74.969, 0.28), (84.938, 0.06),
    ),
    "am241": tuple(part for line in AM_241_EMITTED for part in line.components),
}  # fmt: skip


def angle_nodes_rad(theta_rad: FloatArray) -> FloatArray:
    """The angles between which energies are blended, ``(N_ANGLES,)``."""
    return np.linspace(theta_rad.min() - MARGIN_RAD, theta_rad.max() + MARGIN_RAD, N_ANGLES)


def blend(theta_rad: FloatArray, nodes_rad: FloatArray) -> tuple[NDArray[np.int32], FloatArray]:
    """Index of the node below each angle, and how far the angle is towards the next."""
    position = (theta_rad - nodes_rad[0]) / (nodes_rad[1] - nodes_rad[0])
    index = np.clip(position.astype(np.int32), 0, nodes_rad.size - 2)
    return index, position - index


def quantile_table_kev(
    nodes_rad: FloatArray, compton: ComptonSettings, classes: Sequence[str] = CLASSES["cell"]
) -> NDArray[np.float32]:
    """Energy at equal steps of probability, ``(classes, angles, N_QUANTILES + 1) float32, keV``.

    Absorbed photons: J times the cross-section times the efficiency of the sensor.
    """
    table = np.empty((len(classes), nodes_rad.size, PROBABILITY.size), np.float32)
    for kind, name in enumerate(classes):
        if name in MATERIALS:
            table[kind] = _scattered_kev(name, nodes_rad, compton)
        elif name in LINES:
            table[kind] = _lines_kev(LINES[name])
        else:
            table[kind] = np.interp(PROBABILITY, [0.0, 1.0], FLAT_KEV)
    return table


def _scattered_kev(
    material: str, nodes_rad: FloatArray, compton: ComptonSettings
) -> NDArray[np.float64]:
    """Quantiles of the Compton line of a material, ``(angles, N_QUANTILES + 1)``."""
    energy_kev = np.arange(LOWEST_KEV, compton.incident_kev, STEP_KEV)
    absorbed, profile = absorbed_fraction(energy_kev, compton.sensor_mm), compton_profile(material)
    quantiles_kev = np.empty((nodes_rad.size, PROBABILITY.size))
    for index, theta_rad in enumerate(nodes_rad):
        momentum_au = np.abs(pz_au(energy_kev, theta_rad, compton.incident_kev))
        density = cross_section_factor(
            energy_kev, theta_rad, compton.incident_kev, compton.polarisation
        )
        density *= absorbed * np.interp(momentum_au, PZ_AU, profile, right=0.0)
        cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
        quantiles_kev[index] = np.interp(PROBABILITY, cumulative / cumulative[-1], energy_kev)
    return quantiles_kev


def _lines_kev(lines: Components) -> NDArray[np.float64]:
    """Quantiles of a set of lines, ``(N_QUANTILES + 1,)``."""
    energy_kev, share = np.array(lines).T
    index = np.searchsorted(np.cumsum(share) / share.sum(), PROBABILITY)
    return np.asarray(energy_kev[index.clip(max=len(lines) - 1)])


def photons(
    per_frame: FloatArray, theta_rad: FloatArray, quantile_kev: NDArray[np.float32]
) -> Photons:
    """Tables to draw photons from.

    Parameters
    ----------
    per_frame
        ``(classes, rows, columns)``: mean number of absorbed photons in a frame; no class at all
        is a dark frame.
    theta_rad
        ``(rows, columns)``.
    quantile_kev
        From `quantile_table_kev` at the nodes of these angles.
    """
    nodes_rad = angle_nodes_rad(theta_rad)
    index, fraction = blend(theta_rad.ravel(), nodes_rad)
    keep, other = alias_table(per_frame.ravel()) if per_frame.size else NOTHING
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
