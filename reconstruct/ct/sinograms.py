"""Line integrals of a scan, a few detector rows at a time: no more of it needs to be in memory."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.normalise import FlatField, air_level, are_lines, bridged
from hexlive.reconstruct.ct.scan import Scan, in_degrees, without_blank

SAMPLED_ROWS: Final = 16
IMAGES_PER_READ: Final = 64
USUAL_PERCENT: Final = 50.0
MOST_LINE_INTEGRAL: Final = 20.0  # 2 photons in a thousand million pass
WORTH_SAYING: Final = 0.005  # of the beam, by how much it changed during the scan
DOUBTFUL_PART: Final = 0.01  # of the pixels without a usable flat: more is worth a sentence


class Sinograms:
    """A scan by detector rows, without its blank projections and with angles in degrees.

    Parameters
    ----------
    zinger_ratio
        See `hexlive.reconstruct.ct.normalise.normalise`.
    sampled_rows
        Rows of ``sample``, at most.

    Attributes
    ----------
    scan
        What is used of the scan.
    notes
        Sentences for the user about what is missing or was left out.
    sample
        Rows from all over the detector, ``(rows, angles, columns) float32``.
    sampled
        Which rows these are, ``(rows,)``.

    Raises
    ------
    ValueError
        Nothing can be made of the scan; the sentence says why.
    """

    def __init__(
        self, scan: Scan, zinger_ratio: float | None = None, sampled_rows: int = SAMPLED_ROWS
    ) -> None:
        n_rows = scan.projections.shape[1]
        every = -(-n_rows // sampled_rows)
        rows = slice(every // 2, None, every)
        counts = np.asarray(scan.projections[:, rows])
        scan, good = without_blank(in_degrees(scan), counts)
        if not good.any():
            raise ValueError("Every projection is blank, so there is nothing to reconstruct.")
        if np.ptp(scan.angles_deg) == 0:
            raise ValueError(
                f"All projections are at {scan.angles_deg[0]:g} degrees: the scan has no angles."
            )
        self._air, self._zinger_ratio = None, zinger_ratio
        self._are_lines = are_lines(scan.projections.dtype, scan.flats)
        if scan.flats is None and not self._are_lines:
            self._air = air_level(counts[good], _rows_of(scan.darks, rows))
        self.scan = scan
        self.sampled = np.arange(n_rows)[rows]
        flat_field = self._flat_field(rows)
        lines = self._line_integrals(counts[good], flat_field, slice(None))
        self.notes = (*scan.notes, *_doubts(scan, flat_field, lines))
        self.sample = np.ascontiguousarray(lines.transpose(1, 0, 2))

    def read(self, rows: slice) -> NDArray[np.float32]:
        """Line integrals of some rows, ``(rows, angles, columns) float32``."""
        projections, flat_field = self.scan.projections, self._flat_field(rows)
        n_angles, n_rows, columns = projections.shape
        sinogram = np.empty((len(range(n_rows)[rows]), n_angles, columns), np.float32)
        for first in range(0, n_angles, IMAGES_PER_READ):
            images = slice(first, first + IMAGES_PER_READ)
            lines = self._line_integrals(projections[images, rows], flat_field, images)
            sinogram[:, images] = lines.transpose(1, 0, 2)
        return sinogram

    def _flat_field(self, rows: slice) -> FlatField | None:
        if self._are_lines:
            return None
        flats, darks = _rows_of(self.scan.flats, rows), _rows_of(self.scan.darks, rows)
        return FlatField(flats, darks, self._air, self.scan.taken)

    def _line_integrals(
        self, counts: NDArray[Any], flat_field: FlatField | None, images: slice
    ) -> NDArray[np.float32]:
        if flat_field is None:
            return np.asarray(bridged(np.array(counts, np.float32, order="C")))
        taken = self.scan.taken and self.scan.taken.projections[images]
        return np.asarray(flat_field.line_integrals(counts, self._zinger_ratio, taken))


def _rows_of(images: NDArray[Any] | None, rows: slice) -> NDArray[Any] | None:
    return None if images is None else np.asarray(images[:, rows])


def _doubts(scan: Scan, flat_field: FlatField | None, lines: NDArray[np.float32]) -> list[str]:
    """What a user should know about flats and darks.

    Raises
    ------
    ValueError
        No pixel has a usable flat.
    """
    if flat_field is None:
        usual = float(np.percentile(lines, USUAL_PERCENT))
        if usual < MOST_LINE_INTEGRAL:
            return []
        return [
            f"There are no flats, so the images, floating-point numbers of {usual:.3g} in the "
            "middle, were taken for line integrals; counts would need flats, or be integers."
        ]
    notes = []
    if scan.flats is None:
        notes.append("There are no flats; counts are relative to the brightest part of the scan.")
    if scan.darks is None:
        notes.append("There are no darks; the dark level counts as 0.")
    if abs(flat_field.drift) > WORTH_SAYING:
        notes.append(
            f"The beam changed by {100 * flat_field.drift:+.1f} % from the flats before to those "
            "after; between them it was interpolated."
        )
    unusable = float(flat_field.unusable.mean())
    if unusable == 1:
        raise ValueError(
            "The flats are zero, saturated or below the darks everywhere, so there is no open beam "
            "to compare with; take flats again, or leave them out."
        )
    if unusable > DOUBTFUL_PART:
        notes.append(
            f"{100 * unusable:.1f} % of the pixels have a zero or saturated flat and were bridged."
        )
    return notes
