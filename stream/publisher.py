"""The display leg: reports to snapshots, published newest-wins; it never waits for anyone."""

import time
from collections.abc import Callable

import numpy as np
import zmq

from hexlive.kernels.backend import Counts
from hexlive.stream.config import Config
from hexlive.stream.model import Health, Snapshot, TrendRow
from hexlive.stream.pipeline import Report
from hexlive.stream.results import ComptonResult, CtResult, CyclerResult
from hexlive.stream.sources import open_socket
from hexlive.stream.wire import encode

QUEUED_SNAPSHOTS = 2
LINGER_MS = 2_000
CYCLER_ROWS = 2_000


class Publisher:
    """A PUB socket that sends one snapshot per report; slow monitors miss some.

    Parameters
    ----------
    recording
        Says what the recorder does, for the status line.

    Raises
    ------
    AddressError
        The address cannot be bound.
    """

    def __init__(
        self, address: str, config: Config, recording: Callable[[], str] = lambda: "off"
    ) -> None:
        self._config, self._recording = config, recording
        self._sequence = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = open_socket(
                self._context, zmq.PUB, address, bind=True, high_water_mark=QUEUED_SNAPSHOTS
            )
        except ValueError:
            self._context.term()
            raise
        self._socket.linger = LINGER_MS

    @property
    def address(self) -> str:
        """The endpoint as bound, with its real port."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def put(self, report: Report) -> None:
        """Publish a report; nothing to wait for, nothing queued."""
        snapshot = display(report, self._config, self._sequence, self._recording())
        if snapshot is not None:
            self._socket.send_multipart(encode(snapshot), copy=False)
            self._sequence += 1

    def close(self) -> None:
        """Let the last snapshot out, then close."""
        self._socket.close()
        self._context.term()


def display(report: Report, config: Config, sequence: int, recording: str) -> Snapshot | None:
    """What a monitor shows of a report; None before there is anything to show."""
    compton = report.find(ComptonResult)
    if compton is None:
        return None
    cycler, ct = report.find(CyclerResult), report.find(CtResult)
    valid_spectrum = compton.counts.spectra.sum(axis=(0, 1), dtype=np.uint64)
    return Snapshot(
        series=report.series,
        sequence=sequence,
        created_s=time.time(),
        status="stopped" if report.stopped else "running",
        note="",
        health=_health(report, compton, recording),
        segment=compton.segment,
        incident_kev=config.compton.incident_kev,
        inner_au=config.compton.inner_au,
        outer_au=config.compton.outer_au,
        trend=trend_rows(compton),
        cycler=list(cycler.rows[-CYCLER_ROWS:]) if cycler else [],
        ct=ct.scans[-1] if ct and ct.scans else None,
        energy_edges_kev=config.spectrum.edges_kev,
        spectrum=valid_spectrum,
        emf=compton.emf.emf,
        emf_sigma=compton.emf.sigma,
        compton_counts=compton.compton_counts,
        hits=compton.counts.hits,
        theta_deg=compton.theta_deg,
        pz_au=compton.profile.pz_au,
        profile_j=compton.profile.j,
        profile_sigma=compton.profile.j_sigma,
        emf_mean=float(compton.mean.emf),
        emf_mean_sigma=float(compton.mean.sigma),
    )


def trend_rows(compton: ComptonResult) -> list[TrendRow]:
    """EMF of each component in each state so far."""
    return [
        TrendRow(
            state=state,
            soc=compton.states[state].soc,
            component=name,
            emf=float(part.windows.emf),
            emf_sigma=float(part.windows.sigma),
            time_s=compton.states[state].started_s,
        )
        for state, parts in sorted(compton.components.items())
        for name, part in parts.items()
    ]


def _health(report: Report, compton: ComptonResult, recording: str) -> Health:
    expected, received = report.totals
    return Health(
        rate_hz=report.rate_hz,
        backlog_ms=report.backlog_ms,
        frames_expected=expected,
        frames_received=received,
        frames_missing=expected - received,
        rejected=dict(report.rejected),
        live_time_s=compton.live_time_s,
        occupancy=occupancy(compton.counts),
        cluster_fractions=cluster_fractions(compton.counts),
        recording=recording,
    )


def occupancy(counts: Counts) -> float:
    """Mean fraction of pixels hit per frame."""
    return float(counts.hits.sum()) / max(1, counts.n_frames * counts.hits.size)


def cluster_fractions(counts: Counts) -> tuple[float, float, float]:
    """Fractions of clusters of one, two, and more pixels; zeros where there are none."""
    one, two, *more = (counts.cluster_sizes / max(1, counts.cluster_sizes.sum())).tolist()
    return one, two, sum(more)
