"""Making a file whole that was never closed: from what is in it, and from the index beside it."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import h5py
import numpy as np

from hexlive.stream.files import FileError, index_of, publish, require_room
from hexlive.stream.frame_layout import CHUNK_FRAMES, DETECTOR, FRAME_NUMBER, FRAMES, frames_held
from hexlive.stream.growing import GrowingFile
from hexlive.stream.journal import Chunk, Rows, Tail, checksum, locked_index, read_steps
from hexlive.stream.packing import unpack
from hexlive.stream.recorder import MESSAGES, scan_name

IMAGES: Final = "/instrument/detector/data"
IMAGE_KEY: Final = "/instrument/detector/image_key"
LAST_SECOND: Final = "at most what came in the last second before its writer ended"


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What a whole file has.

    Attributes
    ----------
    path
        Where it is.
    frames, messages, images
        Frames, messages other than frames, and images of CT scans.
    lost
        What is known to be lost; empty where the file was whole before.
    """

    path: Path
    frames: int
    messages: int
    images: int
    lost: str

    def __str__(self) -> str:
        """One sentence."""
        has = f"{self.frames} frames, {self.messages} messages and {self.images} images"
        if not self.lost:
            return f"{self.path} is whole, with {has}: nothing to recover."
        return f"{self.path}: {has} recovered; lost: {self.lost}."


def is_whole(path: Path) -> bool:
    """Whether a recording or a scan file is there and was closed by its writer."""
    return path.is_file() and not index_of(path).exists() and bool(h5py.is_hdf5(path))


def recover(path: Path, progress: Callable[[float], None] = lambda fraction: None) -> Recovered:
    """Make a recording or a scan file (``.nxs.part``) whole after its writer was killed.

    The damaged file stays, as ``.damaged``, until the whole one has its name; where bytes of it
    were damaged it stays for good. Until this returns, it can be done again.

    Parameters
    ----------
    progress
        Told from time to time how much is done, 0 to 1.

    Raises
    ------
    FileError
        There is no index, the file is still being written, or a file is in the way.
    OSError
        There is no room for a second file of this size.
    """
    if is_whole(path):
        return _census(path, "")
    target = path.with_suffix("") if path.suffix == ".part" else path
    damaged = path.with_name(f"{path.name}.damaged")
    with locked_index(path) as index:
        if target != path and target.exists():
            raise FileError(f"Cannot recover {path}: {target} is there; give it another name.")
        if not damaged.exists() and not path.is_file():
            raise FileError(f"Cannot recover {path}: the file is gone, only its index is left.")
        source = damaged if damaged.exists() else path
        require_room(path, source.stat().st_size)
        rebuilt = path.with_name(f"{path.name}.recovered")
        lost = _rebuild(source, index, rebuilt, progress)
        if source == path:
            path.replace(damaged)
        publish(rebuilt, target)
        index_of(path).unlink()
    if not lost:
        damaged.unlink()
    kept = [f"the damaged file is kept as {damaged.name}"] if lost else []
    return _census(target, ", and ".join([LAST_SECOND, *lost, *kept]))


def excerpt(path: Path, out: Path, n_frames: int, first_scan: int) -> None:
    """Make what was recorded last readable, however large a recording is that was never closed.

    It stays as it is, for `recover`. The excerpt has all of it, but for the pixels of frames before
    the first ``n_frames``, and of the images of scans before ``first_scan``.

    Raises
    ------
    FileError
        There is no index, or the file is still being written.
    """

    def wanted(name: str, row: int) -> bool:
        if name == FRAMES:
            return row + CHUNK_FRAMES > n_frames
        return not name.endswith(IMAGES) or name > f"/{scan_name(first_scan)}"

    with locked_index(path) as index:
        _rebuild(path, index, out, wanted=wanted)


def _rebuild(
    source: Path,
    index: IO[bytes],
    rebuilt: Path,
    progress: Callable[[float], None] = lambda fraction: None,
    wanted: Callable[[str, int], bool] = lambda name, row: True,
) -> list[str]:
    """Do every step of the index again in a new file; says what of the old one was damaged."""
    damaged: dict[str, str] = {}
    tails: dict[str, list[Tail]] = {}
    size = max(1, os.fstat(index.fileno()).st_size)
    with (
        source.open("rb") as data,
        closing(GrowingFile(rebuilt, "w", indexed=False)) as file,
    ):
        for step in read_steps(index):
            progress(index.tell() / size)
            match step:
                case Rows():
                    file.append(step.name, step.rows)
                case Chunk() | Tail() if step.name in damaged:
                    pass
                case Tail():
                    tails.setdefault(step.name, []).append(step)
                case Chunk() if not wanted(step.name, file.n_rows(step.name)):
                    file.leave_chunk(step.name)
                case Chunk():
                    packed = os.pread(data.fileno(), step.size, step.offset)
                    if checksum(packed) == step.crc:
                        file.append_chunk(step.name, np.frombuffer(packed, np.uint8))
                        tails.pop(step.name, None)
                    else:
                        row = file.n_rows(step.name)
                        damaged[step.name] = f"what follows row {row} of {step.name}"
                case _:
                    file.make(step)
        for waiting in tails.values():
            for tail in waiting:
                _append_tail(file, tail)
    return list(damaged.values())


def _append_tail(file: GrowingFile, tail: Tail) -> None:
    rows = file.empty_rows(tail.name, tail.count)
    unpack(tail.packed, rows)
    file.append(tail.name, rows)


def _census(path: Path, lost: str) -> Recovered:
    """Count what a file has."""
    n_rows: dict[str, int] = {}

    def count(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim:
            n_rows[f"/{name}"] = len(item)

    with h5py.File(path, "r") as file:
        file.visititems(count)
        held = frames_held(file[DETECTOR]) if FRAME_NUMBER in file else None
    frames, messages = held[0] if held else 0, n_rows.get(MESSAGES, 0)
    images = sum(n for name, n in n_rows.items() if name.endswith(IMAGE_KEY))
    return Recovered(path=path, frames=frames, messages=messages, images=images, lost=lost)
