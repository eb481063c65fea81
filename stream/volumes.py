"""CT volumes as NeXus files (NXtomoproc)."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import h5py
import hdf5plugin
import numpy as np

from hexlive.reconstruct.surface import Surface
from hexlive.reconstruct.tomography import Reconstruction
from hexlive.stream.files import new_group, whole_or_absent

CHUNK: Final = (8, 128, 128)  # any orthoslice reads little more than itself
SURFACE_NUMBERS: Final = (
    "ra_um", "ra_sigma_um", "ra_threshold_um", "rq_um", "rq_sigma_um", "rq_threshold_um",
    "volume_um3", "volume_threshold_um3", "porosity", "n_voids",
    "pixel_um", "voxel_um", "first_slice", "faces", "outline_cut",
)  # fmt: skip
SURFACE_ARRAYS: Final = (
    "height_um", "thickness_um", "void_volumes_um3", "porosity_profile", "porosity_by_depth",
)  # fmt: skip


def write_volume(path: Path, result: Reconstruction, surface: Surface | None = None) -> None:
    """Write a volume as NXtomoproc, with how it came about, and the anode's surface if there is.

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
        if surface is not None:
            _write_surface(entry, surface)


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
    for name in SURFACE_NUMBERS:
        group.attrs[name] = getattr(surface, name)
    group.attrs["attenuation_per_cm"] = surface.attenuation_per_cm
    group.attrs["notes"] = " ".join(surface.notes)
    for name in SURFACE_ARRAYS:
        group[name] = getattr(surface, name)
    for layer, area_px in surface.areas_px.items():
        group[f"areas_px/{layer}"] = area_px
    material = group.create_dataset(
        "material", data=surface.material, chunks=tuple(map(min, CHUNK, surface.material.shape)),
        **hdf5plugin.Bitshuffle(cname="lz4"),
    )  # fmt: skip
    material.attrs["meaning"] = ["0: other", "1: anode", "2: void in the anode"]
