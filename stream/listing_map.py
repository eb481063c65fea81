"""From which ADU on a pixel is listed, and whether lists hold every hit."""

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings
from hexlive.kernels.tables import MAX_ADU, pixel_tables
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config
from hexlive.stream.files import FileError
from hexlive.stream.listing import Listing
from hexlive.stream.maps import read_map


def read_listing(text: str, shape: tuple[int, int], what: str) -> NDArray[np.float32]:
    """A listing threshold from a file or from one number, ``(rows, columns) float32, ADU``.

    Raises
    ------
    FileError
        Neither a number nor a map of this shape, or not finite everywhere; ``what`` names it.
    """
    adu = read_map(text, shape)
    if not np.isfinite(adu).all():
        raise FileError(f"{what} takes finite ADU for every pixel, not {text}.")
    return adu


def refuse_high_listing(
    listing_adu: NDArray[np.float32], calibration: Calibration, events: EventSettings, what: str
) -> None:
    """Refuse lists that leave hits out: counts would not be those of whole frames.

    Parameters
    ----------
    listing_adu
        ``(rows, columns)``; pixels below are not in the lists.
    what
        Whose lists they are.

    Raises
    ------
    FileError
        A pixel is a hit below its listing threshold.
    ValueError
        The calibration does not fit the settings.
    """
    limit = pixel_tables(calibration.pixel_maps(events), events).limit_adu.reshape(
        listing_adu.shape
    )
    lowest_hit = limit.astype(np.int64) + 1
    high = (np.ceil(listing_adu) > lowest_hit) & (limit < MAX_ADU)
    if high.any():
        row, column = np.argwhere(high)[0].tolist()
        raise FileError(
            f"{what} lists pixels from too high an ADU on: {high.sum()} pixels are hits below it, "
            f"the first at row {row}, column {column}, listed from "
            f"{listing_adu[row, column]:.0f} ADU on and a hit from {lowest_hit[row, column]} on."
        )


def recorded_listing(config: Config, calibration: Calibration) -> Listing:
    """From which ADU on ``stream.record_listing_adu`` has pixels recorded; None: all are.

    Raises
    ------
    FileError
        It is no such map, or leaves hits out.
    """
    if config.stream.record_listing_adu is None:
        return None
    what = "stream.record_listing_adu"
    adu = read_listing(str(config.stream.record_listing_adu), config.detector.shape, what)
    refuse_high_listing(adu, calibration, config.events, what)
    return adu
