"""The CT leg: projections to a scan file; at scan end, a reconstruction in its own process."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
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
FOUND_SCANS: Final = 1000
INTERRUPTED: Final = "The run was interrupted during this scan; what it had is in the recording."


class TomographyReducer:
    """Spools each CT scan to an NXtomo file and has it reconstructed when the scan ends.

    The worker is another process at low priority, so the spectra never wait for it. One that dies
    is replaced and the scan tried once more. Whatever goes wrong here is a note on the scan and
    never ends the run.

    Parameters
    ----------
    result
        Path of the result file; scans go beside it, as ``result_scan_0001.nxs`` and
        ``result_scan_0001_volume.nxs``.
    """

    def __init__(self, settings: TomographySettings, result: Path) -> None:
        self._settings, self._result = settings, result
        self._file: ScanFile | None = None
        self._scans: dict[int, CtView] = {}
        self._jobs: dict[int, _Job] = {}
        self._worker = _Worker()

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
            case ScanEnd(scan=scan, n_images=n_images) if self._collecting(scan):
                self._end(scan, n_images)

    def take(self, path: Path, n_images: int, state: int | None) -> None:
        """Have a scan file reconstructed that another program has finished.

        Such scans are numbered from 1001 on; those of the stream have the numbers below.
        """
        scan = max([FOUND_SCANS, *self._scans]) + 1
        self._scans[scan] = CtView(
            scan=scan,
            state=state,
            status="reconstructing",
            note=f"From {path.name}.",
            n_images=n_images,
            n_expected=n_images,
            pixel_um=self._settings.pixel_um,
        )
        self._submit(scan, path, attempt=1)

    def snapshot(self) -> CtResult:
        """Where every scan of this run stands."""
        self._collect()
        return CtResult(scans=tuple(self._scans.values()))

    def restore(self, scans: Sequence[CtView]) -> None:
        """Go on after a restart: reconstruct again what was not done."""
        for view in scans:
            self._scans[view.scan] = view
            path = self._path(view.scan)
            if view.status == "collecting":
                self._update(view.scan, status="failed", note=INTERRUPTED)
            elif view.status == "reconstructing" and path.exists():
                self._submit(view.scan, path, attempt=1)
            elif view.status == "reconstructing":
                note = f"{view.note} The run was interrupted before it was done.".strip()
                self._update(view.scan, status="failed", note=note)

    def finish(self) -> None:
        """Keep what came of a scan that has not ended."""
        self._drop("The run ended before the scan did.")

    def clear(self) -> None:
        """Give up the reconstructions under way; their scan files stay."""
        self._worker.kill()
        for scan in self._jobs:
            self._update(scan, status="failed", note="The run was stopped before it was done.")
        self._jobs.clear()

    def close(self) -> None:
        """Keep what came of a scan that has not ended, and end the worker."""
        self.finish()
        self._worker.close()

    def _collecting(self, scan: int) -> bool:
        view = self._scans.get(scan)
        return self._file is not None and view is not None and view.status == "collecting"

    def _begin(self, start: ScanStart) -> None:
        self._drop("Another scan began before this one ended.")
        self._scans[start.scan] = CtView(
            scan=start.scan,
            state=start.state,
            status="collecting",
            note="",
            n_images=0,
            n_expected=start.n_images,
            pixel_um=start.pixel_um,
            started_s=start.started_s,
        )
        shape = (start.rows, start.columns)
        try:
            self._file = ScanFile(self._path(start.scan), shape, pixel_um=start.pixel_um)
        except (OSError, ValueError) as error:
            self._update(start.scan, status="failed", note=f"{error}")
        self._worker.submit(warm_up, self._settings)

    def _path(self, scan: int) -> Path:
        return self._result.with_name(f"{self._result.stem}_{scan_name(scan)}.nxs")

    def _append(self, message: Projections) -> None:
        assert self._file is not None
        try:
            self._file.append(message.images, message.angles_deg, message.image_key)
        except (OSError, RuntimeError) as error:
            self._drop(f"The images could not be written: {error}.")
            return
        n_images = self._scans[message.scan].n_images + len(message.images)
        self._update(message.scan, n_images=n_images)

    def _end(self, scan: int, n_images: int) -> None:
        lost = n_images - self._scans[scan].n_images
        note = f"{lost} of {n_images} images did not arrive." if lost else ""
        path = self._finish_file()
        if path is None:
            self._update(scan, status="failed", note="The scan file could not be finished.")
            return
        self._update(scan, status="reconstructing", note=note)
        self._submit(scan, path, attempt=1)

    def _finish_file(self) -> Path | None:
        """Give the scan file its name; None if the disk does not take it."""
        file, self._file = self._file, None
        try:
            return file.close() if file is not None else None
        except (OSError, RuntimeError):
            return None

    def _drop(self, why: str) -> None:
        """End the scan that is being collected, if any, without a reconstruction."""
        for scan, view in self._scans.items():
            if view.status == "collecting":
                path = self._finish_file()
                kept = f" {view.n_images} images are in {path.name}." if path else ""
                self._update(scan, status="failed", note=why + kept)

    def _submit(self, scan: int, path: Path, attempt: int) -> None:
        volume = self._result.with_name(f"{self._result.stem}_{scan_name(scan)}_volume.nxs")
        future = self._worker.submit(reconstruct_file, path, self._settings, volume)
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
                self._submit(scan, job.path, job.attempt + 1)
            else:
                self._update(scan, status="failed", note=str(error))

    def _update(self, scan: int, **changes: Any) -> None:
        self._scans[scan] = msgspec.structs.replace(self._scans[scan], **changes)


@dataclass(frozen=True)
class _Job:
    future: "Future[dict[str, Any]]"
    path: Path
    attempt: int


class _Worker:
    """One process for reconstructions, started when first needed and again when it has died."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], *arguments: object) -> "Future[Any]":
        """Queue a call."""
        try:
            return self._opened().submit(function, *arguments)
        except BrokenProcessPool:
            self.close()
            return self._opened().submit(function, *arguments)

    def kill(self) -> None:
        """End the process in the middle of its work."""
        for process in multiprocessing.active_children():
            process.terminate()
        self.close()

    def close(self) -> None:
        """Let the present call finish, drop those that are queued, and end the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=_lower_priority)
        return self._pool


def _lower_priority() -> None:
    """Let the spectra go first; leave Ctrl-C to the parent, which ends the worker itself."""
    os.nice(WORKER_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
