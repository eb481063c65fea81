"""Numbers of a run for Prometheus, read over HTTP from ``/metrics``."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hexlive.stream.pipeline import Report
from hexlive.stream.results import ComptonResult, CtResult
from hexlive.stream.sockets import AddressError

RECORDER: Final = ("off", "recording", "stopped")  # the last stands for any sentence of failure
LOG: Final = logging.getLogger(__name__)


class MetricsServer(Collector):
    """A sink of reports; each reading gives the latest, and how old it is.

    Parameters
    ----------
    recording
        Says what the recorder does.

    Raises
    ------
    AddressError
        Nothing can be served there.
    """

    def __init__(self, interface: str, port: int, recording: Callable[[], str]) -> None:
        self._recording = recording
        self._latest: tuple[float, Report] | None = None
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, interface, registry)
        except OSError as error:
            raise AddressError(
                f"Cannot serve metrics at {interface}:{port}: {error.strerror}."
            ) from error
        LOG.info("metrics at %s", self.address)

    @property
    def address(self) -> str:
        """Where they are read."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/metrics"

    def put(self, item: Report) -> None:
        """Keep the latest report."""
        self._latest = time.monotonic(), item

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def collect(self) -> Iterator[Metric]:
        """The metrics of the latest report; none before there is one."""
        if self._latest is None:
            return
        received_s, report = self._latest
        yield _gauge("report_age_s", "Age of these numbers", time.monotonic() - received_s)
        yield from _frames(report)
        status = self._recording()
        state = status if status in RECORDER else "stopped"
        recorder = GaugeMetricFamily(
            "hexlive_recorder", "1 for the state of the recorder", labels=["state"]
        )
        for name in RECORDER:
            recorder.add_metric([name], float(name == state))
        yield recorder
        if (compton := report.find(ComptonResult)) is not None:
            yield from _exposure(compton)
        if (ct := report.find(CtResult)) is not None:
            scans = GaugeMetricFamily("hexlive_ct_scans", "CT scans", labels=["status"])
            for status in ("collecting", "reconstructing", "done", "failed"):
                n_scans = sum(scan.status == status for scan in ct.scans)
                scans.add_metric([status], n_scans)
            yield scans


def _frames(report: Report) -> Iterator[Metric]:
    totals = report.totals
    yield CounterMetricFamily("hexlive_frames_expected", "Frames sent", totals.expected)
    yield CounterMetricFamily("hexlive_frames_received", "Frames counted", totals.received)
    yield _gauge("frames_missing", "Frames missing; a late one is no longer", totals.lost)
    rejected = CounterMetricFamily(
        "hexlive_rejected", "Messages and frames refused", labels=["reason"]
    )
    for reason, count in report.rejected.items():
        rejected.add_metric([reason], count)
    yield rejected
    yield _gauge("frame_rate_hz", "Frames per second", report.rate_hz)
    yield _gauge("queued_bytes", "What has arrived and waits", report.queued.now_bytes)
    yield _gauge("stopped", "1 when the run is over", float(report.stopped))
    if report.backlog_ms is not None:
        yield _gauge("backlog_ms", "Age of the newest frame when counted", report.backlog_ms)


def _exposure(compton: ComptonResult) -> Iterator[Metric]:
    yield _gauge("live_time_s", "Of the present exposure", compton.live_time_s)
    yield _gauge("occupancy", "Fraction of the pixels hit per frame", compton.occupancy)
    yield _gauge("emf", "EMF of all valid pixels together", float(compton.mean.emf))
    yield _gauge("emf_sigma", "Its standard error", float(compton.mean.sigma))


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hexlive_{name}", meaning, value)
