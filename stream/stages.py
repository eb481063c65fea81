"""The anode in volume files, one stage after the other, ready to be compared."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from hexlive.reconstruct.volumes.morphology import Morphology, Stage
from hexlive.reconstruct.volumes.overview import Overview, Overviewing
from hexlive.reconstruct.volumes.surface import anode_surface
from hexlive.reconstruct.volumes.surface_settings import SurfaceSettings
from hexlive.stream.files import FileError, new_group, opened, require_room, whole_or_absent
from hexlive.stream.volumes import PACKING, volume_of

ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII")


@contextmanager
def opened_stages(
    paths: Sequence[Path], settings: SurfaceSettings | None = None
) -> Iterator[list[Stage]]:
    """The anodes of volume files, named I, II, III in their order.

    Parameters
    ----------
    settings
        Measure the volumes anew, with these; None: as they were measured.

    Raises
    ------
    FileError
        Not a volume file, or one without an anode that was measured.
    SurfaceError
        There is no anode to measure.
    """
    with ExitStack() as stack:
        stages = []
        for i, path in enumerate(paths):
            file = stack.enter_context(opened(path))
            name = ROMAN[i] if i < len(ROMAN) else str(i + 1)
            stages.append(
                _as_measured(file, path, name)
                if settings is None
                else _measured(file, path, name, settings)
            )
        yield stages


def _as_measured(file: h5py.File, path: Path, name: str) -> Stage:
    group = file.get("entry/surface")
    if group is None or "material" not in group:
        raise FileError(
            f"{path} has no anode that was measured; name a configuration (--config) to measure "
            "it now."
        )
    return Stage(
        name=name,
        material=group["material"],
        voxel_um=float(group.attrs["voxel_um"]),
        volume_um3=float(group.attrs["volume_um3"]),
        volume_sigma_um3=float(group.attrs["volume_threshold_um3"]),
        faces_first=group.attrs["faces"] == "first",
        outline_cut=bool(group.attrs["outline_cut"]),
    )


def _measured(file: h5py.File, path: Path, name: str, settings: SurfaceSettings) -> Stage:
    surface = anode_surface(*volume_of(file, path), settings)
    return Stage(
        name=name,
        material=surface.material,
        voxel_um=surface.voxel_um,
        volume_um3=surface.volume_um3,
        volume_sigma_um3=surface.volume_threshold_um3,
        faces_first=surface.faces == "first",
        outline_cut=surface.outline_cut,
    )


def write_morphology(path: Path, morphology: Morphology) -> Overview:
    """Write which stage each voxel appeared in, and each change against the first, as NeXus.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full; nothing is left of the file.
    """
    seen = Overviewing(morphology)
    shape = morphology.shape
    later = [stage.name for stage in morphology.stages[1:]]
    with whole_or_absent(path) as part, h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = new_group(file, "entry", "NXentry", default="stages")
        entry.attrs["voxel_um"] = morphology.voxel_um
        names = ["stages", *(f"change_{name}" for name in later)]
        datasets = [
            new_group(entry, name, "NXdata", signal="data").create_dataset(
                "data", shape, np.uint8 if name == "stages" else np.int8,
                chunks=(1, *shape[1:]), **PACKING,
            )
            for name in names
        ]  # fmt: skip
        meaning = [f"{i + 1}: anode since {stage.name}" for i, stage in
                   enumerate(morphology.stages)]  # fmt: skip
        datasets[0].attrs["meaning"] = ["0: never anode", *meaning]
        for dataset in datasets[1:]:
            dataset.attrs["meaning"] = ["1: anode now, not in I", "-1: anode in I, not now"]
        for z, layer in enumerate(morphology.layers()):
            require_room(part, layer.stage.nbytes + layer.changes.nbytes)
            for dataset, values in zip(datasets, (layer.stage, *layer.changes), strict=True):
                dataset[z] = values
            seen.add(layer)
    return seen.overview()
