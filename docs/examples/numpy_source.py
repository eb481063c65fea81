"""A source: frames of a NumPy file, ``(frames, rows, columns) uint16, ADU``, as one exposure.

Example: python numpy_source.py frames.npy calibration.h5 result.nxs
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hexlive.stream.calibration import load_calibration
from hexlive.stream.config import Config, DetectorSettings
from hexlive.stream.model import AnyMessage, End, Frames, Start
from hexlive.stream.session import Outputs, run_session

BATCH = 256


class NumpySource:
    """What begins, frames in order, what is over: numbers are checked by the ledger."""

    live = False

    def __init__(self, path: Path) -> None:
        self.frames = np.load(path, mmap_mode="r")
        self.rejected: Counter[str] = Counter()

    def __iter__(self) -> Iterator[AnyMessage | None]:
        """Yield messages; a live source yields None when nothing came for a moment."""
        n, rows, columns = self.frames.shape
        yield Start(series="a", rows=rows, columns=columns, frame_rate_hz=9000, started_s=0)
        for first in range(0, n, BATCH):
            batch = np.ascontiguousarray(self.frames[first : first + BATCH])
            yield Frames(series="a", first_frame=first, timestamp_s=0, frames=batch)
        yield End(series="a", last_frame=n - 1)


if __name__ == "__main__":
    source = NumpySource(Path(sys.argv[1]))
    _, rows, columns = source.frames.shape
    config = Config(detector=DetectorSettings(rows=rows, columns=columns))
    outputs = Outputs(result=Path(sys.argv[3]))
    outcome = run_session(source, config, load_calibration(Path(sys.argv[2])), outputs)
    print(f"{outcome.report.totals.received} frames counted")
