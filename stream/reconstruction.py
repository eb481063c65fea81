"""One CT scan from file to volume, slices and roughness: what the worker and the command run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hexlive.reconstruct.ct.binning import binned_px, binned_scan, unbinned_px
from hexlive.reconstruct.ct.engines import EngineUnavailableError, fbp
from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import (
    ChunkedReconstruction,
    Orthoslices,
    TomographySettings,
)
from hexlive.reconstruct.volumes.flux import anode_flux
from hexlive.reconstruct.volumes.morphology import Morphology, MorphologyError
from hexlive.reconstruct.volumes.overview import Overviewing
from hexlive.reconstruct.volumes.surface import Surface, anode_surface
from hexlive.reconstruct.volumes.surface_settings import FluxSettings, SurfaceError
from hexlive.stream.files import FileError
from hexlive.stream.nxtomo import opened_scan
from hexlive.stream.stages import opened_stages
from hexlive.stream.volumes import add_flux, add_surface, opened_volume, write_volume
from hexlive.stream.worker import report_progress

WARM_UP_COLUMNS: Final = 16
PREVIEW_VOXELS: Final = 1 << 29  # a smaller volume is there nearly as soon
PREVIEW_COLUMNS: Final = 480  # of the coarser pixels, at least: a slice takes milliseconds


def preview_file(
    path: Path, settings: TomographySettings, *, previous_centre_px: float | None = None
) -> dict[str, Any]:
    """Three slices of a large scan from coarser pixels, long before its volume is there.

    Returns
    -------
    dict
        As `reconstruct_file`, without a volume file and notes: centre_px and the orthoslices, on
        the pixels of the volume; without these where the volume itself is as fast.

    Raises
    ------
    ValueError, RuntimeError
        The scan or the settings cannot be used, or the engine is not there.
    """
    report_progress(0)
    with opened_scan(path) as scan:
        _, rows, columns = scan.projections.shape
        side_px = columns // PREVIEW_COLUMNS
        if side_px < 2 or rows * columns**2 < PREVIEW_VOXELS:
            return {"note": "", "durations_s": {}}
        began_s = time.perf_counter()
        known = _preview(scan, settings, side_px, previous_centre_px)
    return {"note": "", "durations_s": {"preview": time.perf_counter() - began_s}, **known}


def _preview(
    scan: Scan, settings: TomographySettings, side_px: int, previous_px: float | None
) -> dict[str, Any]:
    if settings.centre != "auto":
        settings = replace(settings, centre=binned_px(float(settings.centre), side_px))
    if previous_px is not None:
        previous_px = binned_px(previous_px, side_px)
    work = ChunkedReconstruction(
        binned_scan(scan, side_px), settings, previous_centre_px=previous_px
    )
    depth, size, _ = work.shape
    xz, yz = np.empty((2, depth, size), np.float32)
    for rows, slices in work.chunks():
        xz[rows], yz[rows] = slices[:, size // 2], slices[:, :, size // 2]
        if rows.start <= depth // 2 < rows.stop:
            xy = slices[depth // 2 - rows.start].copy()
        report_progress(rows.stop / depth)
    # On the pixels of the volume, and attenuation per one of them.
    cuts = (cut.repeat(side_px, 0).repeat(side_px, 1) / side_px for cut in (xy, xz, yz))
    return {
        "centre_px": unbinned_px(work.centre.px, side_px),
        **Orthoslices(*cuts)._asdict(),
    }


def reconstruct_file(
    path: Path,
    settings: TomographySettings,
    volume_path: Path,
    entry: str | None = None,
    *,
    rows: slice | None = None,
    previous_centre_px: float | None = None,
    progress: Callable[[float], None] = report_progress,
) -> dict[str, Any]:
    """Reconstruct a scan file to a volume file, chunk by chunk.

    Parameters
    ----------
    rows
        Detector rows to reconstruct; None: all.
    previous_centre_px
        Axis of the scan before, kept where the methods disagree.
    progress
        Told the fraction that is done.

    Returns
    -------
    dict
        The fields of ``hexlive.stream.model.CtView`` that are known now: pixel_um, centre_px,
        engine, durations_s, the orthoslices xy, xz, yz, volume_file, and warnings as note.

    Raises
    ------
    ValueError, RuntimeError
        The scan or the settings cannot be used, or the engine is not there.
    """
    progress(0)
    with opened_scan(path, entry) as scan:
        work = ChunkedReconstruction(
            scan, settings, rows=rows, previous_centre_px=previous_centre_px
        )
        result, cuts = write_volume(volume_path, work, progress)
    return {
        "pixel_um": result.pixel_um,
        "centre_px": result.centre.px,
        "engine": result.engine,
        "durations_s": result.seconds,
        "volume_file": volume_path.name,
        "note": " ".join(result.warnings),
        **cuts._asdict(),
    }


def measure_volume(
    volume_path: Path,
    settings: TomographySettings,
    progress: Callable[[float], None] = report_progress,
) -> dict[str, Any]:
    """Measure the anode's surface in a volume file, and keep it there.

    Parameters
    ----------
    progress
        Told the fraction that is done.

    Returns
    -------
    dict
        The fields of ``CtView`` that are known now: ra_um, rq_um, surface_um, the volumes of anode
        and voids, what flux found, durations_s; and in note why there are none, as the volume is
        worth keeping without them.

    Raises
    ------
    FileError
        The file cannot be read or written.
    """
    progress(0)
    began_s = time.perf_counter()
    known, note = {}, ""
    try:
        with opened_volume(volume_path) as (volume, pixel_um):
            surface = anode_surface(volume, pixel_um, settings.surface, progress)
    except (SurfaceError, EngineUnavailableError) as error:
        note = str(error)
    else:
        add_surface(volume_path, surface)
        known, note = _measured(surface), " ".join(surface.notes)
        if settings.flux.axis != "none":
            simulated, said = _flux(volume_path, surface, settings.flux)
            known, note = known | simulated, " ".join(filter(None, (note, said)))
    return {"note": note, "durations_s": {"measure": time.perf_counter() - began_s}, **known}


def _flux(
    volume_path: Path, surface: Surface, settings: FluxSettings
) -> tuple[dict[str, float], str]:
    """What flux finds its way through the anode, and what there is to say of it."""
    try:
        flux = anode_flux(surface.material, surface.thickness_um, settings)
    except (SurfaceError, EngineUnavailableError) as error:
        return {}, str(error)
    add_flux(volume_path, flux, settings)
    known = {
        "tortuosity_factor": flux.tortuosity_factor,
        "effective_diffusivity": flux.effective_diffusivity,
    }
    return known, " ".join(flux.notes)


def compare_stages(paths: Sequence[Path]) -> dict[str, Any]:
    """Say since which of the scans the anode is where it is, from their volume files.

    Returns
    -------
    dict
        The fields of ``CtView`` that are known now: stage_names, stages_voxel_um, stages_xy,
        stages_xz, durations_s; and in note why there are none.
    """
    report_progress(0)
    began_s = time.perf_counter()
    known, note = {}, ""
    try:
        with opened_stages(paths) as stages:
            known = _compared(Morphology(stages))
    except (MorphologyError, FileError) as error:
        note = str(error)
    return {"note": note, "durations_s": {"stages": time.perf_counter() - began_s}, **known}


def _compared(morphology: Morphology) -> dict[str, Any]:
    seen = Overviewing(morphology)
    for z, layer in enumerate(morphology.layers()):
        seen.add(layer)
        report_progress((z + 1) / morphology.shape[0])
    overview = seen.overview()
    return {
        "stage_names": [stage.name for stage in morphology.stages],
        "stages_voxel_um": morphology.voxel_um,
        "stages_xy": overview.xy.stage,
        "stages_xz": overview.xz.stage,
    }


def _measured(surface: Surface) -> dict[str, Any]:
    return {
        "ra_um": surface.ra_um,
        "ra_sigma_um": _together(surface.ra_sigma_um, surface.ra_threshold_um),
        "rq_um": surface.rq_um,
        "rq_sigma_um": _together(surface.rq_sigma_um, surface.rq_threshold_um),
        "surface_um": surface.height_um.astype(np.float32),
        "anode_volume_um3": surface.volume_um3,
        "anode_volume_sigma_um3": surface.volume_threshold_um3,
        "void_volume_um3": float(surface.void_volumes_um3.sum()),
        "n_voids": surface.n_voids,
    }


def _together(*errors_um: float) -> float:
    """Independent errors; one that was not looked for is not known, and left out."""
    return float(np.sqrt(np.nansum(np.square(errors_um))))


def warm_up(settings: TomographySettings) -> None:
    """Import and compile what a reconstruction needs, while the projections still come in."""
    angles_rad = np.linspace(0, np.pi, WARM_UP_COLUMNS, endpoint=False)
    sinogram = np.zeros((1, WARM_UP_COLUMNS, WARM_UP_COLUMNS), np.float32)
    fbp(sinogram, angles_rad, WARM_UP_COLUMNS / 2, settings.engine)
