"""CT volumes as NeXus files (NXtomoproc), written and read piece by piece."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.tomography import (
    ChunkedReconstruction,
    Orthoslices,
    Reconstruction,
    orthoslices,
)
from hexlive.reconstruct.volumes.flux import Flux
from hexlive.reconstruct.volumes.surface import Surface
from hexlive.reconstruct.volumes.surface_settings import FluxSettings
from hexlive.stream.files import (
    FileError,
    new_group,
    opened,
    reason,
    require_room,
    whole_or_absent,
)

CHUNK: Final = (8, 128, 128)  # any orthoslice reads little more than itself
PACKING: Final[Any] = hdf5plugin.Bitshuffle(cname="lz4")
SMALLEST_PX: Final = 256  # a level whose sides are all below this is the last
SLAB: Final = 16  # slices of a level that are made at once
SURFACE_NUMBERS: Final = (
    "ra_um", "ra_sigma_um", "ra_threshold_um", "rq_um", "rq_sigma_um", "rq_threshold_um",
    "volume_um3", "volume_threshold_um3", "porosity", "n_voids",
    "pixel_um", "voxel_um", "first_slice", "faces", "outline_cut",
)  # fmt: skip
SURFACE_ARRAYS: Final = (
    "height_um", "thickness_um", "void_volumes_um3", "porosity_profile", "porosity_by_depth",
)  # fmt: skip
Progress = Callable[[float], None]


def write_volume(
    path: Path, work: ChunkedReconstruction, progress: Progress = lambda fraction: None
) -> tuple[Reconstruction, Orthoslices]:
    """Reconstruct into an NXtomoproc file, chunk by chunk, with coarser levels for viewers.

    Returns
    -------
    tuple
        What came of it, without its volume, which is in the file, and the three slices through
        its middle.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full; nothing is left of the file.
    """
    with whole_or_absent(path) as part, h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = new_group(file, "entry", "NXentry", default="data")
        entry["definition"] = "NXtomoproc"
        entry["title"] = path.stem
        data = new_group(entry, "data", "NXdata", signal="data", axes=["z", "y", "x"])
        volume = _volume(data, "data", work.shape)
        for rows, slices in work.chunks():
            require_room(part, slices.nbytes)
            volume[rows] = slices
            progress(rows.stop / len(volume))
        result = work.result(volume)
        _write_process(entry, result)
        _write_axes(data, result)
        _write_levels(new_group(entry, "levels"), volume, result.pixel_um, part)
        cuts = Orthoslices(*(np.array(cut) for cut in orthoslices(volume)))
    return work.result(None), cuts


@contextmanager
def opened_volume(path: Path) -> Iterator[tuple[h5py.Dataset, float]]:
    """The volume ``(z, y, x)`` of a file, as a dataset, and the side of a voxel, um.

    Raises
    ------
    FileError
        Not a volume file, or one that does not say how large a voxel is.
    """
    with opened(path) as file:
        yield volume_of(file, path)


def volume_of(file: h5py.File, path: Path) -> tuple[h5py.Dataset, float]:
    """The same of a file that is open."""
    volume = file.get("entry/data/data")
    pixel_um = file.get("entry/reconstruction/parameters/pixel_um")
    if not isinstance(volume, h5py.Dataset):
        raise FileError(f"{path} is not a volume of hexlive: it has no entry/data/data.")
    if pixel_um is None:
        raise FileError(f"{path} does not say how large a voxel is.")
    return volume, float(pixel_um[()])


def add_surface(path: Path, surface: Surface) -> None:
    """Add the anode's surface to a volume file.

    Raises
    ------
    FileError
        The disk is full, or the file cannot be written to.
    """
    try:
        require_room(path, 4 * surface.height_um.nbytes + surface.material.nbytes)
        with h5py.File(path, "r+") as file:
            _write_surface(file["entry"], surface)
    except OSError as error:
        raise FileError(f"Cannot add the surface to {path}: {reason(error)}.") from error


def add_flux(path: Path, flux: Flux, settings: FluxSettings) -> None:
    """Add what a simulation of flux found to a volume file.

    Raises
    ------
    FileError
        The disk is full, or the file cannot be written to.
    """
    try:
        with h5py.File(path, "r+") as file:
            process = new_group(file["entry"], "flux", "NXprocess")
            process["program"], process["version"] = "taufactor", version("taufactor")
            process["notes"] = " ".join(flux.notes)
            for name in ("tortuosity_factor", "effective_diffusivity", "volume_fraction"):
                process[name] = getattr(flux, name)
            parameters = new_group(process, "parameters", "NXparameters")
            parameters["axis"], parameters["through"] = settings.axis, settings.through
            parameters["box_first_px"], parameters["box_end_px"] = flux.first, flux.end
    except OSError as error:
        raise FileError(f"Cannot add the flux to {path}: {reason(error)}.") from error


def _volume(group: h5py.Group, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    chunks = tuple(map(min, CHUNK, shape))
    volume = group.create_dataset(name, shape, np.float32, chunks=chunks, **PACKING)
    volume.attrs.update(
        {"long_name": "attenuation per pixel length", "units": "", "transform": "linear"}
    )
    return volume


def _write_levels(group: h5py.Group, volume: h5py.Dataset, pixel_um: float, part: Path) -> None:
    """The volume at half the resolution, a quarter, and on, for viewers that zoom."""
    finer = volume
    for level in count(1):
        if max(finer.shape) <= SMALLEST_PX:
            return
        factors = tuple(2 if side > 1 else 1 for side in finer.shape)
        shape = tuple(side // by for side, by in zip(finer.shape, factors, strict=True))
        coarser = _volume(group, f"level_{level}", shape)
        coarser.attrs["pixel_um"] = pixel_um * 2**level
        for first in range(0, shape[0], SLAB):
            last = min(first + SLAB, shape[0])
            slab = binned(finer[first * factors[0] : last * factors[0]], factors)
            require_room(part, slab.nbytes)
            coarser[first:last] = slab
        finer = coarser


def binned(volume: NDArray[np.float32], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Means of blocks of ``factors`` voxels; what does not fill a block is left out."""
    sides = [(side // by, by) for side, by in zip(volume.shape, factors, strict=True)]
    whole = volume[tuple(slice(n * by) for n, by in sides)]
    blocks = whole.reshape([each for side in sides for each in side])
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def _write_process(entry: h5py.Group, result: Reconstruction) -> None:
    process = new_group(entry, "reconstruction", "NXprocess")
    process["program"], process["version"] = "hexlive", version("hexlive")
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    process["warnings"] = " ".join(result.warnings)
    parameters = new_group(process, "parameters", "NXparameters")
    for name in ("engine", "rings", "ring_score_before", "ring_score_after", "pixel_um"):
        parameters[name] = getattr(result, name)
    parameters["engine_reason"] = result.engine_reason
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
        **PACKING,
    )  # fmt: skip
    material.attrs["meaning"] = ["0: other", "1: anode", "2: void in the anode"]
