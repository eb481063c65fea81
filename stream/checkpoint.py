"""The checkpoint of a live run: a folder beside its result, from which a killed run goes on.

``run.json`` says what the run was made with and which recordings it has. ``exposure_0001.h5`` and
on have the counts of one exposure each, and what the run knew when the file was written; the newest
is written again and again while its exposure lasts. ``scan_0001.h5`` and on have what is known of
each CT scan. Every file is whole or absent.
"""

import shutil
import tomllib
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from hexlive.stream.config import (
    AdviceSettings,
    Config,
    MonitorSettings,
    SecuritySettings,
    StreamSettings,
    to_toml,
)
from hexlive.stream.files import FileError, whole_or_absent
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.kept_exposures import REMEDY, damaged, read_scan_view
from hexlive.stream.recorder import scan_name
from hexlive.stream.views import CtView

SUFFIX: Final = ".checkpoint"
RUN: Final = "run.json"


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
            advice=AdviceSettings(),
            facility=FacilitySettings(),
            security=SecuritySettings(),
        )
    )


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run.json`` says; ``recordings`` and ``started`` grow with every start."""

    made_with: MadeWith
    recordings: list[str] = []
    started: list[str] = []


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
