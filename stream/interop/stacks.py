"""Stacks of frames in files of other programs: HDF5, odin's among them, and the camera's ``.bin``.

odin-data leaves the place of a lost frame unwritten, and HDF5 reads it back as zeros. Such a frame
is missing, not dark: only what was written is given.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import FileError, opened
from hexlive.stream.interop.energies import as_adu

BLOCK_FRAMES: Final = 256
LOG: Final = logging.getLogger(__name__)

# One 80 x 80 camera reads each row through four outputs at once: columns 0, 20, 40, 60, 1, 21, ...
SERIAL_SHAPE: Final = (80, 80)
OUTPUTS: Final = 4
SERIAL_BYTES: Final = SERIAL_SHAPE[0] * SERIAL_SHAPE[1] * 2

Ranges = tuple[tuple[int, int], ...]
Reader = Callable[[int, int], NDArray[np.uint16]]


@dataclass(frozen=True)
class FrameStack:
    """The frames of one file, in the order of the read-out.

    Attributes
    ----------
    path, name
        The file, and what holds the frames in it.
    n_frames, shape
        Places for frames, and (rows, columns).
    present
        Half-open ranges of the frames that were written.
    opened
        Opens the file; gives what reads ``(frames, rows, columns) uint16, ADU`` from ... to.
    """

    path: Path
    name: str
    n_frames: int
    shape: tuple[int, int]
    present: Ranges
    opened: Callable[[], AbstractContextManager[Reader]]

    def bounds(self) -> Iterator[tuple[int, int]]:
        """Where the blocks of consecutive frames begin and end, one after another."""
        for begin, end in self.present:
            yield from cut_into_blocks(begin, end)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.uint16]]]:
        """The number of its first frame, and a block of consecutive frames, again and again."""
        with self.opened() as read:
            for first, end in self.bounds():
                yield first, read(first, end)


def cut_into_blocks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Blocks of ``BLOCK_FRAMES`` frames, the last may be shorter: where each begins and ends."""
    for first in range(begin, end, BLOCK_FRAMES):
        yield first, min(first + BLOCK_FRAMES, end)


def find_stack(path: Path, names: Sequence[str], *, calibrated: bool = False) -> FrameStack:
    """Find the frames of a file.

    Parameters
    ----------
    names
        Datasets to look for in HDF5; the first that is there.
    calibrated
        The frames are float32, keV, instead of uint16, ADU; see `energies`.

    Raises
    ------
    FileError
        Not readable, no frames, or frames of another type.
    """
    if path.suffix.lower() == ".bin":
        return _serial_stack(path)
    with opened(path) as file:
        name = next((name for name in names if isinstance(file.get(name), h5py.Dataset)), None)
        if name is None:
            raise FileError(
                f"{path} has no dataset {' or '.join(names)}, only {', '.join(file) or 'nothing'}; "
                "name the frames with --dataset."
            )
        data = file[name]
        _require_frames(data, f"{path}: {name}", calibrated)
        written = written_frames(data)
        if not written.any():
            raise FileError(f"{path}: no frame of {name} was ever written.")
        rows, columns = data.shape[1:]

    @contextmanager
    def open_dataset() -> Iterator[Reader]:
        with opened(path) as file:
            data = file[name]
            yield lambda begin, end: as_adu(data[begin:end]) if calibrated else data[begin:end]

    return FrameStack(path, name, len(written), (rows, columns), _ranges(written), open_dataset)


def _require_frames(data: h5py.Dataset, where: str, calibrated: bool) -> None:
    if data.ndim != 3 or data.size == 0:
        raise FileError(f"{where} is {data.shape}, frames are (frames, rows, columns).")
    if calibrated and data.dtype != np.float32:
        raise FileError(f"{where} holds {data.dtype}, calibrated frames are float32 keV.")
    if not calibrated and data.dtype != np.uint16:
        also = "; process takes float32 as keV with --calibrated" if data.dtype.kind == "f" else ""
        raise FileError(f"{where} holds {data.dtype}, frames are uint16 ADU{also}.")


def written_frames(data: h5py.Dataset) -> NDArray[np.bool_]:
    """Which frames of a dataset, or rows of any other, were ever written, ``(frames,)``.

    Raises
    ------
    FileError
        A part of a virtual dataset is gone.
    """
    if data.is_virtual:
        return _written_elsewhere(data)
    n_frames = len(data)
    if data.chunks is None:
        return np.ones(n_frames, bool)
    depth, *tile = data.chunks
    tiles = math.prod(-(-size // side) for size, side in zip(data.shape[1:], tile, strict=True))
    found = np.zeros(-(-n_frames // depth), np.int64)
    if data.id.get_num_chunks() == found.size * tiles:
        return np.ones(n_frames, bool)

    def note(chunk: Any) -> None:
        found[chunk.chunk_offset[0] // depth] += 1

    data.id.chunk_iter(note)
    return np.repeat(found == tiles, depth)[:n_frames]


def _written_elsewhere(data: h5py.Dataset) -> NDArray[np.bool_]:
    """The same for a virtual dataset, which several of odin's processes write a file each for."""
    path = Path(data.file.filename)
    written = np.zeros(len(data), bool)
    for part in data.virtual_sources():
        source = path if part.file_name == "." else path.parent / part.file_name
        with opened(source) as file:
            frames = file.get(part.dset_name)
            if not isinstance(frames, h5py.Dataset):
                raise FileError(f"{source}, a part of {path}, has no dataset {part.dset_name}.")
            there = written_frames(frames)
        ours = _selected(part.vspace, len(written))
        theirs = _selected(part.src_space, len(there))
        n_frames = min(len(ours), len(theirs))
        ours, theirs = ours[:n_frames], theirs[:n_frames]
        inside = (ours < len(written)) & (theirs < len(there))
        written[ours[inside]] = there[theirs[inside]]
    return written


def _selected(space: h5py.h5s.SpaceID, n_frames: int) -> NDArray[np.int64]:
    """Numbers of the frames that a selection takes of a dataset of ``n_frames``."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return np.arange(n_frames)
    start, stride, count, block = (values[0] for values in space.get_regular_hyperslab())
    begins = start + stride * np.arange(min(count, n_frames))
    numbers: NDArray[np.int64] = (begins[:, None] + np.arange(min(block, n_frames))).ravel()
    return numbers


def _ranges(written: NDArray[np.bool_]) -> Ranges:
    """Half-open ranges in which all is true."""
    edges = np.flatnonzero(np.diff(written, prepend=False, append=False))
    return tuple((int(begin), int(end)) for begin, end in edges.reshape(-1, 2))


def _serial_stack(path: Path) -> FrameStack:
    """Frames as the camera sent them, without a header; the rest of a frame cut off is left out."""
    if not path.is_file():
        raise FileError(f"There is no file {path}.")
    n_frames, rest = divmod(path.stat().st_size, SERIAL_BYTES)
    rows, columns = SERIAL_SHAPE
    size = f"frames of {rows} x {columns} uint16, {SERIAL_BYTES} bytes each"
    if n_frames == 0:
        raise FileError(f"{path} has {rest} bytes and holds {size}: not even one.")
    if rest:
        LOG.warning("%s holds %s: %d, and %d bytes that are left out.", path, size, n_frames, rest)

    @contextmanager
    def open_serial() -> Iterator[Reader]:
        yield lambda begin, end: _read_serial(path, begin, end)

    return FrameStack(path, "frames", n_frames, SERIAL_SHAPE, ((0, n_frames),), open_serial)


def _read_serial(path: Path, begin: int, end: int) -> NDArray[np.uint16]:
    rows, columns = SERIAL_SHAPE
    count, offset = (end - begin) * rows * columns, begin * SERIAL_BYTES
    serial = np.fromfile(path, "<u2", count, offset=offset)
    if serial.size != count:
        raise FileError(f"{path} became shorter while it was read.")
    by_output = serial.reshape(-1, rows, columns // OUTPUTS, OUTPUTS).swapaxes(2, 3)
    return by_output.reshape(-1, rows, columns)
