"""A result file read back, for exports: exposures with their maps, components, cycler."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.charge import CyclerLog
from hexlive.reconstruct.components import (
    ComponentName,
    ComponentSettings,
    component_windows,
)
from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.heterogeneity import sheet_position_mm
from hexlive.reconstruct.pile_up import pooled_survival
from hexlive.reconstruct.profile import Profile
from hexlive.stream.config import Config
from hexlive.stream.files import FileError, opened
from hexlive.stream.reference import WINDOW_DATASETS
from hexlive.stream.registered import FRACTIONS, VOLUMES, mixing_of
from hexlive.stream.result_files import opened_result

CT_COLUMNS: Final = (
    "ra_um", "ra_sigma_um", "rq_um", "rq_sigma_um", "anode_volume_um3", "anode_volume_sigma_um3",
)  # fmt: skip
UNDER_WAY: Final = ("frame", "segment", "state", "soc")  # of a mark; below 0 where there is none
CYCLER_COLUMNS: Final = ("time_s", "voltage_volt", "current_ampere", "capacity_ah")


@dataclass(frozen=True, kw_only=True, eq=False)
class Exposed:
    """One exposure; what was not known of it is NaN.

    Attributes
    ----------
    begin_s, end_s
        Unix time, lost frames included.
    windows
        L and H of every pixel, ``(rows, columns)``.
    relative
        EMF over that of the reference of the result, pooled, and its sigma.
    exposure_s, weight
        What components are made with: the live time, and the weight of each pixel; with the
        correction for pile-up the live time that survived, and what pixels lost beyond that.
    doubts
        What the run doubted of it, a sentence each.
    masks
        EMF pooled over each mask of the CT, and its sigma.
    """

    state: int
    region: int
    soc: float
    begin_s: float
    end_s: float
    windows: EmfResult
    relative: tuple[float, float]
    exposure_s: float
    weight: FloatArray
    profile: Profile
    doubts: tuple[str, ...]
    masks: dict[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ComponentSpectrum:
    """What the file says of one component in one state, ``(bins,)`` and a profile."""

    state: int
    name: ComponentName
    emf: float
    emf_sigma: float
    spectrum: FloatArray
    spectrum_sigma: FloatArray
    profile: Profile


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A whole result file.

    Attributes
    ----------
    exposures
        By (state, region); of a region that was repeated the last one.
    components
        In the order of states.
    ct
        What CT measured of the anode, by state: the `CT_COLUMNS`.
    mixed_by
        With which the components of a state were made, where they say it.
    cycler_columns
        Rows of the cycler, ``(rows,)`` by name; empty where there are none.
    """

    path: Path
    config: Config
    edges_kev: FloatArray
    shape: tuple[int, int]
    exposures: dict[tuple[int, int], Exposed]
    components: list[ComponentSpectrum]
    ct: dict[int, dict[str, float]]
    mixed_by: dict[int, ComponentSettings]
    cycler_columns: dict[str, FloatArray]

    @property
    def states(self) -> list[int]:
        """Numbers of the states, rising."""
        return sorted({state for state, _ in self.exposures})

    def cycler(self) -> CyclerLog | None:
        """The rows on the clock that they came with; None where there are fewer than two.

        Raises
        ------
        ValueError
            They are no log.
        """
        columns = dict(self.cycler_columns)
        if not columns or columns["time_s"].size < 2:
            return None
        if not np.isfinite(columns["capacity_ah"]).all():
            del columns["capacity_ah"]
        return CyclerLog(**columns)

    @cached_property
    def position_mm(self) -> tuple[FloatArray, FloatArray]:
        """Where the pixels look in the sheet beam."""
        return sheet_position_mm(self.shape, self.config.detector.pitch_mm, self.config.compton)

    def regions(self, state: int) -> tuple[dict[int, EmfResult], dict[int, float]]:
        """L and H of every pixel, and exposure, of the regions of a state: for components."""
        exposed = {region: each for (of, region), each in self.exposures.items() if of == state}
        windows = {region: each.windows.scaled(each.weight) for region, each in exposed.items()}
        return windows, {region: each.exposure_s for region, each in exposed.items()}

    def component_maps(self, state: int) -> dict[ComponentName, EmfResult]:
        """L and H of every pixel, of the components whose regions were exposed."""
        return component_windows(*self.regions(state), self.mixing(state))

    def mixing(self, state: int) -> ComponentSettings:
        """Lithium fractions and volumes of a state: of its CT, or configured."""
        return self.mixed_by.get(state, self.config.components)


def read_result(path: Path) -> Measured:
    """Read a result file.

    Raises
    ------
    FileError
        Not readable, or not a result with exposures of a state and a region.
    """
    with opened_result(path) as (entry, config):
        return _measured(path, entry, config)


def _measured(path: Path, entry: h5py.Group, config: Config) -> Measured:
    groups = [entry[name] for name in entry if name.startswith("segment_")]
    groups = [group for group in groups if {"state", "region"} <= group.attrs.keys()]
    if not groups:
        raise FileError(f"{path} has no exposure with a state and a region, so nothing to export.")
    exposed = [_exposed(group, config) for group in groups]
    edges_kev = groups[0]["energy_edges_kev"][()]
    return Measured(
        path=path,
        config=config,
        edges_kev=edges_kev,
        shape=groups[0]["theta_deg"].shape,
        exposures={(each.state, each.region): each for each in exposed},
        components=sorted(_components(entry), key=lambda part: part.state),
        ct=_ct(entry),
        mixed_by=_mixed_by(entry),
        cycler_columns={name: entry[f"cycler/{name}"][()] for name in CYCLER_COLUMNS}
        if "cycler" in entry
        else {},
    )


def exposure_times_s(path: Path) -> tuple[FloatArray, FloatArray]:
    """Begin and end of every exposure of a result, ``(exposures,)``, as `Exposed` has them."""
    with opened(path) as file:
        entry = file["entry"]
        times = [_times_s(entry[name]) for name in entry if name.startswith("segment_")]
    begin_s, end_s = np.array(times).reshape(-1, 2).T
    return begin_s, end_s


def spectra(path: Path) -> Iterator[tuple[str, NDArray[np.uint32], FloatArray]]:
    """Name, counts ``(rows, columns, bins)`` and edges ``(bins + 1,), keV`` of each exposure."""
    with opened(path) as file:
        for name, group in file["entry"].items():
            if name.startswith("segment_"):
                yield name, group["counts"][()], group["energy_edges_kev"][()]


def marks(path: Path) -> list[dict[str, Any]]:
    """What people marked, oldest first: label, time, and what was under way, None where nothing."""
    with opened(path) as file:
        group = file["entry"].get("marks")
        if group is None:
            return []
        columns = {name: group[name][()].tolist() for name in UNDER_WAY}
        labels, times_s = group["label"].asstr()[()].tolist(), group["time"][()].tolist()
    return [
        {"label": label, "time_s": time_s}
        | {name: None if values[i] < 0 else values[i] for name, values in columns.items()}
        for i, (label, time_s) in enumerate(zip(labels, times_s, strict=True))
    ]


def _exposed(group: h5py.Group, config: Config) -> Exposed:
    attrs = group.attrs
    begin_s, end_s = _times_s(group)
    survived, weight = _survived(group, config)
    return Exposed(
        state=int(attrs["state"]),
        region=int(attrs["region"]),
        soc=float(attrs.get("soc", np.nan)),
        begin_s=begin_s,
        end_s=end_s,
        windows=EmfResult(**{part: group[name][()] for part, name in WINDOW_DATASETS.items()}),
        relative=(
            float(attrs.get("emf_relative_mean", np.nan)),
            float(attrs.get("emf_relative_mean_sigma", np.nan)),
        ),
        exposure_s=float(attrs["live_time_s"]) * survived,
        weight=weight,
        profile=_profile(group),
        doubts=tuple(str(attrs.get("doubts", "")).splitlines()),
        masks={
            name: (float(mask["emf"][()]), float(mask["emf_sigma"][()]))
            for name, mask in group.get("ct_masks", {}).items()
        },
    )


def _times_s(group: h5py.Group) -> tuple[float, float]:
    """Begin and end, Unix time, lost frames included; NaN where they are not known."""
    attrs = group.attrs
    begin_s = float(attrs.get("started_s", np.nan))
    frame_s = float(attrs["live_time_s"]) / max(int(attrs["frames_received"]), 1)
    return begin_s, begin_s + int(attrs["frames_expected"]) * frame_s


def _survived(group: h5py.Group, config: Config) -> tuple[float, FloatArray]:
    """Fraction of the events that pile-up left, and the weight of each pixel that evens it out."""
    shape = group["theta_deg"].shape
    if config.compton.pile_up == "none":
        return 1.0, np.ones(shape)
    of_pixel, events = group["survival"][()], group["counts"][()].sum(axis=-1)
    overall = pooled_survival(of_pixel, events)
    return overall, overall / of_pixel


def _profile(group: h5py.Group) -> Profile:
    pz_au, j, sigma = (group[f"profile/{name}"][()] for name in ("pz_au", "j", "j_sigma"))
    return Profile(pz_au=pz_au, j=j, variance=sigma**2)


def _components(entry: h5py.Group) -> Iterator[ComponentSpectrum]:
    for name, states in entry.get("components", {}).items():
        for state, group in states.items():
            yield ComponentSpectrum(
                state=int(state.removeprefix("state_")),
                name=name,
                emf=float(group["emf"][()]),
                emf_sigma=float(group["emf_sigma"][()]),
                spectrum=group["spectrum"][()],
                spectrum_sigma=group["spectrum_sigma"][()],
                profile=_profile(group),
            )


def _ct(entry: h5py.Group) -> dict[int, dict[str, float]]:
    scans: Any = entry.get("ct", {})
    return {
        int(scan.attrs["state"]): {
            name: float(scan[name][()]) for name in CT_COLUMNS if name in scan
        }
        for scan in scans.values()
        if "state" in scan.attrs
    }


def _mixed_by(entry: h5py.Group) -> dict[int, ComponentSettings]:
    """By state, where all three components say how they were made."""
    found: dict[int, dict[str, float]] = {}
    for name, states in entry.get("components", {}).items():
        for state, group in states.items():
            of_state = found.setdefault(int(state.removeprefix("state_")), {})
            for key in (*FRACTIONS, "volume_mm3"):
                if key in group.attrs:
                    of_state[f"{name}_mm3" if key == "volume_mm3" else key] = float(
                        group.attrs[key]
                    )
    return {
        state: mixing_of(values)
        for state, values in found.items()
        if values.keys() >= {*FRACTIONS, *VOLUMES}
    }
