"""Region sums to components: anode, electrolyte and cathode, with propagated uncertainties.

The sheet beam is taller than the layers: region 3 is anode alone, region 2 electrolyte and anode,
region 1 all three. With I1, I2, I3 per exposure and f the lithium fractions (Huang et al. 2024):
A = I3, S = I2 - f2 I3, C = I1 - f1 I3 - S, each per volume. The algebra acts on whatever is linear
in the counts: spectra, profiles, L and H; never on EMF.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from math import pi
from operator import add
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.profile import Profile

ComponentName = Literal["anode", "electrolyte", "cathode"]
Normalisation = Literal["live_time", "monitor"]

# Huang et al. 2024; the paper prints the diameters in cm.
ANODE_DIAMETER_MM: Final = 16.0
ELECTROLYTE_DIAMETER_MM: Final = 18.0
CATHODE_DIAMETER_MM: Final = 14.0
ELECTROLYTE_THICKNESS_MM: Final = 0.030
CATHODE_THICKNESS_MM: Final = 0.065

# Not in the paper; between the heights of which the other layers leave the lithium fractions:
# 0.030 / (1 - 0.89) = 0.273 mm and 0.095 / (1 - 0.64) = 0.264 mm.
SHEET_HEIGHT_MM: Final = 0.268


def disk_mm3(diameter_mm: float, height_mm: float) -> float:
    """Volume of a layer of the coin cell."""
    return pi * diameter_mm**2 / 4 * height_mm


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentVolumes:
    """Volume of each component in the beam, mm3; the anode fills the height of the sheet beam."""

    anode_mm3: float = disk_mm3(ANODE_DIAMETER_MM, SHEET_HEIGHT_MM)
    electrolyte_mm3: float = disk_mm3(ELECTROLYTE_DIAMETER_MM, ELECTROLYTE_THICKNESS_MM)
    cathode_mm3: float = disk_mm3(CATHODE_DIAMETER_MM, CATHODE_THICKNESS_MM)

    def __post_init__(self) -> None:
        """Refuse a component without a volume.

        Raises
        ------
        ValueError
            A volume is not positive; the sentence names it.
        """
        for each_field in fields(self):
            volume = getattr(self, each_field.name)
            if not volume > 0:
                raise ValueError(
                    f"components.volumes.{each_field.name} must be positive, not {volume}."
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentSettings:
    """How regions mix components; the ``[components]`` table of the configuration.

    Attributes
    ----------
    li_in_region_1, li_in_region_2
        Anode seen in regions 1 and 2, as a fraction of that in region 3.
    from_ct
        File of ``hexlive register``: of the states that it has, fractions and volumes are those of
        the CT, and EMF is also pooled over its masks.
    """

    li_in_region_1: float = 0.64
    li_in_region_2: float = 0.89
    volumes: ComponentVolumes = field(default_factory=ComponentVolumes)
    from_ct: str | None = None

    def __post_init__(self) -> None:
        """Refuse fractions that are none.

        Raises
        ------
        ValueError
            A fraction is not between 0 and 1; the sentence names it.
        """
        for name in ("li_in_region_1", "li_in_region_2"):
            if not 0 <= getattr(self, name) <= 1:
                value = getattr(self, name)
                raise ValueError(f"components.{name} must lie between 0 and 1, not {value}.")

    @property
    def mixing(self) -> dict[ComponentName, dict[int, float]]:
        """Factor of each region in each component; region 3 enters the cathode twice."""
        f1, f2 = self.li_in_region_1, self.li_in_region_2
        return {
            "anode": {3: 1.0},
            "electrolyte": {2: 1.0, 3: -f2},
            "cathode": {1: 1.0, 2: -1.0, 3: f2 - f1},
        }


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegionSums:
    """One region in one state of charge, summed over the same valid pixels as its partners.

    Attributes
    ----------
    spectrum
        ``(bins,)``, counts.
    profile, windows
        Sum profile, and pooled L and H.
    exposure_s
        Live time; times the relative incident flux where ``normalised_by`` is "monitor".
    """

    spectrum: NDArray[Any]
    profile: Profile
    windows: EmfResult
    exposure_s: float
    normalised_by: Normalisation = "live_time"

    def __add__(self, other: "RegionSums") -> "RegionSums":
        """Both exposures together."""
        if self.normalised_by != other.normalised_by:
            raise ValueError("Exposures of one region were normalised in different ways.")
        return RegionSums(
            spectrum=self.spectrum + other.spectrum,
            profile=self.profile + other.profile,
            windows=self.windows + other.windows,
            exposure_s=self.exposure_s + other.exposure_s,
            normalised_by=self.normalised_by,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Component:
    """One component by itself, per second of exposure and mm3.

    Attributes
    ----------
    spectrum, spectrum_variance
        ``(bins,) float64``, counts/(s mm3).
    profile, windows
        As in `RegionSums`; ``windows.emf`` and ``windows.sigma`` are NaN where undefined.
    normalised_by
        What the exposures were: live time, or live time and beam monitor.
    """

    spectrum: FloatArray
    spectrum_variance: FloatArray
    profile: Profile
    windows: EmfResult
    normalised_by: Normalisation


def components(
    regions: Mapping[int, RegionSums], settings: ComponentSettings
) -> dict[ComponentName, Component]:
    """Separate the components.

    Parameters
    ----------
    regions
        Regions 1, 2, 3 of one state, or those measured so far.

    Returns
    -------
    dict
        Of "anode", "electrolyte" and "cathode" those whose regions are all there.

    Raises
    ------
    ValueError
        A region has no positive exposure, or they were normalised in different ways.
    """
    scales = _scales({number: region.exposure_s for number, region in regions.items()}, settings)
    _check_normalisation(regions)
    return {name: _mixed(regions, scale) for name, scale in scales.items()}


def component_windows(
    regions: Mapping[int, EmfResult], exposures_s: Mapping[int, float], settings: ComponentSettings
) -> dict[ComponentName, EmfResult]:
    """L and H of each component from those of the regions: of a map, or pooled.

    Parameters
    ----------
    regions, exposures_s
        L and H of regions 1, 2, 3, all of one shape, and the exposure of each.

    Raises
    ------
    ValueError
        A region has no positive exposure.
    """
    return {
        name: reduce(add, (regions[number].scaled(factor) for number, factor in scale.items()))
        for name, scale in _scales(exposures_s, settings).items()
    }


def emf_covariance(
    regions: Mapping[int, EmfResult], exposures_s: Mapping[int, float], settings: ComponentSettings
) -> FloatArray:
    """Covariance of the EMFs of the components, in the order of ``settings.mixing``.

    Components share regions: with w a component's factor of region r, to first order
    cov(a, b) = sum_r w_a w_b (var L - (EMF_a + EMF_b) cov(L, H) + EMF_a EMF_b var H) / (H_a H_b).

    Parameters
    ----------
    regions, exposures_s
        Pooled L and H of regions 1, 2 and 3, and the exposure of each.

    Returns
    -------
    ``(components, components) float64``; NaN in the row and column of a component without an EMF.
    """
    scales = _scales(exposures_s, settings)
    windows = component_windows(regions, exposures_s, settings)

    def shared(a: ComponentName, b: ComponentName) -> float:
        if not (windows[a].defined and windows[b].defined):
            return np.nan
        emf_a, emf_b = windows[a].emf, windows[b].emf
        total = 0.0
        for number in scales[a].keys() & scales[b].keys():
            each, weight = regions[number], scales[a][number] * scales[b][number]
            noise = each.var_low - (emf_a + emf_b) * each.cov + emf_a * emf_b * each.var_high
            total += weight * float(noise)
        return total / float(windows[a].high * windows[b].high)

    return np.array([[shared(a, b) for b in windows] for a in windows])


def _scales(
    exposures_s: Mapping[int, float], settings: ComponentSettings
) -> dict[ComponentName, dict[int, float]]:
    """Factor of each region, per exposure and volume, in the components whose regions are there."""
    for number, exposure_s in exposures_s.items():
        if not exposure_s > 0:
            raise ValueError(
                f"Region {number} has an exposure of {exposure_s} s; exposures are only "
                "subtracted per live time, so give a positive one."
            )
    return {
        name: {
            number: factor / (exposures_s[number] * getattr(settings.volumes, f"{name}_mm3"))
            for number, factor in factors.items()
        }
        for name, factors in settings.mixing.items()
        if factors.keys() <= exposures_s.keys()
    }


def _check_normalisation(regions: Mapping[int, RegionSums]) -> None:
    if len({region.normalised_by for region in regions.values()}) > 1:
        raise ValueError(
            "The regions are normalised in different ways; use live_time or monitor for all."
        )


def _mixed(regions: Mapping[int, RegionSums], scales: Mapping[int, float]) -> Component:
    """Linear combination of regions; exposures are independent, so their variances add."""
    parts = [(regions[number], scale) for number, scale in scales.items()]
    return Component(
        spectrum=reduce(add, (region.spectrum * scale for region, scale in parts)),
        spectrum_variance=reduce(add, (region.spectrum * scale**2 for region, scale in parts)),
        profile=reduce(add, (region.profile.scaled(scale) for region, scale in parts)),
        windows=reduce(add, (region.windows.scaled(scale) for region, scale in parts)),
        normalised_by=parts[0][0].normalised_by,
    )
