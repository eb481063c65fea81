"""Where reports go: the result file (NeXus/HDF5), whole or absent."""

import logging
import math
import platform
import shlex
import socket
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from hexlive.stream.ct_pooling import ANODE_REGION
from hexlive.stream.disk import claim
from hexlive.stream.drift import DriftResult, write_drift
from hexlive.stream.files import FileError, new_group, part_of, publish, require_room
from hexlive.stream.pipeline import Report, Sink
from hexlive.stream.recorder import scan_name
from hexlive.stream.results import ComptonResult, CtResult, CyclerResult, MarksResult
from hexlive.stream.segments import mark_plot, write_arrays, write_segment
from hexlive.stream.views import CtView

CT_NUMBERS: Final = (
    "ra_um", "ra_sigma_um", "rq_um", "rq_sigma_um", "anode_volume_um3", "anode_volume_sigma_um3",
)  # fmt: skip
REGION_OF: Final = {"cathode": 1, "electrolyte": 2, "anode": ANODE_REGION}
LOG: Final = logging.getLogger(__name__)


class ResultFile:
    """The result of a run: written beside its final name, renamed when complete.

    Where it cannot be written (disk full, folder gone), the run may go on without it: that is said
    at once, and `close` fails.

    Parameters
    ----------
    path
        Final name; an older result of this name is replaced only at the end.
    process
        What to store in ``/entry/process``: name to text.

    Attributes
    ----------
    fault
        Why there will be no result; None: there will be one.

    Raises
    ------
    FileError
        The folder cannot be written to, or another run is writing this result.
    """

    def __init__(self, path: Path, energy_edges_kev: Any, process: dict[str, str]) -> None:
        self.path, self._part = path, part_of(path)
        self._edges = energy_edges_kev
        self.fault: str | None = None
        try:
            self._disk = claim(self._part)
        except BlockingIOError as error:
            raise FileError(f"Cannot write {path}: another run is writing it.") from error
        except OSError as error:
            raise FileError(f"Cannot write {path}: {error.strerror or error}.") from error
        self._file = h5py.File(self._disk, "w")
        self._entry = new_group(self._file, "entry", "NXentry")
        self._file.attrs["default"] = "entry"
        _write_process(self._entry, process)
        self._n_segments = 0
        self._last: Report | None = None

    def put(self, report: Report) -> None:
        """Write an exposure that is over; keep the last report for what comes at the end."""
        self._last = report
        result = report.find(ComptonResult)
        if report.final and result is not None and result.segment is not None and not self.fault:
            try:
                self._write_exposure(report, result)
            except OSError as error:
                self.fault = f"No result: {error}"
                LOG.error("%s A live run goes on without it.", self.fault)

    def close(self) -> None:
        """Write components, trend, CT and cycler, then give the file its name.

        Raises
        ------
        OSError
            The disk is full or gone, or was before.
        """
        if not self._file:
            return
        if self.fault:
            raise OSError(self.fault)
        require_room(self.path, 0)
        if self._last is not None:
            self._write_whole_run(self._last)
        self._file.close()
        self._disk.require_sound()
        publish(self._part, self.path)
        self._disk.close()

    def discard(self) -> None:
        """Give up: leave nothing behind."""
        self._file.close()
        if not self._disk.closed:
            self._part.unlink(missing_ok=True)
            self._disk.close()

    def _write_exposure(self, report: Report, result: ComptonResult) -> None:
        require_room(self.path, result.counts.spectra.nbytes)
        self._n_segments += 1
        name = f"segment_{self._n_segments:04d}"
        write_segment(new_group(self._entry, name), report, result, self._edges)
        self._entry.attrs["default"] = name
        self._file.flush()
        self._disk.require_sound()

    def _write_whole_run(self, report: Report) -> None:
        totals = report.totals
        self._entry.attrs["frames_expected"] = totals.expected
        self._entry.attrs["frames_received"] = totals.received
        self._entry.attrs["frames_lost"] = totals.lost
        rejected = new_group(self._entry, "rejected")
        rejected.attrs.update(dict(report.rejected))
        if (compton := report.find(ComptonResult)) is not None:
            _write_components(new_group(self._entry, "components"), compton, self._edges)
            _write_trend(new_group(self._entry, "trend", "NXdata"), compton, report.find(CtResult))
        if (ct := report.find(CtResult)) is not None and ct.scans:
            parent = new_group(self._entry, "ct")
            for scan in ct.scans:
                _write_scan(new_group(parent, scan_name(scan.scan)), scan)
        if (drift := report.find(DriftResult)) is not None and drift.points:
            write_drift(new_group(self._entry, "drift"), drift)
        if (cycler := report.find(CyclerResult)) is not None and cycler.rows:
            _write_cycler(new_group(self._entry, "cycler", "NXdata"), cycler)
        if (marks := report.find(MarksResult)) is not None and marks.marks:
            _write_marks(new_group(self._entry, "marks"), marks)


class Thinned:
    """Passes on what is final, and of other reports one per interval at most."""

    def __init__(self, sink: Sink[Report], interval_s: float) -> None:
        self._sink, self._interval_s = sink, interval_s
        self._passed_s = -math.inf

    def put(self, report: Report) -> None:
        """Pass a report on, or leave it out."""
        now_s = time.monotonic()
        if report.final or report.stopped or now_s - self._passed_s >= self._interval_s:
            self._passed_s = now_s
            self._sink.put(report)

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()


def _write_process(entry: h5py.Group, process: dict[str, str]) -> None:
    group = new_group(entry, "process", "NXprocess")
    group["program"] = "hexlive"
    group["version"] = version("hexlive")
    group["date"] = datetime.now(UTC).isoformat()
    group["host"] = socket.gethostname()
    group["python"] = platform.python_version()
    group["command"] = shlex.join(sys.argv)
    for name, text in process.items():
        group[name] = text


def _write_components(group: h5py.Group, result: ComptonResult, edges: Any) -> None:
    for state, parts in sorted(result.components.items()):
        for name, part in parts.items():
            one = group.require_group(name).create_group(f"state_{state}")
            one.attrs["NX_class"] = "NXcollection"
            one.attrs["normalised_by"] = part.normalised_by
            one.attrs["live_time_s"] = result.component_live_time_s[state][name]
            one.attrs["time_to_target_s"] = result.component_time_s(state, name)
            mixed = result.mixing[state]
            one.attrs["li_in_region_1"] = mixed.li_in_region_1
            one.attrs["li_in_region_2"] = mixed.li_in_region_2
            one.attrs["volume_mm3"] = getattr(mixed.volumes, f"{name}_mm3")
            one.attrs["fractions_from"] = (
                "configuration" if mixed is result.config.components else "ct"
            )
            write_arrays(
                one,
                {
                    "spectrum": part.spectrum,
                    "spectrum_sigma": np.sqrt(part.spectrum_variance),
                    "energy_edges_kev": edges,
                    "profile/pz_au": part.profile.pz_au,
                    "profile/j": part.profile.j,
                    "profile/j_sigma": part.profile.j_sigma,
                    "emf": part.windows.emf,
                    "emf_sigma": part.windows.sigma,
                },
            )
            mark_plot(one["profile"], "j", ["pz_au"])


def _write_trend(group: h5py.Group, result: ComptonResult, ct: CtResult | None) -> None:
    """One row per state and component or mask of the CT; the anode's has what its scan measured."""
    scans = {scan.state: scan for scan in (ct.scans if ct else ()) if scan.status == "done"}
    rows = result.trend()
    if not rows:
        return
    columns: dict[str, Any] = {"state": np.array([row.state for row in rows])}
    columns["region"] = np.array([REGION_OF.get(row.component, ANODE_REGION) for row in rows])
    columns["time"] = np.array([_or_nan(row.time_s) for row in rows])
    for name in ("soc", "emf", "emf_sigma"):
        columns[name] = np.array([_or_nan(getattr(row, name)) for row in rows])
    of_row = [scans.get(row.state) if row.component == "anode" else None for row in rows]
    for name in CT_NUMBERS:
        columns[name] = np.array([_or_nan(getattr(scan, name, None)) for scan in of_row])
    write_arrays(group, columns)
    group.create_dataset(
        "component", data=[row.component for row in rows], dtype=h5py.string_dtype()
    )
    mark_plot(group, "emf", ["state"])


def _write_scan(group: h5py.Group, scan: CtView) -> None:
    for name in ("scan", "state", "status", "note", "n_images", "n_expected", "pixel_um",
                 "started_s"):  # fmt: skip
        if (value := getattr(scan, name)) is not None:
            group.attrs[name] = value
    for name in ("centre_px", "engine", "seconds", *CT_NUMBERS, "void_volume_um3", "n_voids",
                 "tortuosity_factor", "effective_diffusivity", "volume_file"):  # fmt: skip
        if (value := getattr(scan, name)) is not None:
            group[name] = value
    for name, measured_s in (("durations", scan.durations_s), ("delays", scan.delays_s)):
        times = new_group(group, name)
        for stage, seconds in measured_s.items():
            times[stage] = seconds
            times[stage].attrs["units"] = "s"
    if scan.volume_file is not None:
        group["volume"] = h5py.ExternalLink(scan.volume_file, "/entry/data/data")
    if scan.stages_xy is not None and scan.stages_xz is not None:
        stages = new_group(group, "stages", "NXdata")
        stages.attrs["names"], stages.attrs["voxel_um"] = scan.stage_names, scan.stages_voxel_um
        write_arrays(stages, {"xy": scan.stages_xy, "xz": scan.stages_xz})
        mark_plot(stages, "xy", [])
    if scan.surface_um is not None:
        write_arrays(new_group(group, "surface", "NXdata"), {"height_um": scan.surface_um})
        mark_plot(group["surface"], "height_um", [])
    slices = new_group(group, "orthoslices", "NXdata")
    arrays = {name: getattr(scan, name) for name in ("xy", "xz", "yz")}
    write_arrays(slices, {name: array for name, array in arrays.items() if array is not None})
    if scan.xy is not None:
        mark_plot(slices, "xy", [])


def _write_cycler(group: h5py.Group, cycler: CyclerResult) -> None:
    table = np.array(cycler.rows)
    for column, name in enumerate(("time_s", "voltage_volt", "current_ampere", "capacity_ah")):
        group[name] = table[:, column]
    mark_plot(group, "voltage_volt", ["time_s"])


def _write_marks(group: h5py.Group, marks: MarksResult) -> None:
    """One row per mark; -1 where a number is not known."""
    labels = [mark.label for mark in marks.marks]
    group.create_dataset("label", data=labels, dtype=h5py.string_dtype())
    columns: dict[str, Any] = {"time": np.array([mark.time_s for mark in marks.marks])}
    for name in ("frame", "segment", "state"):
        numbers = (getattr(mark, name) for mark in marks.marks)
        columns[name] = np.array([-1 if n is None else n for n in numbers], np.int64)
    columns["soc"] = np.array([_or_nan(mark.soc) for mark in marks.marks])
    write_arrays(group, columns)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
