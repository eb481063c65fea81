"""What the display leg advises: targets that are reached, alarms that rise and fall."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hexlive.reconstruct.compton import FloatArray
from hexlive.stream.config import Config
from hexlive.stream.drift import DriftResult
from hexlive.stream.pipeline import Report
from hexlive.stream.results import ComptonResult, CtResult
from hexlive.stream.views import Advice

PERCENT: Final = 100.0
# Whoever finds these says so in the log itself.
SAID_ELSEWHERE: Final = ("gain", "occupancy", "recording", "series")
WORDS: Final = {
    ("target", "rising"): "target reached",
    ("target", "falling"): "target ahead",
    ("alarm", "rising"): "ALARM",
    ("alarm", "falling"): "alarm over",
}
LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something that holds at this moment, or does not; see `Advice` for the fields."""

    holds: bool
    kind: Literal["target", "alarm"]
    subject: str
    sentence: str
    segment: int | None = None
    value: float | None = None
    target: float | None = None
    unit: str = ""


class Adviser:
    """Turns reports into advice: each change once, with a number of its own.

    Parameters
    ----------
    recording
        What the recorder does.
    """

    def __init__(self, config: Config, recording: Callable[[], str]) -> None:
        self._config, self._recording = config, recording
        self._given: dict[str, Advice] = {}
        self._n_given = 0
        self._heard: tuple[int, int | None] = (0, None)  # frames received, exposure
        self._heard_s = time.monotonic()

    def review(self, report: Report) -> list[Advice]:
        """The last change of every subject so far, oldest first."""
        for claim in self._claims(report):
            given = self._given.get(claim.subject)
            standing = given is not None and given.change == "rising"
            same = given is not None and given.segment == claim.segment
            if claim.holds and not (standing and same):
                self._give(claim, "rising")
            elif standing and not claim.holds:
                self._give(claim, "falling")
        return sorted(self._given.values(), key=lambda advice: advice.number)

    def _give(self, claim: Claim, change: Literal["rising", "falling"]) -> None:
        self._n_given += 1
        self._given[claim.subject] = Advice(
            number=self._n_given,
            kind=claim.kind,
            subject=claim.subject,
            segment=claim.segment,
            change=change,
            value=claim.value,
            target=claim.target,
            unit=claim.unit,
            sentence=claim.sentence,
            time_s=time.time(),
        )
        if claim.subject not in SAID_ELSEWHERE:
            LOG.info("%s: %s", WORDS[claim.kind, change], claim.sentence)

    def _claims(self, report: Report) -> Iterator[Claim]:
        compton, drift = report.find(ComptonResult), report.find(DriftResult)
        if compton is not None:
            yield from targets(compton)
            yield from self._alarms(report, compton)
        if drift is not None:
            yield gain(drift)
        recording = self._recording()
        failed = recording.startswith("recording stopped")
        yield Claim(holds=failed, kind="alarm", subject="recording", sentence=recording)
        yield Claim(
            holds=bool(report.suspicions),
            kind="alarm",
            subject="series",
            sentence=" ".join(report.suspicions) or "Frames come as they should.",
        )

    def _alarms(self, report: Report, compton: ComptonResult) -> Iterator[Claim]:
        limits, segment = self._config.advice, compton.segment
        number = None if segment is None else segment.number
        missing = PERCENT * report.tally.totals.lost / max(1, report.tally.totals.expected)
        crowded = PERCENT * compton.occupancy
        yield Claim(
            holds=missing > limits.loss_percent,
            kind="alarm",
            subject="loss",
            segment=number,
            value=missing,
            target=limits.loss_percent,
            unit="%",
            sentence=f"{missing:.2g} % of the frames of exposure {number} are missing.",
        )
        yield Claim(
            holds=crowded > limits.occupancy_percent,
            kind="alarm",
            subject="occupancy",
            segment=number,
            value=crowded,
            target=limits.occupancy_percent,
            unit="%",
            sentence=f"{crowded:.1f} % of the pixels are hit per frame in exposure {number}.",
        )
        silent_s = self._silent_s(report, number)
        exposing = segment is not None and segment.mode == "xcs" and not report.stopped
        yield Claim(
            holds=exposing and silent_s > limits.stale_s,
            kind="alarm",
            subject="stale",
            value=silent_s,
            target=limits.stale_s,
            unit="s",
            sentence=f"The newest frame came {silent_s:.0f} s ago.",
        )

    def _silent_s(self, report: Report, segment: int | None) -> float:
        """Seconds without a frame since an exposure began; those of a CT scan do not count."""
        ct, now_s = report.find(CtResult), time.monotonic()
        scanning = ct is not None and any(scan.status == "collecting" for scan in ct.scans)
        heard = report.totals.received, segment
        if heard != self._heard or scanning or report.final:
            self._heard, self._heard_s = heard, now_s
        return now_s - self._heard_s


def targets(result: ComptonResult) -> Iterator[Claim]:
    """Whether an exposure, and each component of each state, is known well enough."""
    target, wanted = result.config.pooling.target_relative_sigma, result.config.advice.target_counts
    segment = result.segment
    if segment is not None and segment.mode == "xcs":
        of_exposure = f"exposure {segment.number}"
        yield _known("emf_mean", of_exposure, result.mean.relative_sigma, target, segment.number)
        if wanted is not None:
            counts = float(result.compton_counts[result.valid].sum())
            yield Claim(
                holds=counts >= wanted,
                kind="target",
                subject="compton_counts",
                segment=segment.number,
                value=counts,
                target=wanted,
                sentence=f"The Compton counts of {of_exposure} are {counts:,.0f}.",
            )
    for state, parts in result.components.items():
        for name, part in parts.items():
            subject, sigma = f"emf_{name}_state_{state}", part.windows.relative_sigma
            yield _known(subject, f"the {name} in state {state}", sigma, target)


def _known(
    subject: str, what: str, sigma: FloatArray, target: float, segment: int | None = None
) -> Claim:
    """Whether sigma/EMF is on target; undefined is not."""
    relative = float(sigma)
    value = relative if math.isfinite(relative) else None
    known = "not known" if value is None else f"known to {PERCENT * value:.3g} %"
    return Claim(
        holds=value is not None and value <= target,
        kind="target",
        subject=subject,
        segment=segment,
        value=value,
        target=target,
        sentence=f"The EMF of {what} is {known}, the target is {PERCENT * target:.3g} %.",
    )


def gain(drift: DriftResult) -> Claim:
    """Whether the gain has drifted."""
    newest = drift.history()[-1][1] if drift.points else None
    return Claim(
        holds=bool(drift.alarm),
        kind="alarm",
        subject="gain",
        value=newest,
        target=drift.settings.alarm_percent,
        unit="%",
        sentence=drift.alarm or "The gain is what it was.",
    )
