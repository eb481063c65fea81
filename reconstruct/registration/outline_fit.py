"""The least-squares fit of a CT mask to an intensity map, in the pixels about its outline.

The step of the intensity at the outline and what surrounds it may both change around the disk.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.registration.registration_settings import (
    RegistrationError,
    RegistrationSettings,
)
from hexlive.reconstruct.registration.similarity import Grid, Similarity
from hexlive.reconstruct.volumes.outline import Outline, OutlineError

SUBPOINTS: Final = 4  # per side of a pixel
MARGIN_MM: Final = 1.3  # about the outline, on either side: less than from the anode to the casing
SECTORS: Final = 16
STEP_MM: Final = 0.1
REACH_STEPS: Final = 10  # either way, where the outline is looked for in each sector
SCALE_STEP: Final = 0.005
LEAST_PIXELS: Final = 60
MAX_ROTATION_SIGMA_RAD: Final = np.radians(1.0)
DISK_SIGMA: Final = 0.25  # of a uniform disk along one axis, over its diameter


class MaskModel:
    """The fractions of the pixels that a mask covers, smooth in the transform, and blurred."""

    def __init__(
        self, mask: NDArray[np.bool_], voxel_mm: float, grid: Grid, pinhole_mm: float
    ) -> None:
        self.grid = grid
        coarse = max(1, int(grid.pixel_mm / SUBPOINTS / voxel_mm / 2))
        self.voxel_mm = voxel_mm * coarse
        height, width = (size // coarse * coarse for size in mask.shape)
        part = mask[:height, :width].astype(np.float32)
        self._image = part.reshape(height // coarse, coarse, width // coarse, coarse).mean((1, 3))
        # What was cut off moves the middle.
        self._middle = (np.array(mask.shape) - 1) / 2 / coarse - (coarse - 1) / 2 / coarse
        self._points_mm = np.stack(list(grid.subpoints_mm(SUBPOINTS)), axis=1)
        compton = grid.compton
        sheet, detector = compton.pinhole_to_sheet_mm, compton.pinhole_to_detector_mm
        blur_mm = pinhole_mm * (sheet + detector) / detector
        self._sigma_px = DISK_SIGMA * blur_mm / grid.pixel_mm

        self._slope_mm = _outline_slope_px(mask) * voxel_mm

    def rotation_sigma_rad(self, sector_sigma_mm: float) -> float:
        """How well a rotation shows, if the outline is known so well in each sector."""
        return sector_sigma_mm / SECTORS**0.5 / self._slope_mm if self._slope_mm else np.inf

    def __call__(self, place: Similarity) -> FloatArray:
        at_px = place.ct_mm(self._points_mm, self.grid.compton) / self.voxel_mm
        at_px += self._middle[:, None, None, None]
        share = ndimage.map_coordinates(self._image, at_px, order=1, output=np.float64)
        fractions = share.mean(axis=-1)
        return np.asarray(ndimage.gaussian_filter(fractions, self._sigma_px, mode="nearest"))


class OutlineFit:
    """Offset, scale and, where the outline tells it, rotation of the mask in the map."""

    def __init__(
        self,
        model: MaskModel,
        counts: FloatArray,
        valid: NDArray[np.bool_],
        settings: RegistrationSettings,
    ) -> None:
        self.model, self.counts, self.valid = model, counts, valid
        self.settings, self.place = settings, settings.nominal
        self.rotation_fitted = False
        self._position_mm = model.grid.position_mm

    def search(self) -> None:
        """The best offset on a coarse grid: the outline may lie pixels away."""
        reach, step = self.settings.search_mm, 2 * self.model.grid.pixel_mm
        n = int(reach / step)
        steps = np.arange(-n, n + 1) * step
        places = [
            replace(
                self.place, offset_mm=(self.place.offset_mm[0] + d, self.place.offset_mm[1] + a)
            )
            for d in steps
            for a in steps
        ]
        self.place = min(places, key=self._unlikeness)
        self._look_about()

    def refine(self) -> None:
        """Least squares, in the pixels about the outline; the rotation last."""
        for _ in range(2):
            self._solve(rotate=False)
            self._look_about()
        _, sigma_mm = self.sectors_mm()
        noise_mm = float(np.sqrt(np.nanmean(sigma_mm**2)))
        self.rotation_fitted = self.model.rotation_sigma_rad(noise_mm) < MAX_ROTATION_SIGMA_RAD
        if self.rotation_fitted:
            self._solve(rotate=True)

    def sectors_mm(self) -> tuple[FloatArray, FloatArray]:
        """How far the outline lies outside that of the mask in each sector, and its error.

        Where the mask, larger and smaller, fits the sector best; the error is that of the counts.
        """
        sector = ((self._angle[self.near] / (2 * np.pi) * SECTORS) % SECTORS).astype(int) % SECTORS
        variance, counts = self._variance[self.near], self.counts[self.near]
        amplitudes = self._amplitudes()
        steps_mm = np.arange(-REACH_STEPS, REACH_STEPS + 1) * STEP_MM
        misfits = np.empty((len(steps_mm), SECTORS))
        for i, step_mm in enumerate(steps_mm):
            place = replace(self.place, scale=self.place.scale * (1 + step_mm / self._radius_mm))
            left = counts - self._basis(self.model(place)) @ amplitudes
            misfits[i] = np.bincount(sector, left**2 / variance, SECTORS)
        best = np.clip(misfits.argmin(axis=0), 1, len(steps_mm) - 2)
        below, at, above = (misfits[best + i, np.arange(SECTORS)] for i in (-1, 0, 1))
        curvature = below - 2 * at + above
        seen = curvature > 0
        away, sigma = np.full((2, SECTORS), np.nan)
        np.divide(below - above, 2 * curvature, out=away, where=seen)
        np.divide(2.0, curvature, out=sigma, where=seen)
        away = np.where(seen, steps_mm[best] + np.clip(away, -1, 1) * STEP_MM, np.nan)
        return away, np.sqrt(sigma) * STEP_MM

    @property
    def contrast(self) -> float:
        """Step of the intensity at the outline, in its own sigmas."""
        basis, (amplitude, *_) = self._basis(self.model(self.place)), self._amplitudes()
        weighted = basis / np.sqrt(self._variance[self.near])[:, None]
        return float(amplitude / np.sqrt(np.linalg.pinv(weighted.T @ weighted)[0, 0]))

    def _look_about(self) -> None:
        """Choose the pixels about the outline, where it lies now."""
        fractions = self.model(self.place)
        self.near = self._about(fractions)
        y, x = self._position_mm
        inside = fractions >= 0.5
        if not inside.any() or np.count_nonzero(self.near) < LEAST_PIXELS:
            raise RegistrationError(
                "The anode of the CT lies beside the EMF map; see offset_mm and scale in "
                "[registration]."
            )
        self._middle_mm = float(y[inside].mean()), float(x[inside].mean())
        down, across = y - self._middle_mm[0], x - self._middle_mm[1]
        self._angle = np.arctan2(down, across)
        edge = inside & ~ndimage.binary_erosion(inside)
        self._radius_mm = float(np.hypot(down, across)[edge].mean())
        smooth = ndimage.gaussian_filter(np.where(self.valid, self.counts, 0.0), 1.0)
        self._variance = np.maximum(smooth, 1.0)

    def _about(self, fractions: FloatArray) -> NDArray[np.bool_]:
        inside = fractions >= 0.5
        beside = MARGIN_MM / self.model.grid.pixel_mm
        away = ndimage.distance_transform_edt(~inside) + ndimage.distance_transform_edt(inside)
        return np.asarray((away <= beside) & self.valid)

    def _basis(self, fractions: FloatArray) -> FloatArray:
        """The mask and what surrounds it, each with a slope, ``(pixels, 6)``."""
        angle = self._angle[self.near]
        slopes = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)
        return np.concatenate([fractions[self.near][:, None] * slopes, slopes], axis=1)

    def _amplitudes(self) -> FloatArray:
        basis, scale = self._basis(self.model(self.place)), np.sqrt(self._variance[self.near])
        values = self.counts[self.near] / scale
        return np.asarray(np.linalg.lstsq(basis / scale[:, None], values, rcond=None)[0])

    def _residuals(self, place: Similarity) -> FloatArray:
        basis, scale = self._basis(self.model(place)), np.sqrt(self._variance[self.near])
        values = self.counts[self.near] / scale
        weighted = basis / scale[:, None]
        best = np.linalg.lstsq(weighted, values, rcond=None)[0]
        return np.asarray(values - weighted @ best)

    def _unlikeness(self, place: Similarity) -> float:
        """1 less the correlation of mask and map about the outline; the anode is the brighter."""
        fractions = self.model(place)
        near = self._about(fractions)
        if np.count_nonzero(near) < LEAST_PIXELS:
            return np.inf
        pair = np.stack([fractions[near], self.counts[near]])
        if (pair.max(axis=1) == pair.min(axis=1)).any():
            return np.inf
        return 1 - float(np.corrcoef(pair).ravel()[1])

    def _solve(self, *, rotate: bool) -> None:
        start, pixel_mm = self.place, self.model.grid.pixel_mm
        unit = np.array([pixel_mm, pixel_mm, SCALE_STEP, SCALE_STEP])[: 3 + rotate]

        def place(step: FloatArray) -> Similarity:
            down, across, scale, *turn = (step - 1) * unit
            return replace(
                start,
                offset_mm=(float(start.offset_mm[0] + down), float(start.offset_mm[1] + across)),
                scale=float(start.scale * (1 + scale)),
                rotation_rad=float(start.rotation_rad + sum(turn)),
            )

        # Steps are counted from 1, so that finite differences are a fraction of a pixel.
        best = optimize.least_squares(
            lambda step: self._residuals(place(step)), np.ones(len(unit)), diff_step=0.05
        )
        self.place = place(best.x)
        sigmas = np.sqrt(np.diag(np.linalg.pinv(best.jac.T @ best.jac))) * unit
        self.sigmas = [float(sigma) for sigma in sigmas]


def _outline_slope_px(mask: NDArray[np.bool_]) -> float:
    """How much the radius of an outline changes with the direction; 0 where it is cut."""
    try:
        return Outline.of(mask.astype(np.float64)).slope_px
    except OutlineError:
        return 0.0
