"""Suite: what a CT scan brings, and how long after its last projection.

A simulated scan is streamed at the speed of a real one over loopback ZeroMQ through the whole
pipeline; the sender is a process of its own.
"""

import argparse
import multiprocessing
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.ct_stream import ScanPlan, send_scan
from hexlive.benchmarks.table import Cell, Column, Table
from hexlive.reconstruct.ct.geometry import field_of_view
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.config import Config, StreamSettings
from hexlive.stream.inputs import live_source
from hexlive.stream.pipeline import Report
from hexlive.stream.results import CtResult
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.views import CtView

MS: Final = 1e-3
PATIENCE_S: Final = 600.0
QUICK: Final = {"ct_projections": 180, "ct_columns": 256, "ct_rows": 8}
COLUMNS: Final = (
    Column(key="beside", heading="beside it"),
    Column(key="axis", heading="axis"),
    Column(key="slice_s", heading="slice", unit="s", digits=2),
    Column(key="shown_s", heading="shown", unit="s", digits=2),
    Column(key="volume_s", heading="volume", unit="s", digits=1),
    Column(key="metrics_s", heading="metrics", unit="s", digits=1),
    Column(key="slice_rmse_percent", heading="slice RMSE", unit="% of max", digits=2),
    Column(key="backlog_ms", heading="backlog", unit="ms"),
    Column(key="late_ms", heading="sender late", unit="ms"),
    Column(key="lost", heading="lost", unit="frames, images"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this suite."""
    parser.add_argument("--ct-projections", type=int, default=3600, metavar="N", help="of the scan")
    parser.add_argument("--ct-rows", type=int, default=16, metavar="N", help="of a projection")
    parser.add_argument("--ct-columns", type=int, default=2560, metavar="N", help="of a projection")
    parser.add_argument("--ct-ms", type=float, default=9.0, help="ms between projections")


def run(options: argparse.Namespace) -> Table:
    """A scan by itself, one beside frames at 9 kHz, one with an axis that is to be found."""
    plan = ScanPlan(
        rows=options.ct_rows,
        columns=options.ct_columns,
        n_projections=options.ct_projections,
        interval_s=MS * options.ct_ms,
    )
    beside = replace(plan, with_frames=True)
    rows = [
        measure(plan, known_axis=True),
        measure(beside, known_axis=True),
        measure(plan, known_axis=False),
    ]
    return Table(
        title=f"ct: {plan.n_projections} projections of {plan.rows} x {plan.columns} in "
        f"{plan.duration_s:.1f} s, seconds from the last projection",
        columns=COLUMNS,
        rows=rows,
        notes=[
            "slice: its array is in the run's process; shown: a snapshot with it left for the "
            "monitors, from the moment when the sender let the last projection go.",
            "sender late: the longest that a message left behind its time.",
            f"Batches of {plan.batch_images} projections; backlog is the age of the oldest frame "
            "when it was counted.",
        ],
    )


class Watch:
    """A sink that notes when reports leave for the monitors."""

    def __init__(self) -> None:
        self.shown_s: float | None = None
        self.sliced: CtView | None = None
        self.backlog_ms: float | None = None

    def put(self, report: Report) -> None:
        """Note the first report with the slice of the whole scan, and the largest backlog."""
        if report.backlog_ms is not None:
            self.backlog_ms = max(report.backlog_ms, self.backlog_ms or 0.0)
        result = report.find(CtResult)
        scan = result.scans[-1] if result is not None and result.scans else None
        if self.sliced is None and scan is not None and "slice" in scan.delays_s:
            self.shown_s, self.sliced = time.time(), scan

    def close(self) -> None:
        """Nothing to close."""


def measure(plan: ScanPlan, *, known_axis: bool) -> dict[str, Cell]:
    """Stream one scan and see when what comes of it is known."""
    tomography = TomographySettings(centre=plan.centre_px if known_axis else "auto")
    stream = StreamSettings(
        input="tcp://127.0.0.1:*", publish="tcp://127.0.0.1:*", idle_timeout_s=PATIENCE_S
    )
    config = Config(tomography=tomography, stream=stream)
    watch = Watch()
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder, closing(live_source(config)) as source:
        sender = context.Process(target=send_scan, args=(source.address, plan, tell))
        sender.start()
        outcome = run_session(
            source,
            config,
            Simulator(SimulatorSettings()).camera.calibration(),
            Outputs(result=Path(folder) / "result.nxs", publish=stream.publish),
            progress=watch,
        )
        left_s, late_s = told.recv()
        sender.join()
    result = outcome.report.find(CtResult)
    if result is None or not result.scans or watch.sliced is None or watch.shown_s is None:
        raise RuntimeError(f"The scan brought no slice: {' '.join(outcome.faults)}")
    (scan,) = result.scans
    totals = outcome.report.totals
    return {
        "beside": "9,000 frames/s" if plan.with_frames else "nothing",
        "axis": "known" if known_axis else "to be found",
        "shown_s": watch.shown_s - left_s,
        "slice_rmse_percent": rmse_percent(watch.sliced.xy, plan.truth()),
        "backlog_ms": watch.backlog_ms if plan.with_frames else None,
        "late_ms": late_s / MS,
        "lost": f"{totals.lost}, {scan.n_expected - scan.n_images}",
        **{f"{stage}_s": scan.delays_s.get(stage) for stage in ("slice", "volume", "metrics")},
    }


def rmse_percent(found: NDArray[np.float32] | None, truth: NDArray[np.float32]) -> float | None:
    """Within the field of view, of the largest attenuation."""
    if found is None:
        return None
    error = (found - truth)[field_of_view(len(truth))]
    return float(100 * np.sqrt(np.mean(np.square(error))) / truth.max())
