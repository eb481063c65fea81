"""The checkpoint of a live run: a folder beside its result, from which a killed run goes on.

``run.json`` says what the run was made with and which recordings it has. ``exposure_0001.h5`` and
on have the counts of one exposure each, and what the run knew when the file was written; the newest
is written again and again while its exposure lasts. ``scan_0001.h5`` and on have what is known of
each CT scan. Every file is whole or absent.
"""

import shutil
import tomllib
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import hdf5plugin
import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts
from hexlive.stream.config import (
    Config,
    MonitorSettings,
    SecuritySettings,
    StreamSettings,
    to_toml,
)
from hexlive.stream.disk import new_hdf5
from hexlive.stream.exposure import Range, Totals
from hexlive.stream.files import FileError, opened, whole_or_absent
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.ledger import LedgerState
from hexlive.stream.model import CtView, Frames, Message, Segment
from hexlive.stream.recorder import scan_name
from hexlive.stream.views import MarkView

SUFFIX: Final = ".checkpoint"
RUN: Final = "run.json"
REMEDY: Final = "hexlive run --fresh keeps it aside and starts anew"
Arrays = dict[str, NDArray[Any]]


class MadeWith(msgspec.Struct, frozen=True, kw_only=True):
    """What decides on counts; a run can only go on with the same."""

    version: str
    calibration_id: str
    chain: str
    config: str

    def difference(self, other: "MadeWith") -> str | None:
        """The first thing that the other has otherwise; None: nothing."""
        for name in ("version", "calibration_id", "chain"):
            if getattr(self, name) != getattr(other, name):
                return f"{name} {getattr(self, name)}, not {getattr(other, name)}"
        one, two = tomllib.loads(self.config), tomllib.loads(other.config)
        for table in one | two:
            mine, theirs = one.get(table, {}), two.get(table, {})
            for key in mine | theirs:
                if mine.get(key) != theirs.get(key):
                    return f"{table}.{key} = {mine.get(key)}, not {theirs.get(key)}"
        return None


def deciding(config: Config) -> str:
    """The part of the configuration that decides on counts and on what is made of them, TOML."""
    detector = replace(config.detector, calibration=None)
    return to_toml(
        replace(
            config,
            detector=detector,
            stream=StreamSettings(),
            monitor=MonitorSettings(),
            facility=FacilitySettings(),
            security=SecuritySettings(),
        )
    )


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run.json`` says; ``recordings`` and ``started`` grow with every start."""

    made_with: MadeWith
    recordings: list[str] = []
    started: list[str] = []


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a recording: so many frames, and so many messages that are not frames, before."""

    recording: str
    n_messages: int = 0
    n_frames: int = 0

    def after(self, message: Message) -> "Position":
        """The place behind a message that stands here."""
        if isinstance(message, Frames):
            return msgspec.structs.replace(self, n_frames=self.n_frames + len(message.frames))
        return msgspec.structs.replace(self, n_messages=self.n_messages + 1)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What a run knew at one moment, but for arrays.

    Attributes
    ----------
    final
        The exposure is over.
    segment, totals
        Of the exposure.
    missing, unlisted
        Of one that is over; those of the present one are the ledger's.
    rejected
        Of the run so far.
    position
        In the recordings; None: nothing has been recorded.
    scan_position
        Where the CT scan that is under way begins in them.
    numbers, dropped_hits
        The counts that are no arrays.
    marks
        What people noted so far.
    """

    final: bool
    segment: Segment
    totals: Totals
    missing: list[Range]
    unlisted: int
    frame_rate_hz: float
    ledger: LedgerState
    rejected: dict[str, int]
    position: Position | None
    scan_position: Position | None
    numbers: dict[str, int]
    dropped_hits: dict[str, int]
    marks: list[MarkView] = []


NUMBERS: Final = ("booked_hits", "under_hits", "over_hits", "n_frames")
MAPS: Final = tuple(
    field.name for field in fields(Counts) if field.name not in (*NUMBERS, "dropped_hits")
)
VIEW: Final = "view"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One exposure file: what the run knew, the counts, further arrays by group."""

    moment: Moment
    counts: Counts
    cycler: NDArray[np.float64]
    drift: Arrays


def write_exposure(path: Path, kept: Kept) -> None:
    """Write one exposure file, whole or not at all.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full.
    """
    maps = {name: getattr(kept.counts, name) for name in MAPS}
    with whole_or_absent(path) as part, new_hdf5(part) as file:
        file["moment"] = np.void(msgspec.json.encode(kept.moment))
        file["cycler"] = kept.cycler
        for name, array in maps.items():
            if array is not None:
                packing = hdf5plugin.Bitshuffle(cname="lz4") if array.ndim == 3 else {}
                file.create_dataset(f"counts/{name}", data=array, **packing)
        for name, array in kept.drift.items():
            file[f"drift/{name}"] = array


def read_exposure(path: Path) -> Kept:
    """Read one exposure file.

    Raises
    ------
    FileError
        It is damaged.
    """
    try:
        with opened(path) as file:
            moment = msgspec.json.decode(file["moment"][()].tobytes(), type=Moment)
            parts: dict[str, Any] = {"single_spectra": None, **moment.numbers}
            parts |= {name: values[()] for name, values in file["counts"].items()}
            return Kept(
                moment=moment,
                counts=Counts(**parts, dropped_hits=moment.dropped_hits),
                cycler=file["cycler"][()],
                drift={name: values[()] for name, values in file["drift"].items()},
            )
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise damaged(path, error) from error


def write_scan_view(path: Path, view: CtView) -> None:
    """Write what is known of a CT scan, whole or not at all.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full.
    """
    values = {name: getattr(view, name) for name in view.__struct_fields__}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = msgspec.structs.replace(view, **dict.fromkeys(arrays))
    with whole_or_absent(path) as part, new_hdf5(part) as file:
        file[VIEW] = np.void(msgspec.json.encode(plain))
        for name, array in arrays.items():
            file[name] = array


def read_scan_view(path: Path) -> CtView:
    """Read what was known of a CT scan.

    Raises
    ------
    FileError
        It is damaged.
    """
    try:
        with opened(path) as file:
            view = msgspec.json.decode(file[VIEW][()].tobytes(), type=CtView)
            arrays = {name: values[()] for name, values in file.items() if name != VIEW}
            return msgspec.structs.replace(view, **arrays)
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> FileError:
    """The sentence for a part of a checkpoint that cannot be used."""
    return FileError(f"The checkpoint {path} is damaged ({error}); {REMEDY}.")


class CheckpointFolder:
    """The folder of one result file."""

    def __init__(self, result: Path) -> None:
        self.path = result.with_name(result.name + SUFFIX)

    def open(self, made_with: MadeWith) -> RunFile | None:
        """What an earlier start of the same run left; None: there was none.

        Raises
        ------
        FileError
            It cannot be read, or was made with something else.
        """
        path = self.path / RUN
        if not path.exists():
            return None
        try:
            run = msgspec.json.decode(path.read_bytes(), type=RunFile)
        except (OSError, msgspec.MsgspecError) as error:
            raise damaged(path, error) from error
        if difference := run.made_with.difference(made_with):
            raise FileError(
                f"The killed run in {self.path} was made with {difference}: run with the same to "
                f"go on with it; {REMEDY}."
            )
        return run

    def write(self, run: RunFile) -> None:
        """Write ``run.json``; the folder is made where there is none.

        Raises
        ------
        FileError
            The folder cannot be written to.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise FileError(f"Cannot make {self.path}: {error.strerror}.") from error
        with whole_or_absent(self.path / RUN) as part:
            part.write_bytes(msgspec.json.encode(run))

    def exposure(self, number: int) -> Path:
        """The file of an exposure, counted from 1."""
        return self.path / f"exposure_{number:04d}.h5"

    def scan(self, number: int) -> Path:
        """The file of a CT scan."""
        return self.path / f"{scan_name(number)}.h5"

    def exposures(self) -> list[Path]:
        """The files of all exposures, in order.

        Raises
        ------
        FileError
            One of them is gone.
        """
        found = list(self.path.glob("exposure_*.h5"))
        paths = [self.exposure(number) for number in range(1, len(found) + 1)]
        if absent := set(paths) - set(found):
            raise FileError(f"The checkpoint lacks {min(absent)}; {REMEDY}.")
        return paths

    @property
    def empty(self) -> bool:
        """Nothing has been counted yet."""
        return not any(self.path.glob("exposure_*.h5"))

    def scans(self) -> list[CtView]:
        """What is known of each scan, in order."""
        return [read_scan_view(path) for path in sorted(self.path.glob("scan_*.h5"))]

    def move_aside(self) -> Path | None:
        """Keep it under another name; None: there is none."""
        if not self.path.exists():
            return None
        names = (self.path.with_name(f"{self.path.name}_{number}") for number in count(1))
        aside = next(name for name in names if not name.exists())
        return self.path.rename(aside)

    def remove(self) -> None:
        """The run is over and its result is there; half a folder is never taken for a whole."""
        done = self.path.with_name(self.path.name + ".done")
        shutil.rmtree(done, ignore_errors=True)
        if self.path.exists():
            self.path.rename(done)
            shutil.rmtree(done, ignore_errors=True)
