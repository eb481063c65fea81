"""Typed configuration from TOML; tables and keys mirror the dataclasses one to one."""

import dataclasses
import difflib
import math
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import tomli_w

from hexlive.kernels.backend import EventSettings, SpectrumSettings
from hexlive.reconstruct.components import ComponentSettings
from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.reconstruct.density import DensitySettings
from hexlive.reconstruct.drift import DriftSettings
from hexlive.reconstruct.pooling import PoolingSettings
from hexlive.reconstruct.registration.registration_settings import RegistrationSettings
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.live_slice import LiveScanSettings

Settings = TypeVar("Settings")


class ConfigError(ValueError):
    """A configuration that cannot be used; the sentence says where and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorSettings:
    """The camera. ``modules`` is its grid of modules (down, across)."""

    rows: int = 80
    columns: int = 80
    pitch_mm: float = 0.25
    frame_rate_hz: float = 9000.0
    modules: tuple[int, int] = (1, 1)
    calibration: str | None = None

    def __post_init__(self) -> None:
        """Refuse a camera without pixels, or modules that do not tile it.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        measures = self.rows, self.columns, self.pitch_mm, self.frame_rate_hz
        if not all(0 < value < math.inf for value in measures):
            raise ValueError(
                "detector: rows, columns, pitch_mm and frame_rate_hz must be positive."
            )
        if min(self.modules) < 1 or self.rows % self.modules[0] or self.columns % self.modules[1]:
            raise ValueError(
                f"detector.modules {list(self.modules)} do not tile {self.rows} x {self.columns}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSettings:
    """Where frames come from and results go.

    Attributes
    ----------
    input
        Address of the data leg. ``@`` in front binds (the default here), ``>`` connects;
        ``odin+tcp://host:5020`` subscribes to odin's LiveView.
    inputs
        Instead of ``input``: an address per module of the camera, row by row; (): one stream.
    dataset
        The frames of a LiveView to take; None: "raw_frames", or "processed_frames" if calibrated.
    publish
        Address of the display leg, bound; None: no monitor can attach.
    commands
        Address on which people may mark states, restart the last seconds, or have a CT scan
        reconstructed now, bound; None: nobody can.
    record
        Recording to write; None: none.
    record_as, record_listing_adu
        "frames": whole. "events": lists of the pixels that reach so many ADU, a number or the name
        of a map (``.npy``).
    result
        Result file to write.
    high_water_mark_mb
        Bound on frames in flight, in MB.
    on_gap
        "count": missing frames are counted and shown. "fail": the first one ends the run.
    idle_timeout_s
        End the series when nothing arrived for so long; None: wait for ever.
    """

    input: str = "tcp://127.0.0.1:5555"
    inputs: tuple[str, ...] = ()
    dataset: str | None = None
    publish: str | None = "tcp://127.0.0.1:5556"
    commands: str | None = None
    record: str | None = None
    record_as: Literal["frames", "events"] = "frames"
    record_listing_adu: float | str | None = None
    result: str = "result.nxs"
    high_water_mark_mb: float = 256.0
    on_gap: Literal["count", "fail"] = "count"
    idle_timeout_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse a stream that could not flow.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        for name in ("high_water_mark_mb", "idle_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"stream.{name} must be positive, not {value}.")
        if (self.record_as == "events") != (self.record_listing_adu is not None):
            raise ValueError(
                'stream.record_as = "events" and stream.record_listing_adu go together.'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorSettings:
    """What monitors are told: ``rate_hz`` snapshots per second on the display leg."""

    rate_hz: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a rate that is none.

        Raises
        ------
        ValueError
            The rate is not positive.
        """
        if not 0 < self.rate_hz < math.inf:
            raise ValueError(f"monitor.rate_hz must be positive, not {self.rate_hz}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdviceSettings:
    """When the display leg advises; the target of sigma/EMF is ``pooling.target_relative_sigma``.

    Attributes
    ----------
    target_counts
        Compton counts of an exposure that suffice, all valid pixels together; None: no such target.
    loss_percent
        Missing frames of an exposure beyond which there is an alarm, %.
    occupancy_percent
        Hit pixels per frame beyond which there is an alarm, %.
    stale_s
        Time without a frame in an exposure after which there is an alarm, s.
    """

    target_counts: float | None = None
    loss_percent: float = 0.0
    occupancy_percent: float = 10.0
    stale_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse limits that are none.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        for name in ("target_counts", "occupancy_percent", "stale_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"advice.{name} must be positive, not {value}.")
        if not 0 <= self.loss_percent <= 100:
            raise ValueError(f"advice.loss_percent must be 0 to 100, not {self.loss_percent}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SecuritySettings:
    """Who may speak: ``keys`` is the folder of CurveZMQ keys of both legs; None: no keys."""

    keys: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of the keys."""
        return None if self.keys is None else Path(self.keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything that can be set; the defaults are those of Huang et al. (2024)."""

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    events: EventSettings = field(default_factory=EventSettings)
    spectrum: SpectrumSettings = field(default_factory=SpectrumSettings)
    compton: ComptonSettings = field(default_factory=ComptonSettings)
    pooling: PoolingSettings = field(default_factory=PoolingSettings)
    density: DensitySettings = field(default_factory=DensitySettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    components: ComponentSettings = field(default_factory=ComponentSettings)
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    tomography: TomographySettings = field(default_factory=TomographySettings)
    live_scan: LiveScanSettings = field(default_factory=LiveScanSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    facility: FacilitySettings = field(default_factory=FacilitySettings)
    advice: AdviceSettings = field(default_factory=AdviceSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)

    def __post_init__(self) -> None:
        """Refuse tables that contradict each other.

        Raises
        ------
        ValueError
            Electron densities without the efficiency of the sensor, or streams that are not one per
            module.
        """
        n_modules = math.prod(self.detector.modules)
        if self.stream.inputs and len(self.stream.inputs) != n_modules:
            raise ValueError(
                f"stream.inputs has {len(self.stream.inputs)} addresses, but detector.modules = "
                f"{list(self.detector.modules)} are {n_modules}."
            )
        if self.density.flux_per_mm2_s is not None and not self.compton.efficiency:
            raise ValueError(
                "Electron densities need the efficiency of the sensor: set compton.efficiency = "
                "true, or leave density.flux_per_mm2_s out."
            )


def load_config(path: Path | None) -> Config:
    """Read a TOML file; None gives the defaults.

    Raises
    ------
    ConfigError
        Not readable, not TOML, an unknown key (with the nearest known one), a bad value.
    """
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    _refuse_unknown_keys(table, Config, str(path))
    try:
        return msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def to_toml(config: Config) -> str:
    """Write the full configuration as TOML, as stored in every result; unset keys are left out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _refuse_unknown_keys(table: dict[str, Any], kind: type, where: str) -> None:
    known = typing.get_type_hints(kind)
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}."
            raise ConfigError(f"{where}: unknown key {key!r}.{hint}")
        if dataclasses.is_dataclass(known[key]):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {key!r} must be a table.")
            _refuse_unknown_keys(value, typing.cast(type, known[key]), f"{where} [{key}]")


def with_overrides(settings: Settings, stated: dict[str, object], table: str) -> Settings:
    """Replace the fields that a command line states; None leaves a field alone.

    Raises
    ------
    ConfigError
        A value does not fit its field.
    """
    fields = msgspec.to_builtins(settings)
    fields.update({name: value for name, value in stated.items() if value is not None})
    try:
        return msgspec.convert(fields, type(settings))
    except msgspec.ValidationError as error:
        raise ConfigError(f"[{table}]: {error}") from error
