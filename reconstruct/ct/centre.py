"""The rotation axis, found by two independent methods and decided by the sharper slice.

One method alone is wrong on real data: Vo's is a pixel off on some scans, the mirror method on
others. Sinogram stacks are ``(rows, angles, columns) float32``, line integrals.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, shift

from hexlive.reconstruct.ct.axis_methods import (
    axis_tilt,
    centroid_centre,
    is_full_turn,
    is_short,
    mirror_centre,
    seam_misfit,
    symmetry_centre,
    vo_centre,
    within_search,
)
from hexlive.reconstruct.ct.sharpness import Blur, blur_of, sharpest

AGREEMENT_PX: Final = 1.0  # methods farther apart than this disagree
CERTAIN_PX: Final = 0.25  # methods closer than this need no judge
SMOOTHING_PX: Final = 2.0  # noise and one-column stripes pull both methods by a pixel
MIN_SIZE: Final = 8
MIN_COLUMNS: Final = 64  # below, neither a wedge nor an edge can be told from noise
VO_ROWS: Final = 3
MAX_SEAM: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Centre:
    """Where the rotation axis is.

    Attributes
    ----------
    px
        Column of the axis, counted from the middle of the first column.
    by_method
        What each method says: "mirror", or "centroid" for less than half a turn; "vo", or
        "symmetry" for a full turn; and "sharpness" and "centroid" where these had to judge.
    score
        Mean gradient of the smoothed slice at ``px``; the lower, the sharper the slice.
    agreed
        Whether all of them lie within `AGREEMENT_PX`, and none at the end of its search.
    px_per_row, row
        Tilt of the axis: at another detector row it is at ``px + px_per_row * (other - row)``.
    seam
        For a full turn: mean square difference of opposite rays, relative to their variance.
    """

    px: float
    by_method: dict[str, float]
    score: float
    agreed: bool
    px_per_row: float = 0.0
    row: float = 0.0
    seam: float | None = None

    def offsets_px(self, rows: slice) -> NDArray[np.float64] | None:
        """By how much the axis of some rows lies beside ``px``, ``(rows,)``; None: not at all."""
        if not self.px_per_row:
            return None
        return self.px_per_row * (np.arange(rows.start, rows.stop) - self.row)


def find_centre(
    sinogram: NDArray[np.float32],
    angles_rad: NDArray[np.float64],
    rows: NDArray[np.intp] | None = None,
    previous_px: float | None = None,
) -> Centre:
    """Find the rotation axis from a few rows of a scan.

    Parameters
    ----------
    sinogram
        ``(rows, angles, columns) float32``; a handful of rows with structure in them.
    angles_rad
        ``(angles,)``, over 180 degrees, or over 360 with the axis anywhere.
    rows
        Which detector rows these are, ``(rows,)``; None: a tilt is not looked for.
    previous_px
        Axis of the previous scan, which is kept where the methods disagree.

    Raises
    ------
    ValueError
        Too few angles or columns to say anything.
    """
    if (np.diff(angles_rad) <= 0).any():
        angles_rad, first = np.unique(angles_rad, return_index=True)
        sinogram = sinogram[:, first]
    if min(len(angles_rad), sinogram.shape[-1]) < MIN_SIZE:
        raise ValueError(f"The rotation axis takes at least {MIN_SIZE} angles and columns to find.")
    sinogram = gaussian_filter1d(sinogram, SMOOTHING_PX, axis=-1)
    short = is_short(angles_rad)
    tilt = 0.0 if rows is None or short else axis_tilt(sinogram, angles_rad, rows)
    if rows is not None and tilt:
        sinogram = _upright(sinogram, tilt * (rows - rows.mean()))
    blur, full_turn = blur_of(sinogram, angles_rad), is_full_turn(angles_rad)
    columns = sinogram.shape[-1]
    centroid_px = None if full_turn else centroid_centre(sinogram, angles_rad)
    by_method = _estimates(sinogram, angles_rad, centroid_px)
    agreed = len(by_method) > 1 and float(np.ptp(list(by_method.values()))) <= AGREEMENT_PX
    agreed &= all(within_search(px, columns, full_turn=full_turn) for px in by_method.values())
    if agreed or previous_px is None:
        px = _decide(by_method, blur, full_turn, centroid_px)
    else:
        px = by_method["previous"] = previous_px
    return Centre(
        px=px,
        by_method=by_method,
        score=blur(px),
        agreed=agreed and float(np.ptp(list(by_method.values()))) <= AGREEMENT_PX,
        px_per_row=tilt,
        row=0.0 if rows is None else float(rows.mean()),
        seam=seam_misfit(sinogram, angles_rad, px) if full_turn else None,
    )


def _upright(sinogram: NDArray[np.float32], offsets_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows shifted so that all have the axis of the row in the middle."""
    moved = np.empty_like(sinogram)
    for row, offset_px in enumerate(offsets_px):
        shift(sinogram[row], (0, -offset_px), moved[row], order=1, mode="nearest")
    return moved


def _estimates(
    sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64], centroid_px: float | None
) -> dict[str, float]:
    """What the methods say; nothing is opposite in a short scan."""
    found = {}
    if not is_short(angles_rad):
        found["mirror"] = mirror_centre(sinogram, angles_rad)
    elif centroid_px is not None:
        found["centroid"] = centroid_px
    if is_full_turn(angles_rad):
        found["symmetry"] = symmetry_centre(sinogram, angles_rad)
    elif sinogram.shape[-1] >= MIN_COLUMNS or not found:
        found["vo"] = vo_centre(sinogram[:: -(-len(sinogram) // VO_ROWS)], angles_rad)
    return found


def _decide(
    by_method: dict[str, float], blur: Blur, full_turn: bool, centroid_px: float | None
) -> float:
    """The axis from what the methods say, px; who else had a say is added to them."""
    estimates_px = list(by_method.values())
    if "centroid" in by_method:  # of a short scan, which fools the others
        return by_method["centroid"]
    if float(np.ptp(estimates_px)) <= CERTAIN_PX and list(by_method) != ["vo"]:
        return float(np.mean(estimates_px))
    if full_turn:
        # Another axis shows another field, so sharpness is no judge; opposite projections are real.
        return by_method["mirror"]
    starts_px = estimates_px if centroid_px is None else [centroid_px]
    px = min((sharpest(blur, start_px) for start_px in starts_px), key=blur)
    by_method["sharpness"] = px
    if centroid_px is None:
        return px
    by_method["centroid"] = centroid_px
    return px if abs(px - centroid_px) <= AGREEMENT_PX else centroid_px


def centre_warnings(centre: Centre) -> list[str]:
    """Sentences about an axis that is in doubt or tilted, or halves that do not meet."""
    sentences = []
    if not centre.agreed:
        found = ", ".join(f"{name} {px:.1f}" for name, px in centre.by_method.items())
        kept = ", that of the previous scan," if "previous" in centre.by_method else ""
        sentences.append(
            f"The rotation axis is uncertain ({found} px); {centre.px:.2f} px{kept} was used, so "
            "look at the slices, or set tomography.centre."
        )
    if centre.px_per_row:
        sentences.append(
            f"The rotation axis is tilted by {centre.px_per_row:.5f} px per row; each row was "
            "reconstructed about its own axis."
        )
    if centre.seam is not None and centre.seam > MAX_SEAM:
        sentences.append(
            f"The two halves of the full turn differ by {100 * centre.seam:.0f} % where they "
            "overlap; there may be a seam around the axis."
        )
    return sentences
