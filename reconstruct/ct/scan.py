"""The images of one CT scan, and what can be wrong with them."""

from dataclasses import dataclass, replace
from math import pi
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

GAP_STEPS: Final = 1.5  # an angular gap of more than so many median steps misses a projection
NAMED_GAPS: Final = 3
HALF_TURN_DEG: Final = 180.0
RADIANS_PART: Final = 0.03  # spans so near half a turn or a full one in radians are in radians


class Taken(NamedTuple):
    """When images were taken: their numbers in the scan, ``(projections,)`` and ``(flats,)``."""

    projections: NDArray[np.intp]
    flats: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scan:
    """The images of one CT scan.

    Attributes
    ----------
    projections
        ``(projections, rows, columns)``: counts, or float line integrals where ``flats`` is None.
        An array, `ChosenImages`, or an HDF5 dataset: only what is needed at a time is read.
    flats, darks
        ``(images, rows, columns)``, counts, or None.
    angles_deg
        ``(projections,) float64``, as measured.
    taken
        When projections and flats were taken; None: not known, and the flats serve all alike.
    pixel_um
        Pixel size at the sample, where the data say it.
    notes
        Sentences about the data that a user should read, such as missing images.
    """

    projections: Any
    flats: NDArray[Any] | None
    darks: NDArray[Any] | None
    angles_deg: NDArray[np.float64]
    taken: Taken | None = None
    pixel_um: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together.

        Raises
        ------
        ValueError
            Projections and angles differ in number, or images differ in size.
        """
        if len(self.projections.shape) != 3 or self.projections.shape[0] != len(self.angles_deg):
            raise ValueError(
                f"Projections of shape {self.projections.shape} do not fit "
                f"{len(self.angles_deg)} angles."
            )
        for name, images in (("flats", self.flats), ("darks", self.darks)):
            if images is not None and images.shape[1:] != self.projections.shape[1:]:
                raise ValueError(f"The {name} and the projections differ in rows or columns.")


class ScanError(ValueError):
    """Images that cannot be read; the sentence says which."""


class ChosenImages:
    """Some images of a stack, read when they are sliced: a scan may be larger than the memory.

    Parameters
    ----------
    stack
        ``(images, rows, columns)``, an array or an HDF5 dataset that stays open.
    where
        ``(chosen,)``, increasing.
    """

    def __init__(self, stack: Any, where: NDArray[np.intp]) -> None:
        self._stack, self._where = stack, where
        self.shape = (len(where), *stack.shape[1:])
        self.dtype: np.dtype[Any] = stack.dtype

    def __getitem__(self, key: slice | tuple[slice, slice]) -> NDArray[Any]:
        """Read ``[images, rows]``, run by run, in HDF5 many times as fast as image by image."""
        images, rows = key if isinstance(key, tuple) else (key, slice(None))
        where = self._where[images]
        n_rows = len(range(self.shape[1])[rows])
        read = np.empty((len(where), n_rows, self.shape[2]), self.dtype)
        filled = 0
        for run in np.split(where, np.flatnonzero(np.diff(where) != 1) + 1):
            if run.size:
                read[filled : filled + run.size] = self._part(slice(run[0], run[-1] + 1), rows)
            filled += run.size
        return read

    def _part(self, images: slice, rows: slice) -> NDArray[Any]:
        """Read consecutive images.

        Raises
        ------
        ScanError
            The file is damaged there.
        """
        try:
            return np.asarray(self._stack[images, rows])
        except OSError as error:
            raise ScanError(
                f"Images {images.start} to {images.stop - 1} cannot be read: the file of the scan "
                "is damaged."
            ) from error


def without_blank(scan: Scan, sample: NDArray[Any]) -> tuple[Scan, NDArray[np.bool_]]:
    """Leave out projections that hold one value only, or nothing finite, and say so.

    Parameters
    ----------
    sample
        ``(projections, some rows, columns)`` of the scan.

    Returns
    -------
    Scan, numpy.ndarray
        The scan without them, and which were kept, ``(projections,) bool``.
    """
    good = np.array([has_contrast(image) for image in sample])
    if good.all():
        return scan, good
    note = f"{np.count_nonzero(~good)} of {len(good)} projections are blank and were left out."
    kept = replace(
        scan,
        projections=ChosenImages(scan.projections, np.flatnonzero(good)),
        angles_deg=scan.angles_deg[good],
        taken=scan.taken and scan.taken._replace(projections=scan.taken.projections[good]),
        notes=(*scan.notes, note),
    )
    return kept, good


def has_contrast(image: NDArray[Any]) -> bool:
    """Whether an image ``(rows, columns)`` holds more than one value."""
    finite = image[np.isfinite(image)]
    return bool(finite.size and np.ptp(finite) > 0)


def in_degrees(scan: Scan) -> Scan:
    """Read angles that span half a turn or a full one in radians as such, and say so."""
    if not are_radians(scan.angles_deg):
        return scan
    span = float(np.ptp(scan.angles_deg))
    note = f"The angles span {span:.4g}, which was taken for radians."
    return replace(scan, angles_deg=np.rad2deg(scan.angles_deg), notes=(*scan.notes, note))


def are_radians(angles: NDArray[np.float64]) -> bool:
    """Whether angles of a whole scan span half a turn or a full one in radians."""
    span = float(np.ptp(angles))
    return any(abs(span / turn - 1) < RADIANS_PART for turn in (pi, 2 * pi))


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
        are = "projection is" if n_missing == 1 else "projections are"
        sentences.append(
            f"About {n_missing} {are} missing (at {where}{others} degrees); "
            "the weights follow the measured angles."
        )
    covered_deg = float(np.ptp(angles_deg)) + step_deg
    if covered_deg < HALF_TURN_DEG - step_deg:
        sentences.append(
            f"The scan covers {covered_deg:.4g} of 180 degrees; slices are blurred along the rest."
        )
    return sentences


def _range(first: float, last: float) -> str:
    if last < first:  # a gap of less than two steps
        first = last = (first + last) / 2
    ends = f"{first:.4g}", f"{last:.4g}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
