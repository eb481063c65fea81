"""A CT scan in the stream: its images go to a file and to the live slice until it is over.

A scan is over when all its images are here, when those that are missing do not come, or when
something else begins; what came is reconstructed, and a note says what is missing.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Final

import numpy as np

from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.live_slice import LiveLeg, LiveScanSettings
from hexlive.stream.model import Projections, ScanStart
from hexlive.stream.nxtomo import PROJECTION
from hexlive.stream.scan_course import ScanCourse
from hexlive.stream.spool import ScanSpool
from hexlive.stream.views import CtView
from hexlive.stream.worker import Worker, failed

MIN_PROJECTIONS: Final = 8
MIN_COVERED_DEG: Final = 120.0  # of a scan that never ended: less is not worth a volume


class ScanError(RuntimeError):
    """A scan cannot be ended now; the text is one sentence for the user."""


class LiveScan(ScanCourse):
    """Collects one scan, then takes it through its stages.

    Parameters
    ----------
    path, volume
        Of the scan file and the volume file to write.
    centre_px
        Column of the axis where an earlier scan has found it.
    slicer, worker
        The processes for the live slice and for volumes.
    earlier
        See `ScanCourse`.
    """

    def __init__(
        self,
        start: ScanStart,
        path: Path,
        volume: Path,
        settings: TomographySettings,
        live: LiveScanSettings,
        centre_px: float | None,
        slicer: Worker,
        worker: Worker,
        earlier: Callable[[], list[Path]] = list,
    ) -> None:
        view = CtView(
            scan=start.scan,
            state=start.state,
            status="collecting",
            note="",
            n_images=0,
            n_expected=start.n_images,
            pixel_um=start.pixel_um,
            started_s=start.started_s,
        )
        super().__init__(view, path, volume, settings, worker, earlier)
        self.columns, self._previous_px = start.columns, centre_px
        self._live = live
        self._angles_deg: list[float] = []
        self._heard_s = self._last_s
        self._ended_s: float | None = None
        self._written: Future[Path] | None = None
        known_px = centre_px if settings.centre == "auto" else float(settings.centre)
        self._leg = LiveLeg(slicer, start, settings, live, known_px)
        self._spool: ScanSpool | None = None
        try:
            self._spool = ScanSpool(path, (start.rows, start.columns), start.pixel_um)
        except (OSError, ValueError) as error:
            self._fail(f"{error}")

    def add(self, message: Projections) -> None:
        """Take some images."""
        assert self._spool is not None
        self._heard_s = time.monotonic()
        good = (message.image_key == PROJECTION) & np.isfinite(message.angles_deg)
        if good.any():
            self._last_s = self._heard_s
            self._angles_deg += message.angles_deg[good].tolist()
        try:
            self._spool.append(message.images, message.angles_deg, message.image_key)
        except (OSError, RuntimeError, ValueError) as error:
            self._fail_to_write(error)
            return
        self._leg.add(message)
        self._update(n_images=self.view.n_images + len(message.images))

    def end(self, n_images: int) -> None:
        """The scan is over once ``n_images`` are here, or after a while."""
        self._ended_s = time.monotonic()
        self._update(n_expected=n_images)

    def end_now(self) -> int:
        """Note that the scan ends before its time, with so many images.

        Raises
        ------
        ScanError
            It has ended, or too little of it is here for a volume.
        """
        here, expected = self.view.n_images, self.view.n_expected
        if self._ended_s is not None:
            raise ScanError(f"CT scan {self.view.scan} has ended already.")
        if not self._enough():
            covered_deg = float(np.ptp(self._angles_deg)) if self._angles_deg else 0.0
            raise ScanError(
                f"Only {here} of {expected} images of CT scan {self.view.scan} are here, over "
                f"{covered_deg:.0f}°; a volume takes {MIN_PROJECTIONS} projections over "
                f"{MIN_COVERED_DEG:.0f}°."
            )
        self._note(f"Ended on request after {here} of {expected} images; later ones are left out.")
        return here

    def stop(self, why: str) -> None:
        """No more images will come; make what can be made of those that are here."""
        if not self.collecting or self._spool is None:
            return
        ended = self._ended_s is not None
        self._written = self._spool.close()
        if not ended and not self._enough():
            self._fail(f"{why} Its {self.view.n_images} images are in {self._path.name}.")
            return
        lost = self.view.n_expected - self.view.n_images
        missing = f"{lost} of {self.view.n_expected} images did not arrive." if lost > 0 else ""
        self._note("" if ended else why, missing)
        self._leg.finish()
        self._update(status="reconstructing", stage="slice")

    def give_up(self, why: str) -> None:
        """Leave the scan file as it is."""
        if self.collecting and self._spool is not None:
            self._written = self._spool.close()
        super().give_up(why)

    def close(self) -> None:
        """Wait until the scan file has its name, or is known to have failed."""
        if self._written is not None:
            wait([self._written])

    def advance(self, *, first: bool) -> None:
        """Take what has come from the processes, and go on."""
        if self.settled:
            return
        self._take_slice()
        if self.collecting:
            self._watch_the_clock()
        else:
            super().advance(first=first)

    def _take_slice(self) -> None:
        news = self._leg.advance()
        if self._leg.fault is not None:
            self._note(f"There is no live slice: {self._leg.fault}")
        if self._leg.cuts_fault is not None:
            self._note(f"There are no live slices along the axis: {self._leg.cuts_fault}")
        for slices, centre_px, known_s, stage in news:
            if self.view.volume_file is None:
                self._update(centre_px=centre_px, **slices)
                if stage:
                    self._mark(stage, known_s)

    def _watch_the_clock(self) -> None:
        now_s, idle_s = time.monotonic(), self._live.idle_timeout_s
        if self._ended_s is not None:
            silent_s = now_s - max(self._heard_s, self._ended_s)
            complete = self.view.n_images >= self.view.n_expected
            if complete or silent_s > self._live.end_timeout_s:
                self.stop("")
        elif idle_s is not None and now_s - self._heard_s > idle_s:
            self.stop(f"The scan stopped without an end: no image for {idle_s:g} s.")

    def _ready(self) -> bool:
        """The scan file has its name, and the slice was not kept waiting by a volume."""
        if self._written is None or not self._written.done() or self._leg.busy:
            return False
        if failed(self._written):
            self._fail_to_write(self._written.exception())
            return False
        return True

    def _enough(self) -> bool:
        """Whether what came so far is worth a reconstruction."""
        if len(self._angles_deg) < MIN_PROJECTIONS:
            return False
        return bool(np.ptp(self._angles_deg) >= MIN_COVERED_DEG)

    def _fail_to_write(self, error: BaseException | None) -> None:
        if self._written is None and self._spool is not None:
            self._written = self._spool.close()
        self._fail(f"The images could not be written: {error}")
