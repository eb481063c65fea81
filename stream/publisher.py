"""The display leg: reports to snapshots, published newest-wins; it never waits for anyone."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
import zmq

from hexlive.kernels.backend import Counts
from hexlive.stream import display as made
from hexlive.stream.advice import Adviser
from hexlive.stream.config import Config
from hexlive.stream.drift import DriftResult
from hexlive.stream.model import AdviceList, Snapshot
from hexlive.stream.pipeline import Report
from hexlive.stream.results import ComptonResult, CtResult, CyclerResult, MarksResult
from hexlive.stream.sockets import MB, Endpoint
from hexlive.stream.storage import Storage
from hexlive.stream.views import Advice, CtView, Health
from hexlive.stream.wire import encode

QUEUED_MESSAGES: Final = 4  # two snapshots, each with its advice
LINGER_MS: Final = 2_000
CYCLER_ROWS: Final = 2_000
DRIFT_POINTS: Final = 2_000
MARKS: Final = 200
MAX_SLICE_PX: Final = 1024
MAX_STAGES_PX: Final = 512


class Publisher:
    """A PUB socket that sends a snapshot and the advice per report; slow monitors miss some.

    Parameters
    ----------
    storage
        Says what becomes of the data.

    Attributes
    ----------
    address
        The endpoint as bound, with its real port.

    Raises
    ------
    AddressError
        The address cannot be bound.
    """

    def __init__(
        self, address: str, config: Config, storage: Callable[[], Storage] = Storage
    ) -> None:
        self._config, self._storage = config, storage
        self._sequence = 0
        self._last: Snapshot | None = None
        self._adviser = Adviser(config, lambda: storage().recording)
        self._advice: list[Advice] = []
        self._endpoint = self._opened(address)

    def reopen(self) -> None:
        """Listen at the same address again after `close`; what was said before is no news again.

        Raises
        ------
        AddressError
            The address cannot be bound.
        """
        self._endpoint = self._opened(self.address)

    def _opened(self, address: str) -> Endpoint:
        endpoint = Endpoint(
            zmq.PUB,
            address,
            bind=True,
            high_water_mark=QUEUED_MESSAGES,
            linger_ms=LINGER_MS,
            keys=self._config.security.folder,
        )
        self.address = endpoint.address
        return endpoint

    def put(self, report: Report) -> None:
        """Publish a report; nothing to wait for, nothing queued."""
        refused = Counter(display_handshake=self._endpoint.refused())
        report = replace(report, rejected=report.rejected + refused)
        self._last = display(report, self._config, self._sequence, self._storage())
        self._advice = self._adviser.review(report)
        self._send()

    def fail(self, why: str) -> None:
        """Tell monitors that the run has ended in an error."""
        if self._last is not None:
            self._last = msgspec.structs.replace(
                self._last, sequence=self._sequence, created_s=time.time(), status="error", note=why
            )
            self._send()

    def close(self) -> None:
        """Let the last snapshot out, then close."""
        self._endpoint.close()

    def _send(self) -> None:
        if (last := self._last) is None:
            return
        advice = AdviceList(
            series=last.series,
            sequence=self._sequence,
            created_s=last.created_s,
            status=last.status,
            advice=self._advice,
        )
        for message in (last, advice):
            self._endpoint.socket.send_multipart(encode(message), copy=False)
        self._sequence += 1


def display(report: Report, config: Config, sequence: int, storage: Storage) -> Snapshot | None:
    """What a monitor shows of a report; None before there is anything to show."""
    compton = report.find(ComptonResult)
    if compton is None:
        return None
    cycler, ct = report.find(CyclerResult), report.find(CtResult)
    drift, marks = report.find(DriftResult), report.find(MarksResult)
    maps = made.map_view(compton.emf)
    return Snapshot(
        series=report.series,
        sequence=sequence,
        created_s=time.time(),
        status="stopped" if report.stopped else "running",
        note="",
        health=_health(report, compton, storage),
        segment=compton.segment,
        incident_kev=config.compton.incident_kev,
        inner_au=config.compton.inner_au,
        outer_au=config.compton.outer_au,
        trend=compton.trend(),
        cycler=list(cycler.rows[-CYCLER_ROWS:]) if cycler else [],
        ct=thinned(ct.scans[-1]) if ct and ct.scans else None,
        energy_edges_kev=config.spectrum.edges_kev,
        spectrum=compton.counts.spectra.sum(axis=(0, 1), dtype=np.uint64),
        emf=maps.value,
        emf_sigma=maps.sigma,
        compton_counts=compton.compton_counts.astype(np.float32),
        hits=compton.counts.hits,
        theta_deg=compton.theta_deg.astype(np.float32),
        pz_au=compton.profile.pz_au,
        profile_j=compton.profile.j,
        profile_sigma=compton.profile.j_sigma,
        emf_mean=made.known(compton.mean.emf),
        emf_mean_sigma=made.known(compton.mean.sigma),
        gain_percent=drift.history()[-DRIFT_POINTS:] if drift else [],
        gain_alarm=drift.alarm if drift else "",
        relative=made.relative_view(compton.relative),
        superpixels=made.map_view(compton.superpixels),
        adaptive=made.map_view(compton.adaptive),
        recent=made.map_view(compton.recent.windows),
        recent_s=compton.recent.live_time_s,
        peak_residual_kev=made.peak_residual_kev(compton),
        undefined=compton.undefined,
        bands=made.bands(compton.counts.spectra, config.spectrum.edges_kev),
        parts=made.parts(compton),
        lines=made.lines(drift, DRIFT_POINTS) if drift else [],
        target=made.target(compton),
        scans=made.scan_rows(ct.scans) if ct else [],
        uneven=made.uneven(compton),
        marks=list(marks.marks[-MARKS:]) if marks else [],
        doubts=list(compton.doubts),
        notes=list(compton.notes),
    )


def _health(report: Report, compton: ComptonResult, storage: Storage) -> Health:
    hardware, written = compton.hardware, storage.written
    return Health(
        rate_hz=report.rate_hz,
        backlog_ms=report.backlog_ms,
        frames_expected=report.totals.expected,
        frames_received=report.totals.received,
        frames_missing=report.totals.lost,
        rejected=dict(report.rejected),
        live_time_s=compton.live_time_s,
        occupancy=compton.occupancy,
        cluster_fractions=cluster_fractions(compton.counts),
        recording=storage.recording,
        result_fault=storage.result_fault,
        written_mb=written.written_mb,
        written_mb_per_s=written.mb_per_s,
        unwritten_mb=written.unwritten_mb,
        queued_mb=report.queued.now_bytes / MB,
        queued_most_mb=report.queued.most_bytes / MB,
        suspicions=report.suspicions,
        disk_free_bytes=storage.free_bytes,
        dropped=dict(compton.counts.dropped_hits),
        computing=hardware.name,
        gpu_used_mb=_megabytes(hardware.used_bytes),
        gpu_total_mb=_megabytes(hardware.total_bytes),
    )


def _megabytes(n_bytes: int | None) -> float | None:
    return None if n_bytes is None else n_bytes / MB


def thinned(scan: CtView) -> CtView:
    """Leave out rows and columns of slices that no screen could show."""
    slices = {"xy": scan.xy, "xz": scan.xz, "yz": scan.yz, "surface_um": scan.surface_um}
    longest = max((max(array.shape) for array in slices.values() if array is not None), default=0)
    step = -(-longest // MAX_SLICE_PX) or 1
    parts = {
        name: None if array is None else np.ascontiguousarray(array[::step, ::step])
        for name, array in slices.items()
    }
    return msgspec.structs.replace(
        scan, pixel_um=scan.pixel_um * step, **parts, **_thinned_stages(scan)
    )


def _thinned_stages(scan: CtView) -> dict[str, Any]:
    pictures = {"stages_xy": scan.stages_xy, "stages_xz": scan.stages_xz}
    there = {name: array for name, array in pictures.items() if array is not None}
    if not there or scan.stages_voxel_um is None:
        return {}
    step = -(-max(max(array.shape) for array in there.values()) // MAX_STAGES_PX) or 1
    thin = {name: np.ascontiguousarray(array[::step, ::step]) for name, array in there.items()}
    return {"stages_voxel_um": scan.stages_voxel_um * step, **thin}


def cluster_fractions(counts: Counts) -> tuple[float, float, float]:
    """Fractions of clusters of one, two, and more pixels; zeros where there are none."""
    one, two, *more = (counts.cluster_sizes / max(1, counts.cluster_sizes.sum())).tolist()
    return one, two, sum(more)
