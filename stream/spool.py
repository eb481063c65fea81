"""The images of a scan on their way to its file, written by a thread of its own."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import part_of, require_room
from hexlive.stream.nxtomo import ScanFile

MB: Final = 1_000_000
QUEUE_BYTES: Final = 256 * MB


class ScanSpool:
    """Writes a scan file beside the data leg; a full queue makes the data leg wait.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """

    def __init__(self, path: Path, shape: tuple[int, int], pixel_um: float) -> None:
        self._part = part_of(path)
        self._file = ScanFile(path, shape, pixel_um=pixel_um)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scan file")
        self._queue: deque[tuple[Future[None], int]] = deque()
        self._queued_bytes = 0

    def append(
        self,
        images: NDArray[Any],
        angles_deg: NDArray[np.float64],
        image_key: NDArray[np.uint8],
    ) -> None:
        """Queue some images with an angle and an image key each.

        Raises
        ------
        OSError
            Earlier ones could not be written.
        """
        written = self._thread.submit(self._write, images, angles_deg, image_key)
        self._queue.append((written, images.nbytes))
        self._queued_bytes += images.nbytes
        while self._queue and (self._queued_bytes > QUEUE_BYTES or self._queue[0][0].done()):
            oldest, n_bytes = self._queue.popleft()
            self._queued_bytes -= n_bytes
            oldest.result()

    def close(self) -> "Future[Path]":
        """Finish the file once all is written; the future is its path, or the OSError."""
        closed = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        return closed

    def _write(self, *arrays: Any) -> None:
        require_room(self._part, arrays[0].nbytes)
        self._file.append(*arrays)

    def _close(self) -> Path:
        path = self._file.close()
        for written, _ in list(self._queue):
            written.result()
        return path
