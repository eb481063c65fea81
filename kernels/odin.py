"""The facility's odin-data chain as a device, for comparison only (docs/formats.md).

Not reproduced are its known faults: an overflow counted in the first bin of the next pixel, pixels
left from older frames, float32 counters that stop at 2^24.
"""

from copy import deepcopy
from dataclasses import fields
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import (
    Counts,
    EventSettings,
    Hardware,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.contract import add_counts, check_batch, check_memory, counts_of, flat
from hexlive.kernels.odin_chain import (
    ADDITION,
    DISCRIMINATION,
    NO_SCAN,
    Chain,
    count_frames,
)
from hexlive.kernels.state import make_tally
from hexlive.kernels.tables import pixel_tables

KNOWN_SETTINGS: Final = ("threshold_kev", "policy")
SCANS: Final = {"none": NO_SCAN, "add": ADDITION, "discriminate": DISCRIMINATION}


class OdinBackend:
    """Counts as the facility's chain does: threshold in ADU, calibration, scan, histogram.

    Parameters
    ----------
    events
        Only the threshold and the policy: "add" and "discriminate" are the scans, "none" is none.
    spectrum
        Bins from 0 keV.
    pixels
        As for the other devices, but a scan crosses the edges of modules.
    window
        Side of the scan's window, pixels.

    Raises
    ------
    ValueError
        A setting that the chain does not have, maps that do not fit, or too many bins.
    """

    name: Final = "odin"

    def __init__(
        self,
        *,
        events: EventSettings,
        spectrum: SpectrumSettings,
        pixels: PixelMaps,
        window: Literal[3, 5] = 3,
    ) -> None:
        _refuse_settings(events, spectrum)
        check_memory(events, spectrum, pixels.masked.size)
        self._shape = pixels.shape
        self._chain = _make_chain(events, spectrum, pixels, window // 2)
        self._tally = make_tally(pixels.masked.size, spectrum.n_bins, keep_singles=False)
        self._n_frames = 0

    @property
    def hardware(self) -> Hardware:
        """One core of the CPU."""
        return Hardware(name="CPU, the facility's chain (numba)")

    def add(self, frames: NDArray[np.uint16], first_frame: int) -> None:
        """Count ``(frames, rows, columns) uint16, ADU``; the chain does not look at the numbers.

        Raises
        ------
        ValueError
            The frames have the wrong dtype, shape or numbers; none of them was counted.
        OverflowError
            More frames than the counters can hold; take a snapshot and clear.
        """
        check_batch(frames, first_frame, self._shape, self._n_frames)
        count_frames(flat(frames, self._chain.cell.size), self._chain, self._tally)
        self._n_frames += len(frames)

    def load(self, counts: Counts) -> None:
        """Add counts of other frames, made with the same rules.

        Raises
        ------
        ValueError, ArithmeticError, OverflowError
            They do not fit, or are more than the counters hold; nothing was added.
        """
        add_counts(counts, self._tally, self._shape, self._n_frames)
        self._n_frames += counts.n_frames

    def snapshot(self) -> Counts:
        """Copy of everything counted so far, checked for conservation."""
        return counts_of(deepcopy(self._tally), self._shape, self._n_frames, singles=False)

    def clear(self) -> None:
        """Back to zero counts."""
        for counters in self._tally:
            counters.fill(0)
        self._n_frames = 0


def _refuse_settings(events: EventSettings, spectrum: SpectrumSettings) -> None:
    foreign = [
        each.name
        for each in fields(events)
        if each.name not in KNOWN_SETTINGS and getattr(events, each.name) != each.default
    ]
    if foreign:
        raise ValueError(
            f"The odin chain knows {' and '.join(KNOWN_SETTINGS)} only; "
            f"take {', '.join(foreign)} out of [events]."
        )
    if spectrum.min_kev != 0:
        raise ValueError("The odin chain counts from 0 keV; set spectrum.min_kev to 0.")


def _make_chain(
    events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps, reach: int
) -> Chain:
    tables = pixel_tables(pixels, events)
    rows, columns = pixels.shape
    stride = columns + 2 * reach
    row, column = np.indices(pixels.shape)
    window = range(-reach, reach + 1)
    steps = [down * stride + across for down in window for across in window]
    n_cells = (rows + 2 * reach) * stride
    return Chain(
        limit_adu=tables.limit_adu,
        calibration=tables.calibration,
        window_edges_kev=tables.window_edges_kev,
        cell=((row + reach) * stride + column + reach).ravel(),
        steps=np.array([step for step in steps if step]),
        energy_kev=np.zeros(n_cells, np.float32),
        n_hits=np.zeros(n_cells, np.int64),
        scan=SCANS[events.policy],
        bin_kev=spectrum.bin_kev,
    )
