"""Files of battery cyclers: Battery Data Format (CSV), and Gamry's ``.DTA``.

Both become a log on the cycler's own clock. What to add to it is for the user to say.
"""

import csv
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from hexlive.reconstruct.charge import CyclerLog, require_cover
from hexlive.stream.export.measured import exposure_times_s
from hexlive.stream.files import FileError
from hexlive.stream.model import AnyMessage, Cycler, Start
from hexlive.stream.pipeline import Source

# https://w3id.org/battery-data-alliance/ontology/battery-data-format: name and label of a column.
BDF_COLUMNS: Final = {
    "unix_time_second": "Unix Time / s",
    "voltage_volt": "Voltage / V",
    "current_ampere": "Current / A",
    "net_capacity_ah": "Net Capacity / Ah",
}
BDF_REQUIRED: Final = ("unix_time_second", "voltage_volt", "current_ampere")

# Seconds since the start of the experiment, measured voltage, measured current.
GAMRY_COLUMNS: Final = ("T", "Vf", "Im")
GAMRY_SUFFIX: Final = ".dta"
# Tables of data begin with this word; that of the rest before the experiment is another clock.
GAMRY_TABLE: Final = "CURVE"

LOG: Final = logging.getLogger(__name__)

Row = tuple[float, ...]


def read_cycler(path: Path) -> CyclerLog:
    """Read a cycler's file, by its suffix: ``.DTA`` is Gamry's, everything else is BDF.

    The time of a BDF file is Unix time by the cycler's clock. That of a DTA file counts from the
    start of its experiment, so the offset of its clock is the Unix time of that start.

    Raises
    ------
    FileError
        Not readable, a column is missing, or what it holds is no log.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise FileError(f"Cannot read the cycler file {path}: {error.strerror}.") from error
    gamry = path.suffix.lower() == GAMRY_SUFFIX
    rows = list((_gamry_rows if gamry else _bdf_rows)(text, path))
    if not rows:
        raise FileError(f"{path} has no rows of data.")
    columns = np.array(rows, dtype=np.float64).T
    capacity = columns[3] if len(columns) > 3 and np.isfinite(columns[3]).all() else None
    try:
        return CyclerLog(
            time_s=columns[0],
            voltage_volt=columns[1],
            current_ampere=columns[2],
            capacity_ah=capacity,
        )
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error


def _bdf_rows(text: str, path: Path) -> Iterator[Row]:
    """Time, voltage, current and net capacity (NaN where there is none)."""
    lines = csv.reader(text.splitlines())
    header = [name.strip() for name in next(lines, [])]
    found = {
        name: header.index(each)
        for name, label in BDF_COLUMNS.items()
        for each in (name, label)
        if each in header
    }
    _refuse_missing([name for name in BDF_REQUIRED if name not in found], header, path)
    for number, cells in enumerate(lines, start=2):
        if any(cells):
            yield tuple(
                _number(cells, found[name], path, number) if name in found else math.nan
                for name in BDF_COLUMNS
            )


def _gamry_rows(text: str, path: Path) -> Iterator[Row]:
    """Time, voltage and current of all data tables, one after the other."""
    lines = list(enumerate(text.splitlines(), start=1))
    tables = [
        at for at, (_, line) in enumerate(lines)
        if line.startswith(GAMRY_TABLE) and line.split("\t")[1:2] == ["TABLE"]
    ]  # fmt: skip
    if not tables:
        raise FileError(f"{path} has no CURVE table, so it is not a Gamry file with rows of data.")
    for at in tables:
        header = lines[at + 1][1].split("\t") if at + 1 < len(lines) else []
        _refuse_missing([name for name in GAMRY_COLUMNS if name not in header], header, path)
        columns = [header.index(name) for name in GAMRY_COLUMNS]
        for number, line in lines[at + 3 :]:  # a line of units comes between
            if not line.startswith("\t"):
                break
            # Tabs separate, so a comma can only be the decimal mark of the computer's language.
            cells = line.replace(",", ".").split("\t")
            yield tuple(_number(cells, column, path, number) for column in columns)


def _refuse_missing(missing: Sequence[str], header: Sequence[str], path: Path) -> None:
    if missing:
        there = ", ".join(filter(None, header)) or "nothing"
        raise FileError(f"{path} has no column {', '.join(missing)}; it has {there}.")


def _number(cells: Sequence[str], column: int, path: Path, line: int) -> float:
    try:
        return float(cells[column])
    except (ValueError, IndexError):
        what = cells[column] if column < len(cells) else "nothing"
        raise FileError(
            f"{path}, line {line}: {what!r} in column {column + 1} is not a number."
        ) from None


class WithCycler:
    """A source with the rows of a cycler's file in place of those that it has itself.

    Parameters
    ----------
    log
        On the clock of the run.
    """

    def __init__(self, source: Source, log: CyclerLog) -> None:
        self.live, self.rejected = source.live, source.rejected
        self._source, self._log = source, log

    def __iter__(self) -> Iterator[AnyMessage | None]:
        told = False
        for message in self._source:
            if isinstance(message, Cycler):
                continue
            yield message
            if isinstance(message, Start) and not told:
                told = True
                yield from cycler_messages(self._log, message.series)


def cycler_messages(log: CyclerLog, series: str) -> Iterator[Cycler]:
    """The rows of a log as messages; a capacity that was not counted is NaN."""
    capacity = np.full(log.time_s.size, np.nan) if log.capacity_ah is None else log.capacity_ah
    columns = log.time_s, log.voltage_volt, log.current_ampere, capacity
    for time_s, volt, ampere, ah in zip(*(column.tolist() for column in columns), strict=True):
        yield Cycler(
            series=series,
            time_s=time_s,
            voltage_volt=volt,
            current_ampere=ampere,
            capacity_ah=ah,
        )


def note_clock(log: CyclerLog, result: Path) -> None:
    """Warn of a log that covers no exposure of a result, and keep that in its notes."""
    try:
        require_cover(log, *exposure_times_s(result))
    except ValueError as error:
        LOG.warning(str(error))
        _append_note(result, str(error))


def _append_note(result: Path, note: str) -> None:
    with h5py.File(result, "r+") as file:
        process = file["entry/process"]
        notes = [process["notes"].asstr()[()]] if "notes" in process else []
        if notes:
            del process["notes"]
        process["notes"] = "\n".join([*notes, note])
