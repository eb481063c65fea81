"""What a user should know of a run: said once in the log, and kept in the result."""

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings, PixelMaps
from hexlive.kernels.tables import hit_threshold_kev, unusable_pixels
from hexlive.stream.config import ConfigError
from hexlive.stream.device import DeviceName
from hexlive.stream.pipeline import Report
from hexlive.stream.results import ComptonResult

MAX_OCCUPANCY: Final = 0.10  # beyond, too many clusters are of two photons: docs/events.md
MAX_IDLE_HITS: Final = 0.10  # fraction of the pixels: then the threshold is wrong, not the pixels
COMPARISON: Final = (
    "Comparison mode --compat {name}: the counts are those of the facility's odin-data chain, "
    "whose in-place scan passes parts of shared events as singles; do not measure with them."
)
LOG: Final = logging.getLogger(__name__)


def start_notes(device: DeviceName, pixels: PixelMaps, events: EventSettings) -> list[str]:
    """Sentences on the counts of a run as a whole; usually none.

    Raises
    ------
    ConfigError
        Too many pixels would be hit without any photon.
    """
    notes = [COMPARISON.format(name=device)] if device.startswith("odin") else []
    unusable = unusable_pixels(pixels)
    if n_unusable := int((unusable & ~pixels.masked).sum()):
        notes.append(
            f"{n_unusable} of {unusable.size} pixels are treated as masked: their gradient is not "
            "above 0, or a value of their calibration is not finite."
        )
    idle_hits = _hit_without_charge(pixels, events) & ~unusable
    _refuse_many(idle_hits, pixels, events)
    if n_idle_hits := int(idle_hits.sum()):
        notes.append(
            f"{n_idle_hits} of {unusable.size} pixels are hit without any charge: their intercept "
            "reaches their threshold; raise it, or mask them with a gradient of 0."
        )
    return notes


def _hit_without_charge(pixels: PixelMaps, events: EventSettings) -> NDArray[np.bool_]:
    """Where the energy at the pedestal, which is the intercept, is a hit already."""
    hit: NDArray[np.bool_] = pixels.intercept_kev >= hit_threshold_kev(pixels, events)
    return hit


def _refuse_many(hit: NDArray[np.bool_], pixels: PixelMaps, events: EventSettings) -> None:
    if hit.mean() > MAX_IDLE_HITS:
        row, column = np.argwhere(hit)[0]
        threshold_kev = hit_threshold_kev(pixels, events)[row, column]
        raise ConfigError(
            f"{hit.sum()} of {hit.size} pixels would be hit without any charge, the first at row "
            f"{row}, column {column}: its threshold is {threshold_kev:.4g} keV, "
            f"its intercept {pixels.intercept_kev[row, column]:.4g} keV; raise the threshold."
        )


class OccupancyWatch:
    """A sink of reports that warns once of each exposure that is too crowded."""

    def __init__(self) -> None:
        self._warned: tuple[str, int] | None = None

    def put(self, report: Report) -> None:
        """Look at the occupancy of the present exposure."""
        result = report.find(ComptonResult)
        if result is None or result.segment is None or result.occupancy <= MAX_OCCUPANCY:
            return
        exposure = result.segment.series, result.segment.number
        if exposure != self._warned:
            self._warned = exposure
            LOG.warning(
                "Segment %d: %.1f %% of the pixels are hit per frame, more than %.0f %%; "
                "neighbouring photons are taken for one.",
                result.segment.number,
                100 * result.occupancy,
                100 * MAX_OCCUPANCY,
            )

    def close(self) -> None:
        """Nothing is open here."""
