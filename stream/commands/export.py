"""``hexlive export``: tables and plots of a result file."""

import logging
import math
from pathlib import Path
from typing import Annotated, Final

import typer

from hexlive.reconstruct.charge import CyclerLog, doubt_of_charge
from hexlive.stream.commands.console import say
from hexlive.stream.commands.options import CyclerFile, CyclerOffset, cycler_log
from hexlive.stream.export.measured import Measured, read_result
from hexlive.stream.export.tables import products
from hexlive.stream.export.tracking import Electrochemistry, tracked
from hexlive.stream.files import FileError

KB: Final = 1000
LOG: Final = logging.getLogger(__name__)


def _positive(capacity_ah: float | None) -> float | None:
    if capacity_ah is not None and not 0 < capacity_ah < math.inf:
        raise typer.BadParameter(f"it must be above 0 A h, not {capacity_ah}.")
    return capacity_ah


def _fraction(soc: float) -> float:
    if not 0 <= soc <= 1:
        raise typer.BadParameter(f"it must be from 0 to 1, not {soc}.")
    return soc


def export(
    result: Annotated[Path, typer.Argument(help="Result file (NeXus).")],
    out: Annotated[Path, typer.Option(help="Folder for tables and plots.")],
    plots: Annotated[bool, typer.Option(help="Draw PNG files; needs matplotlib.")] = True,
    hxt: Annotated[bool, typer.Option(help="Also write each exposure as .hxt spectra.")] = False,
    cycler: CyclerFile = None,
    cycler_offset: CyclerOffset = None,
    capacity_ah: Annotated[
        float | None,
        typer.Option(
            help="Capacity of the cell, A h: counts the charge of the cycler to SoC.",
            callback=_positive,
        ),
    ] = None,
    initial_soc: Annotated[
        float,
        typer.Option(
            help="State of charge at the first row of the cycler, 0 to 1.", callback=_fraction
        ),
    ] = 0.0,
) -> None:
    """Write a result as tables (CSV), plots (PNG), and spectra (.hxt).

    Example: hexlive export result.nxs --out exported
    """
    measured = read_result(result)
    _say_doubts(measured)
    log = cycler_log(cycler, cycler_offset) if cycler else None
    fault = ""
    try:
        log = log or _own_log(measured, cycler_offset)
        chemistry = _chemistry(log, capacity_ah, initial_soc)
        series = tracked(measured, chemistry)
        _say_doubt(chemistry)
    except ValueError as error:
        series, fault = tracked(measured), f"The tables lack the cycler: {error}"
    make_folder(out)
    for path in products(measured, series, out, plots=plots, hxt=hxt):
        say(f"{path}  {path.stat().st_size / KB:.0f} kB")
    if fault:
        raise FileError(fault)


def _say_doubts(measured: Measured) -> None:
    """Repeat what the run doubted: whoever reads the tables may not have seen it."""
    for (state, region), exposed in measured.exposures.items():
        for doubt in exposed.doubts:
            LOG.warning("State %d, region %d: %s", state, region, doubt)


def _own_log(measured: Measured, offset_s: float | None) -> CyclerLog | None:
    """The rows of the result, moved once more where an offset is stated."""
    log = measured.cycler()
    return log.shifted(offset_s or 0.0) if log else None


def _chemistry(
    log: CyclerLog | None, capacity_ah: float | None, initial_soc: float
) -> Electrochemistry | None:
    if log is None and capacity_ah is not None:
        raise typer.BadParameter("--capacity-ah needs the rows of a cycler; name them: --cycler.")
    if log is None:
        return None
    return Electrochemistry(log=log, capacity_ah=capacity_ah, initial_soc=initial_soc)


def _say_doubt(chemistry: Electrochemistry | None) -> None:
    """Warn of a charge that the cell cannot hold."""
    if chemistry is None or chemistry.capacity_ah is None:
        return
    if doubt := doubt_of_charge(chemistry.quantities()["soc_counted"], chemistry.capacity_ah):
        LOG.warning(doubt)


def make_folder(out: Path) -> None:
    """Make a folder, unless it is there.

    Raises
    ------
    FileError
        That is not possible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"Cannot make the folder {out}: {error.strerror}.") from error
