"""What ``hexlive export`` writes: tables (trend, rates, components, marks...), spectra, plots."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.heterogeneity import DIAMETER_MM, heterogeneity
from hexlive.reconstruct.trend import rates, relative_to
from hexlive.stream.export.hxt import write_hxt
from hexlive.stream.export.measured import CT_COLUMNS, Measured, marks, spectra
from hexlive.stream.export.plots import draw_all
from hexlive.stream.export.tracking import Tracked, profiles
from hexlive.stream.files import whole_or_absent
from hexlive.stream.sheets import inert

SECONDS_PER_HOUR: Final = 3600.0

REGION: Final = "region_"
READINGS: Final = ("voltage_volt", "current_ampere", "soc_counted")

Row = dict[str, Any]


def products(
    measured: Measured, series: Sequence[Tracked], out: Path, *, plots: bool, hxt: bool = False
) -> Iterator[Path]:
    """Write everything into a folder, file by file; tables first, they need nothing more.

    Raises
    ------
    FileError
        The folder cannot be written to.
    PlottingUnavailableError
        ``plots`` without matplotlib; the tables are there.
    """
    yield write_table(out / "trend.csv", trend_rows(measured, series))
    yield write_table(out / "rates.csv", rate_rows(series))
    yield write_table(out / "components.csv", component_rows(measured))
    yield write_table(out / "profiles.csv", profile_rows(measured))
    if marked := marks(measured.path):
        yield write_table(out / "marks.csv", marked)
    if hxt:
        for name, counts, edges_kev in spectra(measured.path):
            yield write_hxt(out / f"{name}.hxt", counts, edges_kev, name)
    if plots:
        yield from draw_all(measured, series, out)


def trend_rows(measured: Measured, series: Sequence[Tracked]) -> Iterator[Row]:
    """One row per region or component and state."""
    for each in series:
        ratio, covariance = relative_to(each.emf, each.emf_sigma, 0)
        ratio_sigma = np.sqrt(np.diagonal(covariance))
        for i, state in enumerate(each.state):
            uneven = asdict(
                heterogeneity(each.maps[i], measured.position_mm, DIAMETER_MM[each.name])
            )
            yield {
                "name": each.name,
                "state": state,
                "time_s": each.middle_s[i],
                "duration_s": each.end_s[i] - each.begin_s[i],
                "soc": each.soc[i],
                "emf": each.emf[i],
                "emf_sigma": each.emf_sigma[i],
                "emf_over_first_state": ratio[i],
                "emf_over_first_state_sigma": ratio_sigma[i],
                **_relative_columns(measured, each.name, state),
                **{f"disk_{name}": value for name, value in uneven.items()},
                **_reading_columns(each.read, i),
                **_ct_columns(measured, each.name, state),
            }


def _relative_columns(measured: Measured, name: str, state: int) -> Row:
    """To the reference of the result, which only exposures have."""
    relative = sigma = np.nan
    if name.startswith(REGION):
        relative, sigma = measured.exposures[state, int(name.removeprefix(REGION))].relative
    return {"emf_relative": relative, "emf_relative_sigma": sigma}


def _reading_columns(read: Mapping[str, FloatArray], index: int) -> Row:
    names = [f"{name}{end}" for name in READINGS for end in ("", "_span")]
    return {name: read[name][index] if name in read else np.nan for name in names}


def _ct_columns(measured: Measured, name: str, state: int) -> Row:
    found = measured.ct.get(state, {}) if name == "anode" else {}
    return {column: found.get(column, np.nan) for column in CT_COLUMNS}


def rate_rows(series: Sequence[Tracked]) -> Iterator[Row]:
    """Changes of EMF between consecutive states, in the order of time."""
    for each in series:
        hours, independent = each.middle_s / SECONDS_PER_HOUR, np.diag(each.emf_sigma**2)
        ratio, shared = relative_to(each.emf, each.emf_sigma, 0)
        columns = {
            "demf": rates(each.emf, independent, np.arange(len(each.state), dtype=float)),
            "demf_per_hour": rates(each.emf, independent, hours),
            "demf_per_soc": rates(each.emf, independent, each.soc),
            "demf_relative_per_soc": rates(ratio, shared, each.soc),
        }
        for i in range(len(each.state) - 1):
            row: Row = {"name": each.name, "state": each.state[i], "next_state": each.state[i + 1]}
            for name, found in columns.items():
                row |= {name: found.value[i], f"{name}_sigma": found.sigma[i]}
            yield row


def component_rows(measured: Measured) -> Iterator[Row]:
    """One row per component, state and energy bin, per second of live time and mm3."""
    middle_kev = (measured.edges_kev[1:] + measured.edges_kev[:-1]) / 2
    for part in measured.components:
        columns = middle_kev, part.spectrum, part.spectrum_sigma
        for energy_kev, value, sigma in zip(*columns, strict=True):
            yield {
                "name": part.name,
                "state": part.state,
                "energy_kev": energy_kev,
                "counts_per_s_mm3": value,
                "counts_per_s_mm3_sigma": sigma,
            }


def profile_rows(measured: Measured) -> Iterator[Row]:
    """One row per profile and momentum; pz > 0 is above the Compton peak in energy."""
    for name, state, found in profiles(measured):
        for pz_au, j, sigma in zip(found.pz_au, found.j, found.j_sigma, strict=True):
            yield {"name": name, "state": state, "pz_au": pz_au, "j": j, "j_sigma": sigma}


def write_table(path: Path, rows: Iterable[Row]) -> Path:
    """Write rows as CSV (RFC 4180), numbers in full precision, nothing where there is no value, and
    no word that a spreadsheet would take for a formula.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """
    rows = list(rows)
    with whole_or_absent(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["name"])
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return path


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, float | np.floating):
        return repr(float(value)) if np.isfinite(value) else ""
    return value
