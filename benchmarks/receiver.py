"""The receiving end of a throughput measurement, one stage of the pipeline more each time.

Run: python -m hexlive.benchmarks.receiver STAGE CALIBRATION.h5 FOLDER. It is a process of its own,
so that its memory is that of the stage. Prints the address it listens on, then one JSON line.
"""

import argparse
import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hexlive.benchmarks.machine import resident_mb
from hexlive.stream.calibration import load_calibration
from hexlive.stream.checkpoint import CheckpointFolder
from hexlive.stream.config import Config
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import Frames, Message
from hexlive.stream.pipeline import Pace, run
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource

STAGES: Final = ("transport", "reduce", "record", "checkpoint", "monitor")
HIGH_WATER_MARK_MB: Final = 64.0
IDLE_S: Final = 10.0


class Watch:
    """When the first and the last frames of a series were taken in, and how many in between."""

    def __init__(self) -> None:
        self.n_frames, self.seconds = 0, 0.0
        self._began_s: float | None = None

    def put(self, message: Message) -> None:
        """Note the time of frames; the first batch only starts the clock."""
        if not isinstance(message, Frames):
            return
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
            return
        self.n_frames += len(message.frames)
        self.seconds = now_s - self._began_s

    def close(self) -> None:
        """Nothing to do."""


def measure(stage: str, calibration_file: Path, folder: Path, reports_hz: float) -> dict[str, Any]:
    """Take in one series up to this stage of the pipeline.

    Returns
    -------
    dict
        Frames per second, frames missing, peak memory in MB.
    """
    watch, config = Watch(), Config()
    config = replace(
        config,
        stream=replace(config.stream, idle_timeout_s=IDLE_S),
        monitor=replace(config.monitor, rate_hz=reports_hz),
    )
    listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=HIGH_WATER_MARK_MB)
    with closing(listening) as source:
        if stage == STAGES[0]:
            _say(input=source.address)
            ledger = Ledger(None, config.detector.frame_rate_hz)
            totals = run(source, ledger, [], [watch], [], Pace(idle_timeout_s=IDLE_S)).totals
        else:
            calibration, outputs = load_calibration(calibration_file), _outputs(stage, folder)
            if outputs.publish is None:
                _say(input=source.address)
            outcome = run_session(
                source,
                config,
                calibration,
                outputs,
                checkpoint=_checkpoint(stage, outputs),
                watchers=[watch],
                on_publish=lambda address: _say(input=source.address, publish=address),
            )
            totals = outcome.report.totals
    rate_hz = watch.n_frames / watch.seconds if watch.seconds else 0.0
    return {"rate_hz": rate_hz, "missing": totals.lost, "peak_mb": resident_mb(peak=True)}


def _outputs(stage: str, folder: Path) -> Outputs:
    depth = STAGES.index(stage)
    return Outputs(
        result=folder / "result.nxs",
        recording=folder / "recording.h5" if depth >= STAGES.index("record") else None,
        publish="tcp://127.0.0.1:*" if depth >= STAGES.index("monitor") else None,
    )


def _checkpoint(stage: str, outputs: Outputs) -> CheckpointFolder | None:
    kept = STAGES.index(stage) >= STAGES.index("checkpoint")
    return CheckpointFolder(outputs.result) if kept else None


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    """Measure one stage and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reports", type=float, default=Config().monitor.rate_hz)
    options = parser.parse_args()
    _say(**measure(options.stage, options.calibration, options.folder, options.reports))


if __name__ == "__main__":
    main()
