"""What a device looks up per pixel, worked out once from the calibration."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.kernels.backend import EventSettings, PixelMaps

MAX_ADU: Final = 65535  # largest uint16
LEAST_GRADIENT: Final = np.finfo(np.float32).tiny  # GPUs take smaller numbers for 0
MAPS: Final = ("pedestal_adu", "gradient_kev_per_adu", "intercept_kev", "threshold_kev")


class PixelTables(NamedTuple):
    """Look-up tables; a pixel is its row-major index in the full frame.

    Attributes
    ----------
    limit_adu
        ``(pixels,) uint16``. A pixel is hit exactly when ADU > limit; 65535 = never.
    qualify_adu
        ``(pixels,) uint16``. A pixel reaches its threshold exactly when ADU > this.
    calibration
        ``(pixels, 4) float32``: pedestal, gradient, intercept, and the threshold,
        which fills the four of a vector.
    window_edges_kev
        ``(pixels, 4) float32``, ascending; infinite where there are no windows.
    beside_masked
        ``(pixels,) bool``, True = the veto drops clusters with this pixel.
    charge_loss
        ``(nodes,) float32``, empty unless it is to be applied.
    """

    limit_adu: NDArray[np.uint16]
    qualify_adu: NDArray[np.uint16]
    calibration: NDArray[np.float32]
    window_edges_kev: NDArray[np.float32]
    beside_masked: NDArray[np.bool_]
    charge_loss: NDArray[np.float32]


def pixel_tables(pixels: PixelMaps, events: EventSettings) -> PixelTables:
    """Work out the tables.

    Raises
    ------
    ValueError
        The maps do not fit each other or the modules, or a threshold lets a pixel be hit in
        every frame.
    """
    _check_maps(pixels)
    unusable = unusable_pixels(pixels)
    return PixelTables(
        limit_adu=_limit_adu(pixels, hit_threshold_kev(pixels, events), unusable).ravel(),
        qualify_adu=_last_below(pixels, pixels.threshold_kev).ravel(),
        calibration=_by_pixel([getattr(pixels, name) for name in MAPS]),
        window_edges_kev=_window_edges(pixels),
        beside_masked=_vetoing(unusable, pixels.modules, events).ravel(),
        charge_loss=_charge_loss(pixels, events),
    )


def unusable_pixels(pixels: PixelMaps) -> NDArray[np.bool_]:
    """Pixels that are never hit, ``(rows, columns) bool``.

    Masked, or with a gradient that is not positive, or with a calibration value that is not
    finite: such a pixel has no energy, so it is treated as masked throughout, veto included.
    """
    finite = np.all([np.isfinite(getattr(pixels, name)) for name in MAPS], axis=0)
    unusable: NDArray[np.bool_] = (
        pixels.masked | ~finite | ~(pixels.gradient_kev_per_adu >= LEAST_GRADIENT)
    )
    return unusable


def _vetoing(
    unusable: NDArray[np.bool_], modules: tuple[int, int], events: EventSettings
) -> NDArray[np.bool_]:
    """Pixels with an unusable neighbour in their module, if these veto."""
    if not events.veto_masked:
        return np.zeros_like(unusable)
    (rows, columns), (down, across) = unusable.shape, modules
    blocks = unusable.reshape(down, rows // down, across, columns // across)
    structure = ndimage.generate_binary_structure(2, 1 if events.connectivity == 4 else 2)
    # One block of the array is one module: nothing spreads along the axes that number them.
    beside = ndimage.binary_dilation(blocks, structure[None, :, None, :])
    vetoing: NDArray[np.bool_] = beside.reshape(rows, columns) & ~unusable
    return vetoing


def hit_threshold_kev(pixels: PixelMaps, events: EventSettings) -> NDArray[np.float32]:
    """Energy from which on a pixel is a hit, ``(rows, columns) float32, keV``."""
    if events.low_threshold_kev is None:
        return pixels.threshold_kev
    return np.full(pixels.shape, events.low_threshold_kev, np.float32)


def _limit_adu(
    pixels: PixelMaps, threshold_kev: NDArray[np.float32], unusable: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Find the largest ADU that is not a hit."""
    _refuse_permanent_hits(pixels, threshold_kev, unusable)
    return np.where(unusable, MAX_ADU, _last_below(pixels, threshold_kev)).astype(np.uint16)


def _last_below(pixels: PixelMaps, threshold_kev: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Find the largest ADU below a threshold, by bisection.

    Each float32 operation of the energy is monotonic in ADU where the gradient is positive, so
    one integer per pixel decides exactly as the energy would.
    """
    below = np.zeros(pixels.shape, np.int32)
    above = np.full(pixels.shape, MAX_ADU + 1, np.int32)
    while np.any(above - below > 1):
        middle = (below + above) // 2
        hit = _energy_kev(middle, pixels) >= threshold_kev
        below, above = np.where(hit, below, middle), np.where(hit, middle, above)
    return below.astype(np.uint16)


def _energy_kev(adu: NDArray[np.int32], pixels: PixelMaps) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        energy: NDArray[np.float32] = (
            adu.astype(np.float32) - pixels.pedestal_adu
        ) * pixels.gradient_kev_per_adu + pixels.intercept_kev
    return energy


def _refuse_permanent_hits(
    pixels: PixelMaps, threshold_kev: NDArray[np.float32], unusable: NDArray[np.bool_]
) -> None:
    at_zero_kev = _energy_kev(np.zeros(pixels.shape, np.int32), pixels)
    permanent = np.argwhere((at_zero_kev >= threshold_kev) & ~unusable)
    if len(permanent):
        row, column = permanent[0]
        raise ValueError(
            f"{len(permanent)} of {unusable.size} pixels would be hit in every frame, the first at "
            f"row {row}, column {column}: its threshold is {threshold_kev[row, column]:.4g} keV "
            f"and 0 ADU is {at_zero_kev[row, column]:.4g} keV; raise the threshold or mask them."
        )


def _window_edges(pixels: PixelMaps) -> NDArray[np.float32]:
    if pixels.window_edges_kev is None:
        return np.full((pixels.masked.size, 4), np.inf, np.float32)
    return _by_pixel(list(pixels.window_edges_kev))


def _charge_loss(pixels: PixelMaps, events: EventSettings) -> NDArray[np.float32]:
    if not events.charge_loss:
        return np.zeros(0, np.float32)
    curve = pixels.charge_loss
    if curve is None:
        raise ValueError("events.charge_loss is set, but the calibration has no charge-loss curve.")
    if curve.ndim != 1 or len(curve) < 2 or curve.dtype != np.float32:
        raise ValueError(
            "pixels.charge_loss must be (nodes,) float32 with 2 nodes or more, "
            f"not {curve.shape} {curve.dtype}."
        )
    if not (np.isfinite(curve) & (curve > 0)).all():
        raise ValueError("pixels.charge_loss must be finite and above 0 at every node.")
    return np.ascontiguousarray(curve)


def _by_pixel(maps: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.stack([m.ravel() for m in maps], axis=1))


def _check_maps(pixels: PixelMaps) -> None:
    shape = pixels.shape
    _check_map("masked", pixels.masked, shape, "bool")
    for name in MAPS:
        _check_map(name, getattr(pixels, name), shape, "float32")
    if pixels.window_edges_kev is not None:
        _check_map("window_edges_kev", pixels.window_edges_kev, (4, *shape), "float32")
    (rows, columns), (down, across) = shape, pixels.modules
    if down < 1 or across < 1 or rows % down or columns % across:
        raise ValueError(
            f"{down} x {across} modules do not divide a frame of {rows} x {columns} pixels."
        )


def _check_map(name: str, values: NDArray[Any], shape: tuple[int, ...], dtype: str) -> None:
    if values.shape != shape or values.dtype != np.dtype(dtype):
        raise ValueError(
            f"pixels.{name} must be {shape} {dtype}, not {values.shape} {values.dtype}."
        )
