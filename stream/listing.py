"""Sparse frames: a message that lists pixels instead of sending them all, to and from frames."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.sparse import ListedPixels, dense_frames, list_pixels
from hexlive.stream.model import EventList, Frames, Message

# Frames that a list may stand for: a message of a few bytes must not fill the memory with zeros.
MAX_FRAMES: Final = 4096
MAX_FRAMES_BYTES: Final = 128 << 20
Listing = NDArray[np.float32] | float | None


def listed(messages: Iterable[Message], listing_adu: Listing) -> Iterator[Message]:
    """Turn frames into lists of their pixels that reach ``listing_adu``.

    Parameters
    ----------
    listing_adu
        One value or ``(rows, columns), ADU``; None: leave the frames whole.
    """
    for message in messages:
        if isinstance(message, Frames) and listing_adu is not None:
            yield event_list(message, listing_adu)
        else:
            yield message


def event_list(frames: Frames, listing_adu: NDArray[np.float32] | float) -> EventList:
    """List the pixels of a batch that reach ``listing_adu``, one value or ``(rows, columns)``."""
    pixels = list_pixels(frames.frames, listing_adu)
    return EventList(
        series=frames.series,
        first_frame=frames.first_frame,
        timestamp_s=frames.timestamp_s,
        count=len(frames.frames),
        shape=(frames.frames.shape[1], frames.frames.shape[2]),
        **pixels._asdict(),
    )


def frames_of(message: EventList) -> Frames:
    """The frames that a list stands for, with 0 ADU where nothing is listed."""
    pixels = ListedPixels(message.frame, message.pixel, message.adu)
    return Frames(
        series=message.series,
        first_frame=message.first_frame,
        timestamp_s=message.timestamp_s,
        frames=dense_frames(pixels, message.count, message.shape),
    )


def list_fault(message: EventList) -> str | None:
    """Why the lists do not fit their frames or each other, if so.

    The first word is the reason to count.
    """
    frame, pixel, adu = message.frame, message.pixel, message.adu
    n_pixels = message.shape[0] * message.shape[1]
    if (frame.dtype.str, pixel.dtype.str, adu.dtype.str) != ("<u4", "<u4", "<u2"):
        return "dtype: events lists frame and pixel as <u4, adu as <u2."
    if frame.ndim != 1 or not frame.shape == pixel.shape == adu.shape:
        return "shape: events lists frame, pixel and adu in one dimension, all of one length."
    n_bytes = message.count * n_pixels * adu.itemsize
    if message.count > MAX_FRAMES or n_bytes > MAX_FRAMES_BYTES:
        return (
            f"length: {message.count} frames of {message.shape} exceed {MAX_FRAMES} frames or "
            f"{MAX_FRAMES_BYTES} bytes."
        )
    if (frame >= message.count).any() or (pixel >= n_pixels).any():
        return f"events: a pixel lies outside {message.count} frames of {message.shape} pixels."
    place = frame.astype(np.uint64) * np.uint64(n_pixels) + pixel
    if (place[1:] <= place[:-1]).any():
        return "events: the list is not strictly ascending in frame, then pixel."
    return None
