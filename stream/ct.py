"""The CT leg: projections to scan files and a live slice; at scan end, volumes and roughness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.live_scan import LiveScan, ScanError
from hexlive.stream.live_slice import LiveScanSettings
from hexlive.stream.model import Message, Projections, ScanEnd, ScanStart, Start
from hexlive.stream.reconstruction import warm_up
from hexlive.stream.recorder import scan_name
from hexlive.stream.results import CtResult
from hexlive.stream.scan_course import ScanCourse
from hexlive.stream.views import CtView
from hexlive.stream.worker import Worker

SLICER_NICENESS: Final = 5
WORKER_NICENESS: Final = 10
FOUND_SCANS: Final = 1000
INTERRUPTED: Final = "The run was interrupted during this scan; what it had is in the recording."
STOPPED: Final = "The run was stopped before it was done."


class TomographyReducer:
    """Spools each CT scan to an NXtomo file and has it reconstructed when the scan ends.

    Reconstructions run in processes of their own at low priority, so the spectra never wait for
    them: one for the live slice, which must be there at once, and one for volumes, scan after scan.

    Parameters
    ----------
    result
        Path of the result file; scans go beside it, as ``result_scan_0001.nxs`` and
        ``result_scan_0001_volume.nxs``.
    workers
        Processes for the live slice and for volumes that serve others too; None: its own.
    """

    def __init__(
        self,
        settings: TomographySettings,
        result: Path,
        live: LiveScanSettings | None = None,
        workers: tuple[Worker, Worker] | None = None,
    ) -> None:
        self._settings, self._result = settings, result
        self._live = live or LiveScanSettings()
        self._scans: dict[int, ScanCourse] = {}
        self._own_workers = workers is None
        self._slicer, self._worker = workers or (Worker(SLICER_NICENESS), Worker(WORKER_NICENESS))

    @property
    def busy(self) -> bool:
        """A reconstruction is still to come."""
        self._advance()
        return any(not scan.settled and not scan.collecting for scan in self._scans.values())

    def add(self, message: Message) -> None:
        """Take a part of a scan."""
        match message:
            case Start():
                self._stop("Another series began before this scan ended.")
            case ScanStart():
                self._stop("Another scan began before this one ended.")
                self._begin(message)
            case Projections(scan=number) if (scan := self._open(number)) is not None:
                scan.add(message)
            case ScanEnd(scan=number) if (scan := self._open(number)) is not None:
                scan.end(message.n_images)
        self._advance()

    def take(self, path: Path, n_images: int, state: int | None) -> None:
        """Have a scan file reconstructed that another program has finished.

        Such scans are numbered from 1001 on; those of the stream have the numbers below.
        """
        number = max([FOUND_SCANS, *self._scans]) + 1
        view = CtView(
            scan=number,
            state=state,
            status="reconstructing",
            note=f"From {path.name}.",
            n_images=n_images,
            n_expected=n_images,
            pixel_um=self._settings.pixel_um,
        )
        self._scans[number] = ScanCourse(
            view, path, self._beside(number, "_volume"), self._settings, self._worker,
            self._measured,
        )  # fmt: skip

    def end_now(self, number: int) -> int:
        """Get a scan that is being collected ready to end before its time.

        Returns
        -------
        int
            How many images it has; the end of the scan is to say so.

        Raises
        ------
        ScanError
            It is not being collected, or too little of it is here for a volume.
        """
        scan = self._open(number)
        if scan is None:
            raise ScanError(f"CT scan {number} is not being collected.")
        return scan.end_now()

    def snapshot(self) -> CtResult:
        """Where every scan of this run stands."""
        self._advance()
        return CtResult(scans=tuple(scan.view for scan in self._scans.values()))

    def restore(self, scans: Sequence[CtView]) -> None:
        """Go on after a restart: reconstruct again what was not done."""
        for view in scans:
            path = self._beside(view.scan)
            scan = self._scans[view.scan] = ScanCourse(
                view, path, self._beside(view.scan, "_volume"), self._settings, self._worker,
                self._measured,
            )  # fmt: skip
            if view.status == "collecting":
                scan.give_up(INTERRUPTED)
            elif view.status == "reconstructing" and not path.exists():
                scan.give_up("The run was interrupted before it was done.")

    def finish(self) -> None:
        """Reconstruct a scan that has not ended from what came of it."""
        self._stop("The run ended before the scan did.")

    def clear(self) -> None:
        """Give up the reconstructions under way; their scan files stay."""
        self._slicer.kill()
        self._worker.kill()
        for scan in self._scans.values():
            scan.give_up(STOPPED)

    def close(self) -> None:
        """Keep what came of a scan that has not ended, and end the workers."""
        self.finish()
        if self._own_workers:
            self._slicer.close()
            self._worker.close()
        for scan in self._scans.values():
            scan.close()

    def _open(self, number: int) -> LiveScan | None:
        scan = self._scans.get(number)
        return scan if isinstance(scan, LiveScan) and scan.collecting else None

    def _beside(self, number: int, what: str = "") -> Path:
        """A file of a scan, beside the result."""
        return self._result.with_name(f"{self._result.stem}_{scan_name(number)}{what}.nxs")

    def _begin(self, start: ScanStart) -> None:
        self._scans[start.scan] = LiveScan(
            start, self._beside(start.scan), self._beside(start.scan, "_volume"), self._settings,
            self._live, self._known_centre(start.columns), self._slicer, self._worker,
            self._measured,
        )  # fmt: skip
        self._worker.submit(warm_up, self._settings)

    def _known_centre(self, columns: int) -> float | None:
        """The axis of the latest volume of this width, px."""
        scans = [scan for scan in self._scans.values() if isinstance(scan, LiveScan)]
        views = [scan.view for scan in scans if scan.columns == columns]
        found = [view.centre_px for view in views if view.volume_file is not None]
        return found[-1] if found else None

    def _measured(self) -> list[Path]:
        """Volume files of the scans that are done and have an anode."""
        return [
            self._beside(number, "_volume")
            for number, scan in self._scans.items()
            if scan.view.status == "done" and scan.view.ra_um is not None
        ]

    def _stop(self, why: str) -> None:
        for scan in self._scans.values():
            scan.stop(why)

    def _advance(self) -> None:
        first = True
        for scan in self._scans.values():
            scan.advance(first=first)
            first = first and scan.settled
