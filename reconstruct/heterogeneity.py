"""How uneven an EMF map is: its spread beyond counting noise, centre to edge, left to right.

L and H of pixels are added, EMF is never averaged. The spread comes from d = L - r H, with r the
EMF of the whole: linear in the counts, so that its noise is known and has no bias.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import (
    ANODE_DIAMETER_MM,
    CATHODE_DIAMETER_MM,
    ELECTROLYTE_DIAMETER_MM,
)
from hexlive.reconstruct.compton import ComptonSettings, FloatArray
from hexlive.reconstruct.emf import EmfResult, pool, relative_emf

# The disk in which a map is judged: the narrowest of the layers that it shows.
DIAMETER_MM: Final = {
    "region_1": CATHODE_DIAMETER_MM,
    "region_2": ANODE_DIAMETER_MM,
    "region_3": ANODE_DIAMETER_MM,
    "anode": ANODE_DIAMETER_MM,
    "electrolyte": ELECTROLYTE_DIAMETER_MM,
    "cathode": CATHODE_DIAMETER_MM,
}
# The circle that halves the area of a disk, over its radius.
HALF_AREA: Final = 0.5**0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Heterogeneity:
    """Numbers of one EMF map inside a disk; NaN where the counts do not allow them.

    Attributes
    ----------
    emf, emf_sigma
        Of all pixels together.
    variance, variance_sigma
        Of EMF between pixels, weighted by H squared, without that of the counting noise; may come
        out negative where there is none.
    std, std_sigma
        The root of ``variance``, 0 where that is negative.
    centre_edge, centre_edge_sigma
        EMF of the inner over that of the outer half of the disk's area.
    left_right, left_right_sigma
        EMF of the columns below over those above the middle of the disk, as on the detector: the
        pinhole has inverted the cell.
    """

    emf: float
    emf_sigma: float
    variance: float
    variance_sigma: float
    std: float
    std_sigma: float
    centre_edge: float
    centre_edge_sigma: float
    left_right: float
    left_right_sigma: float


def sheet_position_mm(
    shape: tuple[int, int], pitch_mm: float, settings: ComptonSettings
) -> tuple[FloatArray, FloatArray]:
    """Where each pixel looks in the sheet beam, ``(rows, columns)`` down and across, mm.

    From the optical axis, in the directions of the detector.
    """
    row_mm, column_mm = (
        ((np.arange(count) - (count - 1) / 2) * pitch_mm - offset) / settings.magnification
        for count, offset in zip(shape, settings.axis_offset_mm, strict=True)
    )
    down, across = np.meshgrid(row_mm, column_mm, indexing="ij")
    return down, across


def heterogeneity(
    result: EmfResult, position_mm: tuple[FloatArray, FloatArray], diameter_mm: float
) -> Heterogeneity:
    """Numbers of a map inside a disk around the optical axis.

    Parameters
    ----------
    result
        ``(rows, columns)``, of a region or a component; 0 in masked pixels.
    position_mm
        From `sheet_position_mm`.
    """
    down, across = position_mm
    radius = np.hypot(down, across) / (diameter_mm / 2)
    inside, inner, left = radius <= 1, radius <= HALF_AREA, across < 0
    whole = pool(result, inside)
    variance, variance_sigma = excess_variance(result, inside)
    centre_edge = _ratio(result, inner, inside & ~inner)
    left_right = _ratio(result, inside & left, inside & ~left)
    return Heterogeneity(
        emf=float(whole.emf),
        emf_sigma=float(whole.sigma),
        variance=variance,
        variance_sigma=variance_sigma,
        std=float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan,
        std_sigma=_root_sigma(variance, variance_sigma),
        centre_edge=centre_edge[0],
        centre_edge_sigma=centre_edge[1],
        left_right=left_right[0],
        left_right_sigma=left_right[1],
    )


def excess_variance(result: EmfResult, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Variance of EMF between pixels beyond that of counting, and its standard uncertainty.

    With d = L - r H and v = var d, it is sum(d^2 - v) / sum(H^2 - var H); the uncertainty follows
    from var(d^2) = 2 v^2 + 4 v (d^2 - v) of normal d.

    Returns
    -------
    tuple
        NaN where the EMF of the whole is not defined.
    """
    r = float(pool(result, inside).emf)
    d, v = (result.low - r * result.high)[inside], _noise(result, r)[inside]
    weight = (result.high**2 - result.var_high)[inside].sum()
    if not (np.isfinite(r) and weight > 0):
        return np.nan, np.nan
    variance = float((d**2 - v).sum() / weight)
    true_square = max(variance, 0.0) * np.maximum(result.high**2 - result.var_high, 0.0)[inside]
    return variance, float(np.sqrt((2 * v**2 + 4 * v * true_square).sum()) / weight)


def _noise(result: EmfResult, r: float) -> FloatArray:
    return result.var_low + r**2 * result.var_high - 2 * r * result.cov


def _root_sigma(variance: float, sigma: float) -> float:
    """Of the root of a variance; at 0 the spread that one sigma of variance would be."""
    if variance > sigma / 4:
        return sigma / (2 * float(np.sqrt(variance)))
    return float(np.sqrt(sigma))


def _ratio(
    result: EmfResult, numerator: NDArray[np.bool_], denominator: NDArray[np.bool_]
) -> tuple[float, float]:
    """Ratio of the EMF of two sets of pixels without a common one, and its sigma."""
    ratio, sigma = relative_emf(pool(result, numerator), pool(result, denominator))
    return float(ratio), float(sigma)
