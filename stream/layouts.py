"""Where a file keeps the parts of a CT scan: NXtomo, Diamond's DIAD, or a bare NXdata group."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import h5py

from hexlive.stream.files import FileError

DATA: Final = ("instrument/detector/data", "data/data", "imaging/data", "data")
IMAGE_KEY: Final = (
    "instrument/detector/image_key",
    "data/image_key",
    "instrument/imaging/image_key",
    "imaging/image_key",
    "image_key",
)
ANGLE: Final = (
    "sample/rotation_angle",
    "data/rotation_angle",
    "imaging_sum/gts_cs_theta",
    "imaging/rotation_angle",
    "rotation_angle",
)
PIXEL_SIZE: Final = ("instrument/detector/x_pixel_size", "x_pixel_size")
SEARCH_DEPTH: Final = 3


class FormatError(FileError):
    """A file that is not a CT scan that can be read; the sentence says why."""


class Layout(NamedTuple):
    """The datasets of a scan: images, and key and angle of each."""

    data: h5py.Dataset
    image_key: h5py.Dataset
    angle: h5py.Dataset
    pixel_size: h5py.Dataset | None


def find_layout(file: h5py.File, path: Path, entry: str | None) -> Layout:
    """Find a scan in a file, following links.

    Parameters
    ----------
    entry
        The group to look in; None: the whole file.

    Raises
    ------
    FormatError
        There is no scan, or only parts of one; the sentence names what is missing.
    """
    start = file if entry is None else _get(file, entry, h5py.Group)
    if start is None:
        raise FormatError(f"{path} has no entry {entry!r}; it has {', '.join(file)}.")
    missing = "data"
    for group in _groups(start, SEARCH_DEPTH):
        data = _first(group, DATA)
        image_key = _first(group, IMAGE_KEY)
        angle = _first(group, ANGLE)
        if data is not None and image_key is not None and angle is not None:
            if data.ndim != 3 or data.dtype.kind not in "uif":
                raise FormatError(
                    f"{path}: {data.name} is not a stack of images but {data.dtype} {data.shape}."
                )
            return Layout(data, image_key, angle, _first(group, PIXEL_SIZE))
        if data is not None:
            missing = "image_key" if image_key is None else "rotation_angle"
    raise FormatError(f"{path} is not a CT scan (NXtomo): no {missing} was found.")


def _groups(start: h5py.Group, depth: int) -> Iterator[h5py.Group]:
    """The group and those below it, nearest first, through links, to a limited depth."""
    level = [start]
    for _ in range(depth + 1):
        yield from level
        below = (_get(group, name, h5py.Group) for group in level for name in group)
        level = [group for group in below if group is not None]


def _first(group: h5py.Group, names: tuple[str, ...]) -> h5py.Dataset | None:
    found = (_get(group, name, h5py.Dataset) for name in names)
    return next((dataset for dataset in found if dataset is not None), None)


def _get(group: h5py.Group, name: str, kind: type) -> Any:
    """What is there if it is of this kind; None also for links that lead nowhere."""
    with suppress(KeyError, OSError):
        item = group.get(name)
        if isinstance(item, kind):
            return item
    return None
