"""From a result and its CT volumes to masks on the EMF grid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import ComponentSettings
from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.registration.ct_masks import AnodeMaps
from hexlive.reconstruct.registration.register import register
from hexlive.reconstruct.registration.registration_settings import (
    RegistrationError,
    RegistrationSettings,
)
from hexlive.reconstruct.registration.similarity import Grid
from hexlive.reconstruct.volumes.layers import region_bottoms_mm, settings_from_ct
from hexlive.stream.config import Config
from hexlive.stream.files import FileError, opened
from hexlive.stream.reference import WINDOW_DATASETS
from hexlive.stream.registered import ScanOnGrid, require_fresh
from hexlive.stream.result_files import opened_result

MASKED = 1  # in emf_undefined
UM_PER_MM = 1e3


@dataclass(frozen=True, kw_only=True, eq=False)
class Exposure:
    """One exposure of a result, as far as a registration needs it."""

    name: str
    state: int
    region: int
    started_s: float | None
    counts: FloatArray
    valid: NDArray[np.bool_]
    windows: EmfResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Scanned:
    """A CT volume, and when it was scanned, of one state of the result."""

    state: int
    volume: Path
    started_s: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Exposures:
    """A result: its exposures, and the CT scans that belong to it."""

    path: Path
    config: Config
    exposures: list[Exposure]
    scans: dict[int, Scanned]

    def outline_of(self, state: int, region: int) -> Exposure:
        """The exposure whose intensity shows the anode of a state.

        Raises
        ------
        RegistrationError
            There is none.
        """
        for exposure in reversed(self.exposures):
            if (exposure.state, exposure.region) == (state, region):
                return exposure
        raise RegistrationError(
            f"{self.path} has no exposure of region {region} in state {state}, and the CT of one "
            "state is not registered to another."
        )


def read_exposures(path: Path, volumes: Mapping[int, Path]) -> Exposures:
    """Read a result.

    Parameters
    ----------
    volumes
        Volume files by state, besides those of the CT scans in the result.

    Raises
    ------
    FileError
        Not a result.
    """
    with opened_result(path) as (entry, config):
        groups = [entry[name] for name in entry if name.startswith("segment_")]
        exposures = [_exposure(g) for g in groups if {"state", "region"} <= g.attrs.keys()]
        scans = {scan.state: scan for scan in _scans(path, entry)}
    for state, volume in volumes.items():
        scans[state] = Scanned(state=state, volume=volume, started_s=None)
    return Exposures(path=path, config=config, exposures=exposures, scans=scans)


def _exposure(group: h5py.Group) -> Exposure:
    attrs: Any = group.attrs
    return Exposure(
        name=group.name.rpartition("/")[2],
        state=int(attrs["state"]),
        region=int(attrs["region"]),
        started_s=float(attrs["started_s"]) if "started_s" in attrs else None,
        counts=group["compton_counts"][()],
        valid=group["emf_undefined"][()] != MASKED,
        windows=EmfResult(**{part: group[name][()] for part, name in WINDOW_DATASETS.items()}),
    )


def _scans(path: Path, entry: h5py.Group) -> Iterator[Scanned]:
    for scan in entry.get("ct", {}).values():
        if "state" in scan.attrs and "volume_file" in scan:
            started_s = scan.attrs.get("started_s")
            yield Scanned(
                state=int(scan.attrs["state"]),
                volume=path.parent / scan["volume_file"].asstr()[()],
                started_s=None if started_s is None else float(started_s),
            )


def register_scan(
    result: Exposures, scanned: Scanned, settings: RegistrationSettings
) -> tuple[ScanOnGrid, Exposure]:
    """Lay one CT volume upon the exposure of its state.

    Raises
    ------
    RegistrationError
        There is no such exposure, it is too far away in time, or the outlines do not fit.
    FileError
        The volume cannot be used.
    """
    state = scanned.state
    exposure = result.outline_of(state, settings.region)
    what = f"state {state}"
    require_fresh(scanned.started_s, exposure.started_s, settings.max_age_s, what)
    detector, compton = result.config.detector, result.config.compton
    grid = Grid(shape=exposure.counts.shape, pitch_mm=detector.pitch_mm, compton=compton)
    with opened(scanned.volume) as file:
        group = _surface(file, scanned.volume)
        maps = AnodeMaps.of(
            group["height_um"][()], group["thickness_um"][()], _slices(group["material"])
        )
        voxel_mm = float(group.attrs["voxel_um"]) / UM_PER_MM
        fractions, why = _fractions(group, voxel_mm, settings)
    try:
        found = register(maps.footprint, voxel_mm, exposure.counts, exposure.valid, grid, settings)
    except RegistrationError as error:
        raise RegistrationError(f"State {state}, {scanned.volume.name}: {error}") from error
    return ScanOnGrid(
        state=state,
        volume=scanned.volume.name,
        exposure=exposure.name,
        started_s=scanned.started_s,
        registration=found,
        resampled=maps.resampled(voxel_mm, grid, found.place),
        fractions=fractions,
        no_fractions=why,
    ), exposure


def _surface(file: h5py.File, path: Path) -> h5py.Group:
    group = file.get("entry/surface")
    if group is None or "material" not in group:
        raise FileError(f"{path} has no anode that was measured; see [tomography.surface].")
    if group.attrs["outline_cut"]:
        raise RegistrationError(
            f"{path}: only a part of the anode was measured (radius_um in [tomography.surface]), "
            "so it has no outline to register by."
        )
    return group


def _slices(material: h5py.Dataset) -> Iterator[NDArray[np.uint8]]:
    for z in range(len(material)):
        yield material[z]


def _fractions(
    group: h5py.Group, voxel_mm: float, settings: RegistrationSettings
) -> tuple[ComponentSettings | None, str]:
    """Lithium fractions and volumes in the sheet beam, or why there are none."""
    areas: Any = {name: area[()] for name, area in group["areas_px"].items()}
    try:
        if settings.sheet_bottom_um is None:
            bottoms_mm = region_bottoms_mm(areas, voxel_mm)
        else:
            bottoms_mm = _stated_mm(group, len(areas["anode"]) * voxel_mm, settings)
        found = settings_from_ct(areas, voxel_mm, bottoms_mm, settings.sheet_mm)
    except ValueError as error:
        return None, str(error)
    return found, ""


def _stated_mm(
    group: h5py.Group, height_mm: float, settings: RegistrationSettings
) -> dict[int, float]:
    """Where the sheet beam begins, from the side that the anode's surface looks to."""
    assert settings.sheet_bottom_um is not None
    first_mm = float(group.attrs["first_slice"]) * float(group.attrs["pixel_um"]) / UM_PER_MM
    stated = {i + 1: um / UM_PER_MM - first_mm for i, um in enumerate(settings.sheet_bottom_um)}
    if group.attrs["faces"] == "first":
        return stated
    return {region: height_mm - mm - settings.sheet_mm for region, mm in stated.items()}
