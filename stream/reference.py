"""The reference that relative EMF is relative to: one exposure, kept in the calibration file.

It is the homogeneous disk or the pristine cell. EMF depends on threshold, sharing mode, gain and
resolution, so a reference only fits data of the same camera, calibration and settings.
"""

import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import theta_map_rad
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.peak import peak_map_kev
from hexlive.stream.config import Config, ConfigError, to_toml
from hexlive.stream.files import FileError, new_group, opened, whole_or_absent
from hexlive.stream.model import Segment

# Datasets of a segment of a result and of a reference, by field of EmfResult.
WINDOW_DATASETS: Final = {
    "low": "emf_low",
    "high": "emf_high",
    "var_low": "emf_low_variance",
    "var_high": "emf_high_variance",
    "cov": "emf_covariance",
}

# Settings that EMF depends on; the other fields of these tables leave it alone.
TABLES: Final = ("detector", "events", "spectrum", "compton", "drift")
INDIFFERENT: Final = {
    "detector.calibration",
    "detector.frame_rate_hz",
    "events.dither_seed",
    "events.keep_multiplicity",
    "spectrum.max_kev",
    "compton.pile_up",
    "compton.reference",
    "drift.lines",
    "drift.interval_s",
    "drift.alarm_percent",
    "drift.alarm_sigma",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """L and H of one exposure, and what it was made with.

    Attributes
    ----------
    windows
        L, H and their covariance, ``(rows, columns)``.
    peak_kev
        Measured centres of the Compton peak, ``(rows, columns) float64``, NaN where too few counts.
    config, calibration_id
        Of the run that made it.
    series, segment
        Which exposure it is: the same counts are not independent of it.
    source
        Name of the result file.
    """

    windows: EmfResult
    peak_kev: NDArray[np.float64]
    config: Config
    calibration_id: str
    series: str
    segment: int
    source: str

    def require_match(self, config: Config, calibration_id: str) -> None:
        """Refuse data that were made in another way.

        Raises
        ------
        ConfigError
            Another camera, calibration or setting; the sentence names it.
        """
        shape = self.windows.low.shape
        if shape != config.detector.shape:
            raise ConfigError(
                f"The reference is of another detector: {shape[0]} x {shape[1]} pixels, where "
                f"[detector] has {config.detector.rows} x {config.detector.columns}."
            )
        if self.calibration_id != calibration_id:
            raise ConfigError(
                f"The reference was made with calibration {self.calibration_id}, the data are with "
                f"{calibration_id}; {REMEDY}"
            )
        then, now = dict(_settings(self.config)), dict(_settings(config))
        for name, value in now.items():
            if then[name] != value:
                raise ConfigError(
                    f"The reference was made with {name} = {then[name]}, the data are with "
                    f"{value}; {REMEDY}"
                )

    def is_exposure(self, segment: Segment | None) -> bool:
        """Whether these are the counts of that exposure."""
        here = (self.series, self.segment)
        return segment is not None and here == (segment.series, segment.number)


REMEDY: Final = "make it again with hexlive calibrate reference, or set compton.reference = 'none'."


def _settings(config: Config) -> Iterator[tuple[str, Any]]:
    for table in TABLES:
        for key, value in msgspec.to_builtins(getattr(config, table)).items():
            if (name := f"{table}.{key}") not in INDIFFERENT:
                yield name, value


def reference_from_result(result_nxs: Path, segment: int | None = None) -> Reference:
    """Take one exposure of a result file as the reference.

    Parameters
    ----------
    segment
        Number of its group, 1 for ``segment_0001``; None: the only one.

    Raises
    ------
    FileError
        Not a result file, no such exposure, more than one without ``segment``, or no counts.
    """
    with opened(result_nxs) as file:
        entry = file.get("entry")
        if entry is None or "process/calibration_id" not in entry:
            raise FileError(f"{result_nxs} is not a result of hexlive: it has no entry/process.")
        config = _config(entry["process/config"][()], result_nxs)
        group = entry[_segment_name(entry, segment, result_nxs)]
        windows = _windows(group, result_nxs)
        if not np.isfinite(windows.emf).any():
            raise FileError(f"{result_nxs}: {group.name} has too few counts for any EMF.")
        theta_rad = theta_map_rad(windows.low.shape, config.detector.pitch_mm, config.compton)
        return Reference(
            windows=windows,
            peak_kev=peak_map_kev(
                group["counts"][()], group["energy_edges_kev"][()], theta_rad, config.compton
            ),
            config=config,
            calibration_id=entry["process/calibration_id"].asstr()[()],
            series=str(group.attrs["series"]),
            segment=int(group.attrs["number"]),
            source=result_nxs.name,
        )


def _segment_name(entry: h5py.Group, segment: int | None, path: Path) -> str:
    names = [name for name in entry if name.startswith("segment_")]
    if segment is None and len(names) == 1:
        return str(names[0])
    wanted = f"segment_{segment:04d}" if segment is not None else ""
    if wanted not in names:
        which = "it holds several exposures; say which" if segment is None else f"no {wanted} there"
        raise FileError(f"{path}: {which} of {', '.join(names) or 'none'}.")
    return wanted


def _windows(group: h5py.Group, path: Path) -> EmfResult:
    if missing := [name for name in WINDOW_DATASETS.values() if name not in group]:
        raise FileError(f"{path}: {group.name} has no {missing[0]}; process the recording again.")
    return EmfResult(**{field: group[name][()] for field, name in WINDOW_DATASETS.items()})


def _config(toml: bytes, path: Path) -> Config:
    try:
        return msgspec.convert(tomllib.loads(toml.decode()), Config)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise FileError(f"{path}: its configuration cannot be read: {error}.") from error


def save_reference(calibration_path: Path, reference: Reference) -> None:
    """Put the reference into its calibration file, whole or not at all; an older one goes.

    Raises
    ------
    FileError
        Not the calibration that the reference was made with, or it cannot be written.
    """
    with opened(calibration_path) as file:
        found = str(file.attrs.get("id", "unknown"))
    if found != reference.calibration_id:
        raise FileError(
            f"{calibration_path} is calibration {found}, but {reference.source} was made with "
            f"{reference.calibration_id}; process the reference exposure with this calibration."
        )
    with whole_or_absent(calibration_path) as part:
        shutil.copyfile(calibration_path, part)
        with h5py.File(part, "r+") as file:
            _write(file, reference)


def _write(file: h5py.File, reference: Reference) -> None:
    for name in ("reference", "peak_kev"):
        if name in file:
            del file[name]
    file["peak_kev"] = reference.peak_kev
    file["peak_kev"].attrs["units"] = "keV"
    group = new_group(file, "reference", created=datetime.now(UTC).isoformat())
    for field in ("calibration_id", "series", "segment", "source"):
        group.attrs[field] = getattr(reference, field)
    group["config"] = to_toml(reference.config)
    group["emf"], group["emf_sigma"] = reference.windows.emf, reference.windows.sigma
    for field, name in WINDOW_DATASETS.items():
        group[name] = getattr(reference.windows, field)


def load_reference(path: Path) -> Reference | None:
    """Read the reference of a calibration file; None where it has none.

    Raises
    ------
    FileError
        Not a readable file, or a reference without what it needs.
    """
    with opened(path) as file:
        if "reference" not in file:
            return None
        group = file["reference"]
        if "config" not in group or "peak_kev" not in file:
            raise FileError(f"{path}: its reference is incomplete; {REMEDY}")
        return Reference(
            windows=_windows(group, path),
            peak_kev=file["peak_kev"][()].astype(np.float64),
            config=_config(group["config"][()], path),
            calibration_id=str(group.attrs["calibration_id"]),
            series=str(group.attrs["series"]),
            segment=int(group.attrs["segment"]),
            source=str(group.attrs["source"]),
        )
