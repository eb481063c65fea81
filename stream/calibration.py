"""The calibration of a camera: an HDF5 file, arrays of ``(rows, columns)``."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings, PixelMaps
from hexlive.stream.files import FileError, opened, whole_or_absent
from hexlive.stream.reference import Reference, load_reference

MAPS: Final = (
    "pedestal_adu",
    "noise_adu",
    "gradient_kev_per_adu",
    "intercept_kev",
    "threshold_kev",
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Per-pixel constants of one camera.

    Attributes
    ----------
    pedestal_adu, noise_adu, gradient_kev_per_adu, intercept_kev
        ``(rows, columns) float32``. Energy is ``(ADU - pedestal) * gradient + intercept``.
    mask
        ``(rows, columns) uint8``, 1 = excluded.
    threshold_kev
        ``(rows, columns) float32``, or None: the configured value everywhere.
    charge_loss
        ``(nodes,) float32``, or None: the curve of docs/events.md for events of two pixels.
    peak_kev
        ``(rows, columns) float64``, or None: measured centres of the Compton peak.
    reference
        What relative EMF is relative to, or None. Only `stream.reference` writes these two.
    sources
        Names of the files it was made from.
    """

    pedestal_adu: NDArray[np.float32]
    noise_adu: NDArray[np.float32]
    gradient_kev_per_adu: NDArray[np.float32]
    intercept_kev: NDArray[np.float32]
    mask: NDArray[np.uint8]
    threshold_kev: NDArray[np.float32] | None = None
    charge_loss: NDArray[np.float32] | None = None
    peak_kev: NDArray[np.float64] | None = None
    reference: Reference | None = None
    sources: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.mask.shape
        return rows, columns

    def pixel_maps(
        self,
        events: EventSettings,
        window_edges_kev: NDArray[np.float32] | None = None,
        modules: tuple[int, int] = (1, 1),
    ) -> PixelMaps:
        """What an event kernel needs of this calibration."""
        threshold = self.threshold_kev
        if threshold is None:
            threshold = np.full(self.shape, events.threshold_kev, np.float32)
        return PixelMaps(
            pedestal_adu=self.pedestal_adu,
            gradient_kev_per_adu=self.gradient_kev_per_adu,
            intercept_kev=self.intercept_kev,
            threshold_kev=threshold,
            masked=self.mask.astype(bool),
            window_edges_kev=window_edges_kev,
            charge_loss=self.charge_loss,
            modules=modules,
        )

    def require_usable(self) -> None:
        """Refuse a calibration with which nothing could be measured.

        Raises
        ------
        FileError
            No pixel is usable, or a threshold is not a finite number.
        """
        maps = (self.intercept_kev, self.pedestal_adu)
        if not (usable_pixels(self.gradient_kev_per_adu, *maps) & (self.mask == 0)).any():
            raise FileError(
                "Every pixel would be masked; check the gradients (keV/ADU, above 0), the "
                "intercepts and pedestals, and that the frames are dark frames."
            )
        if self.threshold_kev is not None and not np.isfinite(self.threshold_kev).all():
            n_bad = int((~np.isfinite(self.threshold_kev)).sum())
            raise FileError(
                f"The threshold of {n_bad} pixels is not finite; give keV for every pixel."
            )

    def save(self, path: Path, also: Callable[[h5py.File], None] = lambda file: None) -> None:
        """Write the file, whole or not at all.

        Parameters
        ----------
        also
            Writes what else belongs into it, such as the quality of the fits.

        Raises
        ------
        FileError
            The folder cannot be written to.
        """
        with whole_or_absent(path) as part, h5py.File(part, "w") as file:
            for name in MAPS:
                if (array := getattr(self, name)) is not None:
                    file[name] = array
                    file[name].attrs["units"] = name.split("_", 1)[1].replace("_per_", "/")
            file["mask"] = self.mask
            if self.charge_loss is not None:
                file["charge_loss"] = self.charge_loss
            also(file)
            file.attrs["id"] = self.id
            file.attrs["created"] = datetime.now(UTC).isoformat()
            file.attrs["source_files"] = list(self.sources)
            file.attrs["hexlive_version"] = version("hexlive")


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Raises
    ------
    FileError
        Missing, not HDF5, without a gradient, not numbers, arrays of different shapes, or a
        charge-loss curve that is none.
    """
    with opened(path) as file:
        shape = _required(file, "gradient_kev_per_adu", path).shape
        maps: dict[str, Any] = {name: _map(file, name, path) for name in MAPS}
        for name in ("pedestal_adu", "noise_adu", "intercept_kev"):
            if maps[name] is None:
                maps[name] = np.zeros(shape, np.float32)
        flags = _map(file, "mask", path)
        mask = np.zeros(shape, np.uint8) if flags is None else (flags != 0).astype(np.uint8)
        curve = _map(file, "charge_loss", path)
        peak = _map(file, "peak_kev", path)
        calibration = Calibration(
            **maps,
            mask=mask,
            charge_loss=None if curve is None else charge_loss_curve(curve, path),
            peak_kev=None if peak is None else peak.astype(np.float64),
            reference=load_reference(path),
            sources=tuple(str(name) for name in file.attrs.get("source_files", ())),
            id=str(file.attrs.get("id", "unknown")),
        )
    for name in (*MAPS, "mask", "peak_kev"):
        array = getattr(calibration, name)
        if array is not None and (array.ndim != 2 or array.shape != shape):
            raise FileError(f"{path}: {name} is {array.shape}, the gradient is {shape}.")
    return calibration


def charge_loss_curve(values: NDArray[np.floating], path: Path) -> NDArray[np.float32]:
    """Take ``(nodes,)`` numbers as a charge-loss curve.

    Raises
    ------
    FileError
        Not one-dimensional, fewer than 2 nodes, or a factor that is not finite and above 0.
    """
    with np.errstate(over="ignore"):
        curve = values.astype(np.float32)
    if curve.ndim != 1 or len(curve) < 2:
        raise FileError(
            f"{path}: charge_loss is {curve.shape}; give 2 or more factors, from R = -1 to 1."
        )
    if not (np.isfinite(curve) & (curve > 0)).all():
        raise FileError(f"{path}: a factor of charge_loss is not finite and above 0.")
    return curve


def _map(file: h5py.File, name: str, path: Path) -> NDArray[np.float32] | None:
    """One of the arrays, None where the file does not have it."""
    if name not in file:
        return None
    values: NDArray[np.float32] = _required(file, name, path)[()].astype(np.float32)
    return values


def _required(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    if name not in file:
        raise FileError(f"{path} is not a calibration file: it has no dataset {name!r}.")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biuf":
        raise FileError(f"{path} is not a calibration file: {name!r} is not an array of numbers.")
    return dataset


def usable_pixels(
    gradient_kev_per_adu: NDArray[np.float32], *others: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Where the gradient is positive and every map finite, ``(rows, columns)``."""
    usable = gradient_kev_per_adu > 0
    for values in (gradient_kev_per_adu, *others):
        usable &= np.isfinite(values)
    return usable
