"""One CT scan from file to volume, slices and roughness: what the worker and the command run."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from hexlive.reconstruct.engines import EngineUnavailableError, fbp
from hexlive.reconstruct.surface import Surface, anode_surface
from hexlive.reconstruct.surface_settings import SurfaceError
from hexlive.reconstruct.tomography import (
    Reconstruction,
    TomographySettings,
    orthoslices,
    reconstruct,
)
from hexlive.stream.nxtomo import read_scan
from hexlive.stream.volumes import write_volume

WARM_UP_COLUMNS: Final = 16


def reconstruct_file(
    path: Path, settings: TomographySettings, volume_path: Path, entry: str | None = None
) -> dict[str, Any]:
    """Reconstruct a scan file to a volume file.

    Returns
    -------
    dict
        The fields of ``hexlive.stream.model.CtView`` that are known now: pixel_um, centre_px,
        engine, seconds, durations_s, the orthoslices xy, xz, yz, volume_file, warnings as note;
        and, where an anode was found, ra_um, rq_um, surface_um, and the volumes of anode and voids.

    Raises
    ------
    ValueError, RuntimeError
        The scan or the settings cannot be used, or the engine is not there.
    """
    result = reconstruct(read_scan(path, entry), settings)
    surface, notes = _surface(result, settings)
    write_volume(volume_path, result, surface)
    return {
        "pixel_um": result.pixel_um,
        "centre_px": result.centre.px,
        "engine": result.engine,
        "seconds": sum(result.seconds.values()),
        "durations_s": result.seconds,
        "volume_file": volume_path.name,
        "note": " ".join(notes),
        **orthoslices(result.volume)._asdict(),
        **(_measured(surface) if surface else {}),
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


def _surface(
    result: Reconstruction, settings: TomographySettings
) -> tuple[Surface | None, list[str]]:
    """The anode's surface, or None and why: the volume is worth keeping without it."""
    try:
        surface = anode_surface(result.volume, result.pixel_um, settings.surface)
    except (SurfaceError, EngineUnavailableError) as error:
        return None, [*result.warnings, str(error)]
    return surface, [*result.warnings, *surface.notes]


def warm_up(settings: TomographySettings) -> None:
    """Import and compile what a reconstruction needs, while the projections still come in."""
    angles_rad = np.linspace(0, np.pi, WARM_UP_COLUMNS, endpoint=False)
    sinogram = np.zeros((1, WARM_UP_COLUMNS, WARM_UP_COLUMNS), np.float32)
    fbp(sinogram, angles_rad, WARM_UP_COLUMNS / 2, settings.engine)
