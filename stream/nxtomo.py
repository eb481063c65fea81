"""CT scans as NeXus files: NXtomo in and out, DIAD and Data Exchange in.

A scan is ``(images, rows, columns)`` with an image key per image: 0 projection, 1 flat, 2 dark,
3 invalid.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.scan import ChosenImages, Scan, Taken
from hexlive.stream.files import opened, part_of, publish, whole_or_absent
from hexlive.stream.growing import GrowingFile
from hexlive.stream.journal import Column, Group, Link, Mark, Store, Value, put_aside
from hexlive.stream.layouts import FormatError, Layout, find_layout

PROJECTION, FLAT, DARK, INVALID = 0, 1, 2, 3

# Of an HDF5 chunk: volumes are made a few detector rows at a time, and whatever shares a chunk with
# these rows is unpacked for nothing.
BAND_BYTES: Final = 1 << 18
NO_PIXEL_SIZE: Final = "The scan does not say its pixel size, so tomography.pixel_um was taken."
UM_PER_UNIT: Final = {
    unit: um
    for um, units in {
        1e6: ("m", "meter", "metre"),
        1e4: ("cm",),
        1e3: ("mm", "millimeter", "millimetre"),
        1.0: ("um", "µm", "μm", "micron", "micrometer", "micrometre"),
        1e-3: ("nm",),
    }.items()
    for unit in units
}


def read_scan(path: Path, entry: str | None = None, rows: slice | None = None) -> Scan:
    """Read a CT scan from an NXtomo, DIAD or Data Exchange file.

    Parameters
    ----------
    entry
        Where to look in the file, such as "entry1/tomo_entry" or "scan_0001"; None: anywhere.
    rows
        Detector rows to read; None: all.

    Raises
    ------
    FileError
        The file is missing or not readable.
    FormatError
        It holds no scan, or one that makes no sense.
    """
    with opened_scan(path, entry) as scan:
        wanted = rows or slice(None)
        flats, darks = (
            None if images is None else images[:, wanted] for images in (scan.flats, scan.darks)
        )
        projections = scan.projections[:, wanted]
        return replace(scan, projections=projections, flats=flats, darks=darks)


@contextmanager
def opened_scan(path: Path, entry: str | None = None) -> Iterator[Scan]:
    """The same, with projections that are read when they are needed, while the file is open."""
    with opened(path) as file:
        try:
            if entry is None and isinstance(file.get("exchange/theta"), h5py.Dataset):
                scan = _data_exchange(file["exchange"], path)
            else:
                scan = _nxtomo(find_layout(file, path, entry), path)
        except (KeyError, OSError) as error:
            raise FormatError(f"{path} is damaged or links to a file that is gone.") from error
        yield scan


def _nxtomo(layout: Layout, path: Path) -> Scan:
    n = min(len(layout.data), len(layout.image_key), len(layout.angle))
    key = layout.image_key[:n]
    angles_deg = _degrees(layout.angle)[:n]
    key = np.where((key == PROJECTION) & ~np.isfinite(angles_deg), INVALID, key)
    projections = np.flatnonzero(key == PROJECTION)
    if not projections.size:
        raise FormatError(f"{path} holds no projections: no image has the image key 0.")
    pixel_um, doubts = _pixel_um(layout.pixel_size)
    return Scan(
        projections=ChosenImages(layout.data, projections),
        flats=_images(layout.data, np.flatnonzero(key == FLAT)),
        darks=_images(layout.data, np.flatnonzero(key == DARK)),
        angles_deg=angles_deg[key == PROJECTION],
        taken=Taken(projections, np.flatnonzero(key == FLAT)),
        pixel_um=pixel_um,
        notes=(*_notes(layout, key), *doubts),
    )


def _notes(layout: Layout, key: NDArray[Any]) -> Iterator[str]:
    n_invalid = int(np.count_nonzero(~np.isin(key, (PROJECTION, FLAT, DARK))))
    if n_invalid:
        yield f"{n_invalid} of {len(key)} images are marked invalid and were left out."
    n_lost = max(len(layout.data), len(layout.image_key), len(layout.angle)) - len(key)
    if n_lost:
        yield f"The scan was cut short: {n_lost} images lack their pixels, angle or image key."


def _images(data: h5py.Dataset, where: NDArray[np.intp]) -> NDArray[Any] | None:
    return ChosenImages(data, where)[:] if where.size else None


def _data_exchange(exchange: h5py.Group, path: Path) -> Scan:
    """The layout of the Advanced Photon Source: data, data_white, data_dark, theta in degrees."""
    data, flats, darks = (exchange.get(name) for name in ("data", "data_white", "data_dark"))
    angles_deg = _degrees(exchange["theta"])
    if not isinstance(data, h5py.Dataset) or data.ndim != 3:
        raise FormatError(f"{path} holds no projections: exchange/data is no stack of images.")
    n = min(len(data), len(angles_deg))
    usable = np.flatnonzero(np.isfinite(angles_deg[:n]))
    if not usable.size:
        raise FormatError(f"{path} holds no projections with an angle.")
    notes = [NO_PIXEL_SIZE]
    if n_invalid := n - len(usable):
        notes.append(f"{n_invalid} of {n} images have no angle and were left out.")
    if n_lost := max(len(data), len(angles_deg)) - n:
        notes.append(f"The scan was cut short: {n_lost} images lack their pixels or angle.")
    return Scan(
        projections=ChosenImages(data, usable),
        flats=flats[()] if flats is not None and len(flats) else None,
        darks=darks[()] if darks is not None and len(darks) else None,
        angles_deg=angles_deg[usable],
        notes=tuple(notes),
    )


def _degrees(angle: h5py.Dataset) -> NDArray[np.float64]:
    """Angles in degrees, which they are in unless they say radians."""
    angles = np.asarray(angle[()], np.float64)
    in_radians = str(angle.attrs.get("units", "")).lower().startswith("rad")
    return np.rad2deg(angles) if in_radians else angles


def _pixel_um(dataset: h5py.Dataset | None) -> tuple[float | None, list[str]]:
    """In um, and a sentence where it cannot be used; NeXus says metres where there is no unit."""
    if dataset is None:
        return None, [NO_PIXEL_SIZE]
    unit = str(dataset.attrs.get("units", "") or "m").strip().lower()
    per_unit_um = UM_PER_UNIT.get(unit, UM_PER_UNIT.get(unit.removesuffix("s")))
    value = float(np.ravel(dataset[()])[0]) if dataset.size == 1 else nan
    if per_unit_um is not None and 0 < value < inf:
        return value * per_unit_um, []
    said = f"{value:g} {unit}" if dataset.size == 1 else f"{dataset.size} numbers"
    return None, [f"The scan has {said} for its pixel size, so tomography.pixel_um was taken."]


class ScanGroup:
    """The images of a scan in the NXtomo layout, growing with the scan.

    Parameters
    ----------
    file
        File to put them in.
    entry
        Path of the group to fill.
    shape
        (rows, columns) of an image.
    pixel_um
        Pixel size at the sample, where known.
    dtype
        Of the images.
    """

    def __init__(
        self,
        file: GrowingFile,
        entry: str,
        shape: tuple[int, int],
        *,
        pixel_um: float | None = None,
        dtype: str = "<u2",
    ) -> None:
        self._file, self._shape, detector = file, shape, f"{entry}/instrument/detector"
        self._images, self._image_key = f"{detector}/data", f"{detector}/image_key"
        self._angles = f"{entry}/sample/rotation_angle"
        file.make(Mark(entry, {"default": "data"}))
        file.make(Value(f"{entry}/definition", "NXtomo"))
        file.make(Group(f"{entry}/instrument", "NXinstrument"))
        file.make(Group(detector, "NXdetector"))
        band = max(1, BAND_BYTES // (shape[1] * np.dtype(dtype).itemsize))
        file.make(Store(self._images, dtype, shape, chunk_rows=1, band=band))
        file.make(Column(self._image_key, "|u1", along=self._images))
        file.make(Group(f"{entry}/sample", "NXsample"))
        file.make(Column(self._angles, "<f8", along=self._images))
        file.make(Mark(self._angles, {"units": "degree"}))
        if pixel_um is not None:
            for name in ("x_pixel_size", "y_pixel_size"):
                file.make(Value(f"{detector}/{name}", pixel_um))
                file.make(Mark(f"{detector}/{name}", {"units": "um"}))
        file.make(Group(f"{entry}/data", "NXdata"))
        file.make(Mark(f"{entry}/data", {"signal": "data"}))
        for name in (self._images, self._image_key, self._angles):
            file.make(Link(f"{entry}/data/{name.rpartition('/')[2]}", name))

    @property
    def n_images(self) -> int:
        """Images written so far."""
        return self._file.n_rows(self._images)

    def append(
        self,
        images: NDArray[Any],
        angles_deg: NDArray[np.float64],
        image_key: NDArray[np.uint8],
    ) -> None:
        """Add ``(images, rows, columns)`` with an angle and an image key each.

        Raises
        ------
        ValueError
            The three differ in length, or the images are not of the size of the scan.
        OSError
            The disk is full or gone.
        """
        if not len(images) == len(angles_deg) == len(image_key):
            raise ValueError("Images, angles and image keys differ in length.")
        if images.shape[1:] != self._shape:
            raise ValueError(f"Images of {images.shape[1:]} pixels do not fit this scan.")
        self._file.append(self._images, images)
        self._file.append(self._angles, angles_deg)
        self._file.append(self._image_key, image_key)


class ScanFile:
    """An NXtomo file that gets its name when the scan is complete; see `ScanGroup`.

    What a run that was killed left under the same name is put aside, for ``hexlive recover``.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int], *, pixel_um: float | None = None
    ) -> None:
        self._path, self._part = path, part_of(path)
        put_aside(self._part)
        self._file = GrowingFile(self._part, "w")
        entry = _scan_entry(self._file, path.stem)
        self.append = ScanGroup(self._file, entry, shape, pixel_um=pixel_um).append

    def close(self) -> Path:
        """Finish the file and give it its name, which is returned."""
        self._file.close()
        publish(self._part, self._path)
        return self._path

    def discard(self) -> None:
        """Drop what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def _scan_entry(file: GrowingFile, title: str) -> str:
    """The one scan of a file, where tomography programs look for it."""
    file.make(Mark("/", {"default": "entry1"}))
    file.make(Group("/entry1", "NXentry"))
    file.make(Mark("/entry1", {"default": "tomo_entry"}))
    entry = "/entry1/tomo_entry"
    file.make(Group(entry, "NXsubentry"))
    file.make(Value(f"{entry}/title", title))
    return entry


def write_scan(path: Path, scan: Scan) -> None:
    """Write a scan as NXtomo, for another program or another day.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full.
    """
    shape, dtype = scan.projections.shape[1:], scan.projections.dtype.str
    with whole_or_absent(path) as part, closing(GrowingFile(part, "w", indexed=False)) as file:
        entry = _scan_entry(file, path.stem)
        group = ScanGroup(file, entry, shape, pixel_um=scan.pixel_um, dtype=dtype)
        for key, images in ((DARK, scan.darks), (FLAT, scan.flats), (PROJECTION, scan.projections)):
            if images is not None:
                angles_deg = scan.angles_deg if key == PROJECTION else np.zeros(len(images))
                group.append(images, angles_deg, np.full(len(images), key, np.uint8))
