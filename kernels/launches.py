"""The CUDA kernels and what each is given."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.cupy_device import Device
from hexlive.kernels.state import Tally, make_rules
from hexlive.kernels.tables import MAX_ADU, pixel_tables

FOLDER: Final = Path(__file__).parent
SOURCES: Final = {
    "find_hits": FOLDER / "hits.cu",
    "find_events": FOLDER / "events.cu",
    "book_events": FOLDER / "spectra.cu",
}
PIXELS_PER_LOAD: Final = 8  # in hits.cu; on the device, a frame has a multiple of it
LIST_DTYPES: Final = (np.int32, np.float32, np.int32, np.uint32)
LIST_BYTES: Final = sum(np.dtype(dtype).itemsize for dtype in LIST_DTYPES)  # per pixel of a frame


class Lists(NamedTuple):
    """What one kernel leaves for the next; each frame has room for a hit in every pixel.

    Attributes
    ----------
    n_hits
        ``(frames,) int32``.
    pixel
        ``(frames, pixels) int32``: of each hit; where it became an event, the pixel to book.
    value
        ``(frames, pixels) float32``: its ADU; of an event, the keV to book.
    root
        ``(frames, pixels) int32``: the first hit of its cluster.
    cluster
        ``(frames, pixels) uint32``: at a root, the size and fate of its cluster, see ``events.cu``.
    """

    n_hits: Any
    pixel: Any
    value: Any
    root: Any
    cluster: Any


def padded(n_pixels: int) -> int:
    """Pixels of a frame on the device; the last are never hit."""
    return -(-n_pixels // PIXELS_PER_LOAD) * PIXELS_PER_LOAD


def make_lists(device: Device, n_frames: int, n_pixels: int) -> Lists:
    """Reserve the lists of a launch.

    Raises
    ------
    MemoryError
        The device has no room for them.
    """
    n_hits = device.zeros((n_frames,), np.int32)
    shape = (n_frames, padded(n_pixels))
    return Lists(n_hits, *(device.zeros(shape, dtype) for dtype in LIST_DTYPES))


class Launches:
    """Starts the kernels; holds what stays the same from launch to launch.

    Parameters
    ----------
    tally
        Counters on the device.

    Raises
    ------
    ValueError
        The maps do not fit, or a pixel would be hit in every frame.
    MemoryError
        The device has no room for what it must know of each pixel.
    """

    def __init__(
        self,
        device: Device,
        events: EventSettings,
        spectrum: SpectrumSettings,
        pixels: PixelMaps,
        tally: Tally,
    ) -> None:
        self._device = device
        self._tally = tally
        rules = make_rules(events, spectrum, pixels.masked.size)
        tables = pixel_tables(pixels, events)
        every_hit = np.int32(rules.every_hit)
        self._limit_adu = device.upload(_with_padding(tables.limit_adu))
        self._next_frame = np.int32(rules.next_frame)
        self._judging = (
            *_modules(pixels, events),
            *(np.int32(rules.max_cluster), every_hit, np.int32(rules.dither), rules.dither_seed),
            *(np.int32(len(tables.charge_loss)), device.upload(tables.charge_loss)),
            *(device.upload(tables.calibration), device.upload(tables.qualify_adu)),
            device.upload(tables.beside_masked),
        )
        self._booking = (
            *(every_hit, np.int32(spectrum.n_bins), rules.min_kev, rules.bins_per_kev),
            *(np.int32(rules.keep_singles), device.upload(tables.window_edges_kev)),
        )

    def count(self, adu: Any, first_frame: int, previous: Any, follows: bool, lists: Lists) -> None:
        """Count ``(frames, padded pixels) uint16, ADU`` on the device.

        Parameters
        ----------
        previous
            ``(padded pixels,) uint16, ADU``, the frame before, if ``follows``.
        """
        launch, tally, n_warps = self._device.launch, self._tally, len(adu)  # a warp per frame
        n_frames, n_pixels = map(np.int32, adu.shape)
        hits = (lists.n_hits, lists.pixel, lists.value)
        frames = (adu, previous, self._limit_adu)
        found = (n_frames, n_pixels, self._next_frame, np.int32(follows), *hits)
        launch("find_hits", n_warps, (*frames, *found, tally.hits, tally.fates))
        linked = (n_frames, np.uint64(first_frame), n_pixels, *hits, lists.root, lists.cluster)
        judged = (tally.cluster_sizes, tally.fates)
        launch("find_events", n_warps, (*linked, *self._judging, *judged))
        events = (n_frames, n_pixels, *hits, lists.cluster)
        spectra = (tally.spectra, tally.single_spectra, tally.under, tally.over)
        windows = (tally.window_low, tally.window_high)
        launch("book_events", n_warps, (*events, *self._booking, *spectra, *windows, tally.fates))


def _modules(pixels: PixelMaps, events: EventSettings) -> tuple[np.int32, ...]:
    (rows, columns), (down, across) = pixels.shape, pixels.modules
    diagonal = events.connectivity == 8
    return tuple(map(np.int32, (columns, rows // down, columns // across, diagonal)))


def _with_padding(limit_adu: NDArray[np.uint16]) -> NDArray[np.uint16]:
    never = np.full(padded(len(limit_adu)), MAX_ADU, np.uint16)
    never[: len(limit_adu)] = limit_adu
    return never
