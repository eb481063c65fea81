"""One CT scan from its file to its roughness: seen coarsely, reconstructed, measured, compared.

Whatever goes wrong is a note on the scan and never ends the run. What is known is published at
once: slices of coarser pixels where the scan is large, the volume with its orthoslices, what was
measured in it, then how its anode has grown since the scans before.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.reconstruct.volumes.morphology import MAX_STAGES
from hexlive.stream.reconstruction import (
    compare_stages,
    measure_volume,
    preview_file,
    reconstruct_file,
)
from hexlive.stream.views import CtView
from hexlive.stream.worker import Worker, failed

ATTEMPTS: Final = 2


class ScanCourse:
    """Takes one scan through its stages; ``view`` says where it stands.

    Parameters
    ----------
    view
        What is known at the beginning.
    path
        The scan file; with a live scan it comes into being.
    volume
        The volume file to write.
    worker
        The process for volumes.
    earlier
        Gives the volume files of the scans before in which an anode was measured.
    """

    def __init__(
        self,
        view: CtView,
        path: Path,
        volume: Path,
        settings: TomographySettings,
        worker: Worker,
        earlier: Callable[[], list[Path]] = list,
    ) -> None:
        self.view, self._earlier = view, earlier
        self._path, self._volume, self._settings = path, volume, settings
        self._worker = worker
        self._previous_px: float | None = None  # axis of the scan before
        self._last_s = time.monotonic()  # of the last projection
        self._call: Future[dict[str, Any]] | None = None
        self._attempt, self._next = 0, self._preview

    @property
    def collecting(self) -> bool:
        """Images are still taken."""
        return self.view.status == "collecting"

    @property
    def settled(self) -> bool:
        """Nothing further will come of this scan."""
        return self.view.status in ("done", "failed")

    def give_up(self, why: str) -> None:
        """Leave the scan file as it is."""
        if not self.settled:
            self._fail(why)

    def stop(self, why: str) -> None:
        """No more images will come."""

    def close(self) -> None:
        """Wait for what is being written outside the worker."""

    def advance(self, *, first: bool) -> None:
        """Take what has come from the processes, and go on.

        Parameters
        ----------
        first
            No earlier scan is in the way of this one's volume.
        """
        if self.settled:
            return
        if self._call is None:
            if first and self._ready():
                self._next()
        elif self._call.done():
            call, self._call = self._call, None
            self._take(call)
        else:
            fraction, eta_s = self._worker.progress
            self._update(progress=fraction, eta_s=eta_s)

    def _ready(self) -> bool:
        """The scan file is there."""
        return True

    def _take(self, call: "Future[dict[str, Any]]") -> None:
        """Publish what a stage has found, and begin the next; try once more if the process died."""
        if not failed(call):
            self._publish(call.result())
        elif self.view.stage == "preview":  # the volume will say what is wrong
            self._go_on(self._reconstruct)
        elif isinstance(call.exception(), BrokenProcessPool) and self._attempt < ATTEMPTS:
            self._note("Its process died and was replaced.")
            self._next()
        else:
            self._fail(str(call.exception()))

    def _publish(self, known: dict[str, Any]) -> None:
        stage = self.view.stage
        self._note(known.pop("note"))
        durations_s = self.view.durations_s | known.pop("durations_s")
        if stage == "preview" and self.view.xy is not None:
            known.pop("xy", None)  # the live slice is sharper
        self._update(durations_s=durations_s, seconds=sum(durations_s.values()), **known)
        if stage != "preview" or known:
            self._mark(stage, time.monotonic())
        following = {
            "preview": self._reconstruct,
            "volume": self._measure,
            "metrics": self._compare if self._comparable else None,
        }.get(stage)
        if following is None:
            self._update(status="done", progress=None, eta_s=None)
        else:
            self._go_on(following)

    @property
    def _comparable(self) -> bool:
        """This scan has an anode, and so has one before."""
        return self.view.ra_um is not None and bool(self._earlier())

    def _go_on(self, stage: Callable[[], None]) -> None:
        self._attempt, self._next = 0, stage
        self._next()

    def _preview(self) -> None:
        if self.view.xz is not None:  # grown with the scan, on a GPU
            self._go_on(self._reconstruct)
            return
        function = partial(preview_file, previous_centre_px=self._previous_px)
        self._submit("preview", function, self._path, self._settings)

    def _reconstruct(self) -> None:
        function = partial(reconstruct_file, previous_centre_px=self._previous_px)
        self._submit("volume", function, self._path, self._settings, self._volume)

    def _measure(self) -> None:
        self._submit("metrics", measure_volume, self._volume, self._settings)

    def _compare(self) -> None:
        first, *later = [*self._earlier(), self._volume]
        self._submit("stages", compare_stages, [first, *later[1 - MAX_STAGES :]])

    def _submit(self, stage: str, function: Callable[..., Any], *arguments: Any) -> None:
        self._attempt += 1
        self._update(stage=stage, progress=None, eta_s=None)
        self._call = self._worker.submit(function, *arguments)

    def _fail(self, why: str) -> None:
        self._note(why)
        self._update(status="failed", progress=None, eta_s=None)

    def _note(self, *sentences: str) -> None:
        known = [self.view.note, *(each for each in sentences if each not in self.view.note)]
        self._update(note=" ".join(filter(None, known)))

    def _mark(self, stage: str, known_s: float) -> None:
        delay_s = max(0.0, known_s - self._last_s)
        self._update(delays_s=self.view.delays_s | {stage: delay_s})

    def _update(self, **changes: Any) -> None:
        self.view = msgspec.structs.replace(self.view, **changes)
