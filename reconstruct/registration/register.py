"""Registration of a CT volume to the EMF grid, by the outline of the anode.

Geometry gives the transform; the intensity map of a Compton exposure, which falls at the anode's
edge, refines its offset and scale, and the rotation where the outline is not round.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.registration.outline_fit import MaskModel, OutlineFit
from hexlive.reconstruct.registration.registration_settings import (
    RegistrationError,
    RegistrationSettings,
)
from hexlive.reconstruct.registration.similarity import Grid, Similarity

LEAST_CONTRAST: Final = 5.0  # in its own sigmas


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Registration:
    """A CT that lies on the EMF grid.

    Attributes
    ----------
    place
        The transform.
    offset_sigma_mm, scale_sigma
        Standard errors from the counts.
    rotation_fitted
        The outline told the rotation; otherwise it is that of the settings.
    residual_mm
        Root mean square distance of the outlines in 16 sectors, without what the counts explain.
    noise_mm
        What the counts explain of it.
    sector_mm
        ``(16,)``: how far the outline of the EMF map lies outside that of the CT, from the
        direction of rising columns towards rising rows; NaN where no pixel tells.
    model
        ``(rows, columns)``: the mask's fractions, blurred by the pinhole.
    """

    place: Similarity
    offset_sigma_mm: tuple[float, float]
    scale_sigma: float
    rotation_fitted: bool
    residual_mm: float
    noise_mm: float
    sector_mm: FloatArray
    model: FloatArray


def register(
    mask: NDArray[np.bool_],
    voxel_mm: float,
    counts: FloatArray,
    valid: NDArray[np.bool_],
    grid: Grid,
    settings: RegistrationSettings,
) -> Registration:
    """Lay the outline of a mask ``(y, x)`` of the CT upon the intensity map of an exposure.

    Parameters
    ----------
    counts
        ``(rows, columns)``, Compton events of each pixel.
    valid
        ``(rows, columns)``: pixels that count.

    Raises
    ------
    RegistrationError
        The mask does not lie in the map, nothing in the map looks like it, or it lies too far off.
    """
    model = MaskModel(mask, voxel_mm, grid, settings.pinhole_mm)
    if not mask.any():
        raise RegistrationError("The mask of the CT is empty, so there is nothing to register.")
    fit = OutlineFit(model, counts, valid, settings)
    fit.search()
    fit.refine()
    sector_mm, sigma_mm = fit.sectors_mm()
    noise_mm = float(np.sqrt(np.nanmean(sigma_mm**2)))
    found = Registration(
        place=fit.place,
        offset_sigma_mm=(fit.sigmas[0], fit.sigmas[1]),
        scale_sigma=fit.sigmas[2],
        rotation_fitted=fit.rotation_fitted,
        residual_mm=float(np.sqrt(max(float(np.nanmean(sector_mm**2)) - noise_mm**2, 0.0))),
        noise_mm=noise_mm,
        sector_mm=sector_mm,
        model=model(fit.place),
    )
    _refuse_failed(found, fit, settings)
    return found


def _refuse_failed(found: Registration, fit: OutlineFit, settings: RegistrationSettings) -> None:
    limit, place, nominal = settings.max_residual_mm, found.place, settings.nominal
    if not fit.contrast >= LEAST_CONTRAST or not found.noise_mm <= limit:
        raise RegistrationError(
            "The anode's outline does not stand out of the counts of this exposure (it is known "
            f"to {found.noise_mm:.2g} mm, the limit is {limit:g} mm)."
        )
    if found.residual_mm > limit:
        raise RegistrationError(
            f"The outlines of CT and EMF map are {found.residual_mm:.2f} mm apart, the limit is "
            f"{limit:g} mm; see [registration]."
        )
    moved = np.abs(np.subtract(place.offset_mm, nominal.offset_mm)).max()
    if moved > settings.search_mm + fit.model.grid.pixel_mm:
        raise RegistrationError(
            f"The outline of the EMF map lies {moved:.2f} mm from where the geometry has it; set "
            "registration.offset_mm if that is right."
        )
    stretched = abs(place.scale / nominal.scale - 1)
    if stretched > settings.scale_search:
        raise RegistrationError(
            f"The outline of the EMF map is {place.scale / nominal.scale:.3f} times as large as "
            "that of the CT; set registration.scale if that is right."
        )
