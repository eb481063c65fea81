"""The images of one CT scan, and what can be wrong with them."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SAMPLED_ROWS: Final = 64  # of an image, to see whether it is blank
GAP_STEPS: Final = 1.5  # an angular gap of more than so many median steps misses a projection
NAMED_GAPS: Final = 3
HALF_TURN_DEG: Final = 180.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scan:
    """The images of one CT scan.

    Attributes
    ----------
    projections
        ``(projections, rows, columns)``: counts, or float line integrals where ``flats`` is None.
        Anything that slices like an array will do, an HDF5 dataset for one.
    flats, darks
        ``(images, rows, columns)``, counts, or None.
    angles_deg
        ``(projections,) float64``, as measured.
    pixel_um
        Pixel size at the sample, where the data say it.
    notes
        Sentences about the data that a user should read, such as missing images.
    """

    projections: NDArray[Any]
    flats: NDArray[Any] | None
    darks: NDArray[Any] | None
    angles_deg: NDArray[np.float64]
    pixel_um: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together.

        Raises
        ------
        ValueError
            Projections and angles differ in number, or images differ in size.
        """
        if self.projections.ndim != 3 or len(self.projections) != len(self.angles_deg):
            raise ValueError(
                f"Projections of shape {self.projections.shape} do not fit "
                f"{len(self.angles_deg)} angles."
            )
        for name, images in (("flats", self.flats), ("darks", self.darks)):
            if images is not None and images.shape[1:] != self.projections.shape[1:]:
                raise ValueError(f"The {name} and the projections differ in rows or columns.")


def without_blank(scan: Scan) -> Scan:
    """Drop projections that hold one value only, or nothing finite, and say so."""
    good = np.array([has_contrast(image) for image in scan.projections])
    if good.all():
        return scan
    note = f"{np.count_nonzero(~good)} of {len(good)} projections are blank and were left out."
    return replace(
        scan,
        projections=scan.projections[good],
        angles_deg=scan.angles_deg[good],
        notes=(*scan.notes, note),
    )


def has_contrast(image: NDArray[Any]) -> bool:
    """Whether an image ``(rows, columns)`` holds more than one value."""
    some = np.asarray(image[:: max(1, len(image) // SAMPLED_ROWS)])
    finite = some[np.isfinite(some)]
    return bool(finite.size and np.ptp(finite) > 0)


def angle_warnings(angles_deg: NDArray[np.float64]) -> list[str]:
    """Sentences about angles that are missing, within the scan or to half a turn."""
    present_deg = np.unique(angles_deg)
    steps_deg = np.diff(present_deg)
    step_deg = float(np.median(steps_deg))
    sentences = []
    gaps = np.flatnonzero(steps_deg > GAP_STEPS * step_deg)
    if gaps.size:
        n_missing = round(float(np.sum(steps_deg[gaps] / step_deg - 1)))
        widest = np.sort(gaps[np.argsort(-steps_deg[gaps], kind="stable")][:NAMED_GAPS])
        where = ", ".join(
            _range(present_deg[gap] + step_deg, present_deg[gap + 1] - step_deg) for gap in widest
        )
        others = " and other" if gaps.size > NAMED_GAPS else ""
        sentences.append(
            f"About {n_missing} projections are missing (at {where}{others} degrees); "
            "the weights follow the measured angles."
        )
    covered_deg = float(np.ptp(angles_deg)) + step_deg
    if covered_deg < HALF_TURN_DEG - step_deg:
        sentences.append(
            f"The scan covers {covered_deg:.4g} of 180 degrees; slices are blurred along the rest."
        )
    return sentences


def _range(first: float, last: float) -> str:
    ends = f"{first:.4g}", f"{last:.4g}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
