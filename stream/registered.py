"""CT scans on the EMF grid, as a file: masks, fractions and volumes of each state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hexlive.reconstruct.components import ComponentSettings, ComponentVolumes
from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.registration.ct_masks import Resampled
from hexlive.reconstruct.registration.register import Registration
from hexlive.reconstruct.registration.registration_settings import RegistrationError
from hexlive.stream.files import FileError, new_group, opened, whole_or_absent
from hexlive.stream.model import Segment
from hexlive.stream.segments import mark_plot

FRACTIONS = ("li_in_region_1", "li_in_region_2")
VOLUMES = ("anode_mm3", "electrolyte_mm3", "cathode_mm3")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanOnGrid:
    """One CT scan that was registered.

    Attributes
    ----------
    volume, exposure
        The volume file, and the exposure that it was registered to.
    started_s
        Of the CT scan, Unix time; None: not known.
    fractions
        Lithium fractions and volumes; None, with the reason in ``no_fractions``.
    """

    state: int
    volume: str
    exposure: str
    started_s: float | None
    registration: Registration
    resampled: Resampled
    fractions: ComponentSettings | None
    no_fractions: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class StateOnGrid:
    """What a file says of one state; see `ScanOnGrid`."""

    volume: str
    started_s: float | None
    masks: dict[str, FloatArray]
    fractions: ComponentSettings | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Registered:
    """A file of ``hexlive register``."""

    path: Path
    max_age_s: float
    states: dict[int, StateOnGrid]

    def state_of(self, segment: Segment | None) -> StateOnGrid | None:
        """The CT of an exposure; None: its state has none.

        Raises
        ------
        RegistrationError
            The CT of this state is too old, or too young, for this exposure.
        """
        found = None if segment is None or segment.state is None else self.states.get(segment.state)
        if found is None or segment is None:
            return found
        require_fresh(found.started_s, segment.started_s, self.max_age_s, f"state {segment.state}")
        return found

    def require_shape(self, shape: tuple[int, int]) -> None:
        """Refuse masks of another detector.

        Raises
        ------
        FileError
            They are of another size.
        """
        for state, found in self.states.items():
            for mask in found.masks.values():
                if mask.shape != shape:
                    raise FileError(
                        f"{self.path}: the masks of state {state} are {mask.shape[0]} x "
                        f"{mask.shape[1]}, the detector is {shape[0]} x {shape[1]}."
                    )


def require_fresh(
    scan_s: float | None, exposure_s: float | None, max_age_s: float, what: str
) -> None:
    """Refuse a CT scan and an exposure that are too far apart in time, where both are known.

    Raises
    ------
    RegistrationError
        They are.
    """
    if scan_s is None or exposure_s is None:
        return
    apart_s = abs(exposure_s - scan_s)
    if apart_s > max_age_s:
        raise RegistrationError(
            f"The CT scan of {what} is {apart_s / 3600:.1f} h away from the exposure, more than "
            f"registration.max_age_s = {max_age_s:g} allows; its masks are not used."
        )


def write_registered(path: Path, scans: Iterable[ScanOnGrid], max_age_s: float, of: Path) -> None:
    """Write scans on the grid of a result.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """
    with whole_or_absent(path) as part, h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = new_group(file, "entry", "NXentry")
        entry.attrs.update({"result": str(of), "max_age_s": max_age_s})
        entry["program"], entry["version"] = "hexlive", version("hexlive")
        entry["date"] = datetime.now(UTC).isoformat(timespec="seconds")
        for scan in scans:
            _write_scan(new_group(entry, f"state_{scan.state}"), scan)


def _write_scan(group: h5py.Group, scan: ScanOnGrid) -> None:
    found = scan.registration
    group.attrs.update({"state": scan.state, "volume": scan.volume, "exposure": scan.exposure})
    if scan.started_s is not None:
        group.attrs["started_s"] = scan.started_s
    transform = new_group(group, "transform", "NXparameters")
    transform.attrs.update(
        {
            "offset_mm": found.place.offset_mm,
            "offset_sigma_mm": found.offset_sigma_mm,
            "scale": found.place.scale,
            "scale_sigma": found.scale_sigma,
            "rotation_deg": float(np.degrees(found.place.rotation_rad)),
            "rotation_fitted": found.rotation_fitted,
            "mirrored": found.place.mirrored,
            "residual_mm": found.residual_mm,
            "noise_mm": found.noise_mm,
        }
    )
    transform["sector_mm"] = found.sector_mm
    for kind in ("masks", "maps"):
        values: dict[str, FloatArray] = getattr(scan.resampled, kind)
        made = new_group(group, kind)
        for name, value in values.items():
            made[name] = value
        mark_plot(made, next(iter(values)), [])
    if scan.fractions is None:
        group.attrs["no_fractions"] = scan.no_fractions
        return
    group.attrs.update({name: getattr(scan.fractions, name) for name in FRACTIONS})
    group.attrs.update({name: getattr(scan.fractions.volumes, name) for name in VOLUMES})


def load_registered(path: Path) -> Registered:
    """Read a file of ``hexlive register``.

    Raises
    ------
    FileError
        It is not readable, or no such file.
    """
    with opened(path) as file:
        try:
            entry = file["entry"]
            groups = [entry[name] for name in entry if name.startswith("state_")]
            states = {int(group.attrs["state"]): _read_state(group) for group in groups}
            max_age_s = float(entry.attrs["max_age_s"])
        except KeyError as error:
            raise FileError(f"{path} was not written by hexlive register: {error}.") from error
    return Registered(path=path, max_age_s=max_age_s, states=states)


def _read_state(group: h5py.Group) -> StateOnGrid:
    attrs: Any = group.attrs
    names = (*FRACTIONS, *VOLUMES)
    known = all(name in attrs for name in names)
    return StateOnGrid(
        volume=str(attrs["volume"]),
        started_s=float(attrs["started_s"]) if "started_s" in attrs else None,
        masks={name: mask[()] for name, mask in group["masks"].items()},
        fractions=mixing_of({name: float(attrs[name]) for name in names}) if known else None,
    )


def mixing_of(values: Mapping[str, float]) -> ComponentSettings:
    """Lithium fractions and volumes by name."""
    return ComponentSettings(
        li_in_region_1=values["li_in_region_1"],
        li_in_region_2=values["li_in_region_2"],
        volumes=ComponentVolumes(**{name: values[name] for name in VOLUMES}),
    )
