"""The CT leg: projections to a scan file; at scan end, a reconstruction in its own process."""

import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import msgspec

from hexlive.reconstruct.tomography import TomographySettings
from hexlive.stream.model import CtView, Message, Projections, ScanEnd, ScanStart
from hexlive.stream.nxtomo import ScanFile
from hexlive.stream.reconstruction import reconstruct_file, warm_up
from hexlive.stream.recorder import scan_name
from hexlive.stream.results import CtResult

WORKER_NICENESS: Final = 10
ATTEMPTS: Final = 2


@dataclass(frozen=True)
class _Job:
    future: "Future[dict[str, Any]]"
    path: Path
    attempt: int


class TomographyReducer:
    """Spools each CT scan to an NXtomo file and has it reconstructed when the scan ends.

    The worker is another process at low priority, so the spectra never wait for it. One that dies
    is replaced and the scan tried once more.

    Parameters
    ----------
    folder
        Where ``scan_0001.nxs`` and ``scan_0001_volume.nxs`` go.
    """

    def __init__(self, settings: TomographySettings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._file: ScanFile | None = None
        self._scans: dict[int, CtView] = {}
        self._jobs: dict[int, _Job] = {}
        self._pool: ProcessPoolExecutor | None = None

    @property
    def busy(self) -> bool:
        """A reconstruction is still to come."""
        self._collect()
        return bool(self._jobs)

    def add(self, message: Message) -> None:
        """Take a part of a scan."""
        match message:
            case ScanStart():
                self._begin(message)
            case Projections(scan=scan) if self._collecting(scan):
                self._append(message)
            case ScanEnd(scan=scan) if self._collecting(scan):
                self._end(message)

    def snapshot(self) -> CtResult:
        """Where every scan of this run stands."""
        self._collect()
        return CtResult(scans=tuple(self._scans.values()))

    def clear(self) -> None:
        """Forget finished scans; those under way go on."""
        self._scans = {n: view for n, view in self._scans.items() if n in self._jobs}

    def close(self) -> None:
        """Drop a scan that has not ended, and end the worker."""
        if self._file is not None:
            self._file.discard()
            self._file = None
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _collecting(self, scan: int) -> bool:
        view = self._scans.get(scan)
        return self._file is not None and view is not None and view.status == "collecting"

    def _begin(self, start: ScanStart) -> None:
        if self._file is not None:
            self._file.discard()
        path = self._folder / f"{scan_name(start.scan)}.nxs"
        self._file = ScanFile(path, (start.rows, start.columns), pixel_um=start.pixel_um)
        self._scans[start.scan] = CtView(
            scan=start.scan,
            state=start.state,
            status="collecting",
            note="",
            n_images=0,
            n_expected=start.n_images,
            pixel_um=start.pixel_um,
        )
        self._warm_up()

    def _append(self, message: Projections) -> None:
        assert self._file is not None
        self._file.append(message.images, message.angles_deg, message.image_key)
        n_images = self._scans[message.scan].n_images + len(message.images)
        self._update(message.scan, n_images=n_images)

    def _end(self, end: ScanEnd) -> None:
        assert self._file is not None
        path = self._file.close()
        self._file = None
        lost = end.n_images - self._scans[end.scan].n_images
        note = f"{lost} of {end.n_images} images did not arrive." if lost else ""
        self._update(end.scan, status="reconstructing", note=note)
        self._submit(end.scan, path, attempt=1)

    def _submit(self, scan: int, path: Path, attempt: int) -> None:
        volume = path.with_name(f"{path.stem}_volume.nxs")
        future = self._workers().submit(reconstruct_file, path, self._settings, volume)
        self._jobs[scan] = _Job(future, path, attempt)

    def _collect(self) -> None:
        """Take what the worker has finished."""
        for scan, job in list(self._jobs.items()):
            if not job.future.done():
                continue
            del self._jobs[scan]
            error = job.future.exception()
            if error is None:
                known = job.future.result()
                known["note"] = f"{self._scans[scan].note} {known['note']}".strip()
                self._update(scan, status="done", **known)
            elif isinstance(error, BrokenProcessPool) and job.attempt < ATTEMPTS:
                self._pool = None
                self._submit(scan, job.path, job.attempt + 1)
            else:
                self._update(scan, status="failed", note=str(error))

    def _update(self, scan: int, **changes: Any) -> None:
        self._scans[scan] = msgspec.structs.replace(self._scans[scan], **changes)

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=_lower_priority)
        return self._pool

    def _warm_up(self) -> None:
        """Have the worker import everything while the projections are still coming in."""
        self._workers().submit(warm_up, self._settings)


def _lower_priority() -> None:
    """Let the spectra go first; leave Ctrl-C to the parent, which ends the worker itself."""
    os.nice(WORKER_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
