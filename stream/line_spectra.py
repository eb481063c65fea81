"""Calibrating a camera by lines: frames to spectra in ADU, fits to a calibration file."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.opening import open_backend
from hexlive.reconstruct.gain import GOOD, REFUSALS, LineCalibration, calibrate_lines
from hexlive.reconstruct.lines import Line
from hexlive.stream.calibration import Calibration
from hexlive.stream.files import FileError

# Bins are four whole ADU, 0.12 keV: a quarter of the sigma of a good pixel.
BIN_ADU: Final = 4
# The axis ends so far above the highest line, in keV and as a factor on the gain.
BEYOND_KEV: Final = 8.0
BEYOND: Final = 1.12
# A pixel is hit at so many sigma of its noise, so that even small shares of charge are seen.
HIT_SIGMA: Final = 5.0
FALLBACK_KEV: Final = 3.0
SHORTEST_AXIS_ADU: Final = 256
NAMED: Final = 10
UNUSED: Final = 1  # code of pixels that were masked before


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibratedLines:
    """A calibration by lines, and how good it is.

    Attributes
    ----------
    fit
        Arrays of ``(pixels,)`` in row-major order.
    """

    calibration: Calibration
    fit: LineCalibration

    def summary(self) -> list[str]:
        """What a user should know, a line each."""
        fit = self.fit
        highest = int(np.argmax([line.energy_kev for line in fit.lines]))
        counts = np.bincount(fit.refusal, minlength=len(REFUSALS))
        said = [
            f"{counts[GOOD]} of {counts.sum()} pixels calibrated with "
            + ", ".join(f"{line.name} ({line.energy_kev:.2f} keV)" for line in fit.lines),
            f"median FWHM at {fit.lines[highest].energy_kev:.2f} keV "
            f"{np.nanmedian(fit.fwhm_kev[highest]):.3f} keV, "
            f"gradient +-{100 * np.nanmedian(fit.gradient_sigma / fit.gradient_kev_per_adu):.3f} %,"
            f" intercept +-{np.nanmedian(fit.intercept_sigma_kev):.3f} keV, "
            f"chi2 per degree of freedom {np.nanmedian(fit.chi2):.2f}",
        ]
        for code in (np.flatnonzero(counts[GOOD + 1 :]) + GOOD + 1).tolist():
            said.append(f"refused, {REFUSALS[code]}: {counts[code]}, at {self._where(code)}")
        return said

    def _where(self, code: int) -> str:
        """(row, column) of the first pixels with a refusal."""
        columns = self.calibration.shape[1]
        pixels = np.flatnonzero(self.fit.refusal == code)
        named = ", ".join(f"({pixel // columns}, {pixel % columns})" for pixel in pixels[:NAMED])
        return named + (", ..." if len(pixels) > NAMED else "")

    def write_maps(self, file: h5py.File) -> None:
        """Add the quality of the fits to a calibration file, ``lines/``."""
        fit, shape = self.fit, self.calibration.shape
        group = file.create_group("lines")
        names = [line.name for line in fit.lines]
        group.create_dataset("name", data=names, dtype=h5py.string_dtype())
        group["energy_kev"] = [line.energy_kev for line in fit.lines]
        for name in ("gradient_sigma", "intercept_sigma_kev", "chi2", "residual_kev"):
            group[name] = getattr(fit, name).reshape(shape).astype(np.float32)
        for name in ("fwhm_kev", "counts"):
            group[name] = getattr(fit, name).reshape(-1, *shape).astype(np.float32)
        group["refusal"] = fit.refusal.reshape(shape)
        group["refusal"].attrs["meaning"] = list(REFUSALS)


def calibrate_by_lines(
    blocks: Iterable[NDArray[np.uint16]],
    lines: Sequence[Line],
    start: Calibration,
    *,
    modules: tuple[int, int] = (1, 1),
    sources: tuple[str, ...] = (),
) -> CalibratedLines:
    """Gradient and intercept of every pixel; what cannot be calibrated is masked.

    Parameters
    ----------
    blocks
        ``(frames, rows, columns) uint16, ADU``.
    start
        Pedestal, noise, mask, and a gradient that is right to 10 %, an intercept to 2.4 keV.

    Raises
    ------
    LineError
        Fewer than two lines, or two at the same energy.
    FileError
        No pixel can be calibrated.
    """
    spectra, origin_adu = single_pixel_spectra(blocks, lines, start, modules)
    fit = calibrate_lines(
        spectra.reshape(-1, spectra.shape[-1]),
        lines,
        start.gradient_kev_per_adu.ravel().astype(np.float64),
        start.intercept_kev.ravel().astype(np.float64),
        (start.mask != 0).ravel(),
        BIN_ADU,
    )
    if not (fit.refusal == GOOD).any():
        raise FileError(_nothing_found(fit, spectra))
    good = (fit.refusal == GOOD).reshape(start.shape)
    gradient = np.where(good, fit.gradient_kev_per_adu.reshape(start.shape), 0.0)
    # Spectra begin at a whole ADU, energies at the pedestal.
    offset_kev = gradient * (start.pedestal_adu - origin_adu)
    intercept = np.where(good, fit.intercept_kev.reshape(start.shape) + offset_kev, 0.0)
    calibration = replace(
        _renewed(start),
        gradient_kev_per_adu=gradient.astype(np.float32),
        intercept_kev=intercept.astype(np.float32),
        mask=(~good).astype(np.uint8),
        sources=(*start.sources, *sources),
    )
    return CalibratedLines(calibration=calibration, fit=fit)


def single_pixel_spectra(
    blocks: Iterable[NDArray[np.uint16]],
    lines: Sequence[Line],
    start: Calibration,
    modules: tuple[int, int] = (1, 1),
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Spectra of one-pixel events in ADU.

    Returns
    -------
    tuple
        ``(rows, columns, bins)``, in bins of ``BIN_ADU``, and ``(rows, columns) float32, ADU``
        where each spectrum begins: half an ADU below the one nearest to the pedestal, so that every
        bin holds ``BIN_ADU`` whole ADU.
    """
    origin_adu = np.rint(start.pedestal_adu) - np.float32(0.5)
    gradient = np.where(start.mask == 0, start.gradient_kev_per_adu, np.inf)
    highest_kev = max(line.energy_kev for line in lines) + BEYOND_KEV
    axis_adu = max(SHORTEST_AXIS_ADU, BEYOND * highest_kev / float(gradient.min()))
    fallback_adu = (FALLBACK_KEV - start.intercept_kev) / gradient
    hit_adu = np.where(start.noise_adu > 0, HIT_SIGMA * start.noise_adu, fallback_adu)
    pixels = PixelMaps(
        pedestal_adu=origin_adu,
        gradient_kev_per_adu=np.ones(start.shape, np.float32),
        intercept_kev=np.zeros(start.shape, np.float32),
        threshold_kev=(hit_adu + start.pedestal_adu - origin_adu).astype(np.float32),
        masked=start.mask != 0,
        modules=modules,
    )
    axis = SpectrumSettings(max_kev=BIN_ADU * np.ceil(axis_adu / BIN_ADU), bin_kev=BIN_ADU)
    events = EventSettings(policy="discriminate")
    backend = open_backend("auto", events=events, spectrum=axis, pixels=pixels)
    first_frame = 0
    for block in blocks:
        backend.add(block, first_frame)
        first_frame += len(block)
    return backend.snapshot().spectra, origin_adu


def _renewed(start: Calibration) -> Calibration:
    """The same camera under a new id; a reference made with the old gains is no longer one."""
    return replace(start, id=str(uuid.uuid4()), reference=None, peak_kev=None)


def _nothing_found(fit: LineCalibration, spectra: NDArray[np.uint32]) -> str:
    """Why no pixel at all could be calibrated."""
    names = ", ".join(f"{line.name} ({line.energy_kev:.2f} keV)" for line in fit.lines)
    codes = np.bincount(fit.refusal, minlength=len(REFUSALS))
    codes[UNUSED] = 0
    most = REFUSALS[int(codes.argmax())]
    if not spectra.any():
        return "No pixel has a single event; check that the frames are exposed, and the mask."
    n_events = int(spectra.sum()) // max(1, int(codes.sum()))
    return (
        f"No pixel can be calibrated with {names}: mostly {most}, at {n_events} events per pixel; "
        "expose longer, check the source and its lines, or start from a gradient within 10 %."
    )
