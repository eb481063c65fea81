"""CT volumes as NeXus files (NXtomoproc)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import h5py
import hdf5plugin
import numpy as np

from hexlive.reconstruct.surface import Surface
from hexlive.reconstruct.tomography import Reconstruction
from hexlive.stream.files import FileError, new_group, opened, require_room, whole_or_absent

CHUNK: Final = (8, 128, 128)  # any orthoslice reads little more than itself
VOLUME: Final = "data/data"
PIXEL_UM: Final = "reconstruction/parameters/pixel_um"


def write_volume(path: Path, result: Reconstruction) -> None:
    """Write a volume as NXtomoproc, with how it came about.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """
    with whole_or_absent(path) as part, h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = new_group(file, "entry", "NXentry", default="data")
        entry["definition"] = "NXtomoproc"
        entry["title"] = path.stem
        _write_process(entry, result)
        data = new_group(entry, "data", "NXdata", signal="data", axes=["z", "y", "x"])
        volume = data.create_dataset(
            "data", data=result.volume, chunks=tuple(map(min, CHUNK, result.volume.shape)),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )  # fmt: skip
        volume.attrs.update(
            {"long_name": "attenuation per pixel length", "units": "", "transform": "linear"}
        )
        _write_axes(data, result)


@contextmanager
def opened_volume(path: Path) -> Iterator[tuple[h5py.Dataset, float]]:
    """The volume ``(z, y, x)`` of a file, as a dataset, and the side of a voxel, um.

    Raises
    ------
    FileError
        Not a volume file.
    """
    with opened(path) as file:
        volume, pixel_um = (file.get(f"entry/{name}") for name in (VOLUME, PIXEL_UM))
        if volume is None or pixel_um is None:
            raise FileError(f"{path} is not a volume file of hexlive.")
        yield volume, float(pixel_um[()])


def add_surface(path: Path, surface: Surface) -> None:
    """Add the anode's surface to a volume file.

    Raises
    ------
    FileError
        The disk is full, or the file cannot be written to.
    """
    try:
        require_room(path, 4 * surface.height_um.nbytes)
        with h5py.File(path, "r+") as file:
            _write_surface(file["entry"], surface)
    except OSError as error:
        raise FileError(f"Cannot add the surface to {path}: {error}") from error


def _write_process(entry: h5py.Group, result: Reconstruction) -> None:
    process = new_group(entry, "reconstruction", "NXprocess")
    process["program"], process["version"] = "hexlive", version("hexlive")
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    process["warnings"] = " ".join(result.warnings)
    parameters = new_group(process, "parameters", "NXparameters")
    for name in ("engine", "rings", "ring_score_before", "ring_score_after", "pixel_um"):
        parameters[name] = getattr(result, name)
    parameters["centre_px"] = result.centre.px
    for name, px in result.centre.by_method.items():
        parameters[f"centre_{name}_px"] = px
    for stage, seconds in result.seconds.items():
        parameters[f"{stage.replace('-', '_')}_s"] = seconds


def _write_axes(data: h5py.Group, result: Reconstruction) -> None:
    depth, height, width = result.volume.shape
    axes = {
        "z": np.arange(depth) + result.first_row,
        "y": np.arange(height) - (height - 1) / 2,
        "x": np.arange(width) - (width - 1) / 2,
    }
    for name, px in axes.items():
        data[name] = px * result.pixel_um
        data[name].attrs["units"] = "um"


def _write_surface(entry: h5py.Group, surface: Surface) -> None:
    group = new_group(entry, "surface", "NXdata", signal="height_um")
    for name in ("ra_um", "rq_um", "ra_sigma_um", "volume_um3", "porosity", "voxel_um"):
        group.attrs[name] = getattr(surface, name)
    group.attrs["attenuation_per_cm"] = surface.attenuation_per_cm
    for name in ("height_um", "thickness_um", "void_volumes_um3", "porosity_profile"):
        group[name] = getattr(surface, name)
