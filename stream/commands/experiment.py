"""The seven-state experiment without a detector: simulate, process, hold against truth, export.

Offline, as fast as the machine can: the simulator is the source of the same pipeline. What is
measured is held against the truth that the detector's known response makes of the simulated cell,
so the resolution, hidden shares of charge, and photons that meet are in both.
"""

import copy
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from scipy.special import gammaincinv, ndtr

from hexlive.kernels.backend import EventSettings
from hexlive.reconstruct.components import emf_covariance
from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import each
from hexlive.stream.commands.console import ProgressSink, say
from hexlive.stream.config import Config
from hexlive.stream.export.figures import PlottingUnavailableError
from hexlive.stream.export.measured import Measured, read_result
from hexlive.stream.export.tables import products
from hexlive.stream.export.tracking import Electrochemistry, tracked
from hexlive.stream.files import FileError
from hexlive.stream.model import AnyMessage
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.simulator.truth import EmfTruth, Truth, truth
from hexlive.stream.stopping import stop_on_signals

STATES: Final = (1, 2, 3, 4, 5, 6, 7)
OCCUPANCY: Final = 0.01
SEED: Final = 1
# The truth is drawn so many times over: one time is known to 0.2 %, no better than the measurement.
TRUTHS: Final = 20
TRUTH_STREAM: Final = 1000
# The whole experiment, and the reduced chi-squares that it accepts.
WHOLE_S: Final = 700.0
CHI_SQUARE: Final = (0.7, 1.3)
# A shorter one accepts what chance alone gives, within so many sigma of a normal distribution.
CHANCE_SIGMA: Final = 3.0


class SimulatedSource:
    """The simulator as a source of messages, without a socket or a file."""

    live = False

    def __init__(self, simulator: Simulator) -> None:
        self.rejected: Counter[str] = Counter()
        self._simulator = simulator

    def __iter__(self) -> Iterator[AnyMessage]:
        return self._simulator.messages(started_s=time.time())


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """EMF of one component in one state beside its truth."""

    known: EmfTruth
    emf: float
    sigma: float

    @property
    def pull(self) -> float:
        """Difference in sigmas, those of the truth included."""
        return (self.emf - self.known.seen) / float(np.hypot(self.sigma, self.known.seen_sigma))


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """All checks, and two reduced chi-squares.

    Attributes
    ----------
    simple
        Mean square of the pulls.
    full
        With the covariance of the components of a state, which share exposures.
    whole
        Whether the experiment was as long as it is meant to be.
    """

    checks: list[Check]
    simple: float
    full: float
    whole: bool

    @property
    def limits(self) -> tuple[float, float]:
        """What both chi-squares must be between."""
        return CHI_SQUARE if self.whole else chance_limits(len(self.checks))

    @property
    def accepted(self) -> bool:
        """Whether chi-square is within the limits.

        That with the covariance: components share regions, so without it the mean square of the
        pulls is no chi-square.
        """
        low, high = self.limits
        return low <= self.full <= high


def run_experiment(out: Path, seconds: float) -> int:
    """Seven states at three heights; prints truth against measurement, returns the exit code.

    Parameters
    ----------
    seconds
        Length of all exposures together, at the nominal frame rate.

    Raises
    ------
    FileError
        The folder cannot be made.
    InterruptedError
        Stopped before the end.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"Cannot make the folder {out}: {error.strerror}.") from error
    config = Config()
    simulator = Simulator(experiment_settings(config, seconds))
    calibration = simulator.camera.calibration()
    calibration.save(out / "calibration.h5")
    outputs, n_frames = Outputs(result=out / "result.nxs"), simulator.settings.n_frames
    say(f"{n_frames} frames, occupancy {OCCUPANCY:.0%}, as fast as they can be simulated")
    with stop_on_signals() as stop, closing(ProgressSink(n_frames)) as progress:
        run_session(
            SimulatedSource(simulator), config, calibration, outputs, stop=stop, progress=progress
        )
    known = averaged_truth(simulator, config.events, TRUTHS)
    known.save(out / "truth.json")
    measured = read_result(outputs.result)
    found = agreement(measured, known, whole=seconds >= WHOLE_S)
    print("\n".join(summary(found)))
    _export(measured, out)
    return 0 if found.accepted else 1


def _export(measured: Measured, out: Path) -> None:
    """Tables, and plots where they can be drawn."""
    log = measured.cycler()
    chemistry = Electrochemistry(log=log) if log else None
    try:
        for path in products(measured, tracked(measured, chemistry), out, plots=True):
            say(f"{path}")
    except PlottingUnavailableError as error:
        say(str(error))


def experiment_settings(config: Config, seconds: float) -> SimulatorSettings:
    """All states at all heights, ``seconds`` of exposures in all."""
    settings = SimulatorSettings(
        seed=SEED,
        states=STATES,
        occupancy=OCCUPANCY,
        detector=config.detector,
        compton=config.compton,
        components=config.components,
    )
    n_frames = round(seconds * config.detector.frame_rate_hz / len(settings.exposures))
    return replace(settings, frames_per_segment=max(1, n_frames))


def averaged_truth(simulator: Simulator, events: EventSettings, n: int) -> Truth:
    """The mean of ``n`` truths whose photons were drawn independently, for one camera and cell."""

    def drawn(number: int) -> Truth:
        other = copy.copy(simulator)
        other.settings = replace(simulator.settings, seed=TRUTH_STREAM + number)
        return truth(other, events)

    drawings = [drawn(number) for number in range(n)]
    rows = [_mean(same) for same in zip(*(one.emf for one in drawings), strict=True)]
    return msgspec.structs.replace(drawings[0], emf=rows, seed=simulator.settings.seed)


def _mean(rows: Sequence[EmfTruth]) -> EmfTruth:
    """Of independent drawings of the same row."""
    means = {name: float(np.mean([getattr(row, name) for row in rows]))
             for name in ("isolated", "seen")}  # fmt: skip
    sigmas = {
        name: float(np.linalg.norm([getattr(row, name) for row in rows])) / len(rows)
        for name in ("isolated_sigma", "seen_sigma")
    }
    return msgspec.structs.replace(rows[0], **means, **sigmas)


def chance_limits(n_values: int) -> tuple[float, float]:
    """Reduced chi-squares that ``n_values`` exceed, or stay below, as rarely as 3 sigma."""
    # Quantiles of the reduced chi-square.
    low, high = 2 * gammaincinv(n_values / 2, ndtr([-CHANCE_SIGMA, CHANCE_SIGMA])) / n_values
    return float(low), float(high)


def agreement(measured: Measured, known: Truth, *, whole: bool) -> Agreement:
    """Hold the components of a result against their truth."""
    truths = {(row.state, row.name): row for row in known.emf}
    checks = [
        Check(known=truths[part.state, part.name], emf=part.emf, sigma=part.emf_sigma)
        for name in measured.config.components.mixing
        for part in measured.components
        if part.name == name
    ]
    of_states = [_chi_square(measured, state, truths) for state in measured.states]
    return Agreement(
        checks=checks,
        simple=float(np.mean([check.pull**2 for check in checks])),
        full=sum(of_states) / len(checks),
        whole=whole,
    )


def _chi_square(
    measured: Measured, state: int, truths: Mapping[tuple[int, str], EmfTruth]
) -> float:
    """Of the components of one state with their covariance; the truth's own error is added."""
    maps, exposures_s = measured.regions(state)
    windows = {region: each(np.sum, one) for region, one in maps.items()}
    covariance = emf_covariance(windows, exposures_s, measured.mixing(state))
    found = {part.name: part.emf for part in measured.components if part.state == state}
    names = [name for name in measured.config.components.mixing if name in found]
    rows = [truths[state, name] for name in names]
    off: FloatArray = np.array([found[name] for name in names]) - [row.seen for row in rows]
    covariance = covariance + np.diag([row.seen_sigma**2 for row in rows])
    return float(off @ np.linalg.solve(covariance, off))


def summary(found: Agreement) -> Iterator[str]:
    """Lines to print."""
    yield ""
    yield "EMF           state   measured    sigma   truth seen    sigma   pull   free atoms"
    for check in found.checks:
        known = check.known
        free = "" if known.free is None else f"{known.free:.3f}"
        yield (
            f"{known.name:<14}{known.state:>4}{check.emf:>12.4f}{check.sigma:>9.4f}"
            f"{known.seen:>12.4f}{known.seen_sigma:>10.4f}{check.pull:>+7.1f}{free:>12}"
        )
    n = len(found.checks)
    beyond = sum(abs(check.pull) > 2 for check in found.checks)
    yield (
        f"Reduced chi-square over {n} values: {found.full:.2f} with the covariance of the "
        f"components, {found.simple:.2f} without; chance gives 1.00 +- {np.sqrt(2 / n):.2f}. "
        f"{beyond} of {n} are beyond 2 sigma."
    )
    low, high = found.limits
    why = "whole experiment" if found.whole else f"chance within {CHANCE_SIGMA:g} sigma: too short"
    yield f"Accepted: {low:.2f} to {high:.2f} ({why})."
