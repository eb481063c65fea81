"""What the demo found, beside what it should have found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from hexlive.stream.config import Config
from hexlive.stream.doctor import examine_monitor
from hexlive.stream.recorder import scan_name
from hexlive.stream.results import CtResult
from hexlive.stream.session import Outcome
from hexlive.stream.simulator.phantom import make_phantom
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.simulator.truth import CtTruth, EmfTruth, Truth, truth

# Sigmas: chance alone goes this far in one of 200,000 demos of nine values.
MAX_PULL: Final = 5.0
# A centre that is wrong by half a pixel doubles every edge visibly.
MAX_CENTRE_ERROR_PX: Final = 0.5
# Ra and slices of a correct reconstruction of these few projections are well within these; a wrong
# scale, axis or orientation of the volume is far outside.
MAX_RA_ERROR: Final = 0.2
MAX_SLICE_ERROR: Final = 0.15


@dataclass(frozen=True, kw_only=True)
class EmfCheck:
    """EMF of one component in one state; the truth is that of the detector, not of free atoms."""

    emf: float
    sigma: float
    known: EmfTruth

    @property
    def pull(self) -> float:
        """Difference in sigmas; NaN where too few counts leave the EMF undefined."""
        return float((self.emf - self.known.seen) / np.hypot(self.sigma, self.known.seen_sigma))


@dataclass(frozen=True, kw_only=True)
class CtCheck:
    """One reconstructed scan; ``slice_error`` is relative to the phantom's maximum."""

    name: str
    centre_px: float
    ra_um: float
    rq_um: float
    slice_error: float
    engine: str
    seconds: float
    known: CtTruth


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that was measured, beside its truth; a scan without a volume is a sentence."""

    emf: list[EmfCheck]
    ct: list[CtCheck | str]


NOTHING: Final = Comparison(emf=[], ct=[])


def compare(out: Path, simulator: Simulator, config: Config) -> Comparison:
    """Write the truth, and read the files that the demo left."""
    expected = truth(simulator, config.events)
    expected.save(out / "truth.json")
    with h5py.File(out / "result.nxs") as file:
        entry = file["entry"]
        return Comparison(
            emf=list(_emf_checks(entry["trend"], expected)),
            ct=[_ct_check(out, entry, known, simulator) for known in expected.ct],
        )


def _emf_checks(trend: h5py.Group, expected: Truth) -> Iterator[EmfCheck]:
    if "state" not in trend:
        return
    known = {(row.state, row.name): row for row in expected.emf}
    rows = zip(
        trend["state"][()], trend["component"].asstr()[()], trend["emf"][()],
        trend["emf_sigma"][()], strict=True,
    )  # fmt: skip
    for state, name, emf, sigma in rows:
        yield EmfCheck(emf=float(emf), sigma=float(sigma), known=known[int(state), name])


def _ct_check(out: Path, entry: h5py.Group, known: CtTruth, simulator: Simulator) -> CtCheck | str:
    name = scan_name(known.scan)
    scan = entry.get(f"ct/{name}")
    if scan is None:
        return f"CT {name}: never began"
    if scan.attrs["status"] != "done":
        return f"CT {name}: {scan.attrs['status']}, {scan.attrs['note']}"
    phantom = make_phantom(known.state, simulator.settings.scan, simulator.settings.seed)
    numbers = {key: float(scan[key][()]) for key in ("centre_px", "ra_um", "rq_um", "seconds")}
    return CtCheck(
        name=name,
        slice_error=slice_error(out / scan["volume_file"].asstr()[()], phantom.volume),
        engine=scan["engine"].asstr()[()],
        known=known,
        **numbers,
    )


def slice_error(volume_file: Path, truth_volume: np.ndarray) -> float:
    """Rms difference of volume and phantom inside the field of view, over the phantom's maximum."""
    with h5py.File(volume_file) as file:
        volume = file["entry/data/data"][()]
    size = truth_volume.shape[-1]
    y, x = np.indices((size, size)) - (size - 1) / 2
    inside = np.hypot(y, x) < 0.48 * size
    difference = (volume - truth_volume)[:, inside]
    return float(np.sqrt(np.mean(difference**2)) / truth_volume.max())


def summarise(
    out: Path, config: Config, outcome: Outcome, found: Comparison, rates_hz: Sequence[float]
) -> list[str]:
    """Lines to print.

    Parameters
    ----------
    rates_hz
        Of each exposure.
    """
    return [
        "",
        _stream_line(outcome, rates_hz, config.detector.frame_rate_hz),
        "",
        *_emf_lines(found.emf),
        "",
        *(line for check in found.ct for line in _ct_lines(check)),
        "",
        *_file_lines(out),
    ]


def _stream_line(outcome: Outcome, rates_hz: Sequence[float], wanted_hz: float) -> str:
    """The median exposure is what is sustained: the first can hold a burst that catches up."""
    totals = outcome.report.totals
    rejected = outcome.report.rejected.total()
    sustained_hz = float(np.median(rates_hz or [0.0]))
    keeps_up = sustained_hz >= wanted_hz
    slow = "" if keeps_up else f" This machine does not keep up with {wanted_hz:,.0f} Hz."
    return (
        f"Stream: {sustained_hz:,.0f} frames/s sustained "
        f"(slowest exposure {min(rates_hz, default=0.0):,.0f}), {totals.received:,} frames, "
        f"{totals.lost} lost, {rejected} rejected.{slow}"
    )


def _emf_lines(checks: Sequence[EmfCheck]) -> Iterator[str]:
    yield "EMF           state   measured    sigma   truth seen   pull   free atoms"
    if not checks:
        yield "No state was measured in all its regions."
    for check in checks:
        known = check.known
        free = "" if known.free is None else f"{known.free:.3f}"
        yield (
            f"{known.name:<14}{known.state:>4}{check.emf:>12.4f}{check.sigma:>9.4f}"
            f"{known.seen:>12.4f}{check.pull:>+8.1f}{free:>12}"
        )


def _ct_lines(check: CtCheck | str) -> Iterator[str]:
    if isinstance(check, str):
        yield check
        return
    known = check.known
    yield (
        f"CT {check.name}, state {known.state}: centre {check.centre_px:.2f} px "
        f"(truth {known.centre_px:.2f}), Ra {check.ra_um:.2f} um "
        f"(truth {known.ra_um:.2f}), Rq {check.rq_um:.2f} um (truth {known.rq_um:.2f}),"
    )
    yield (
        f"  slice error {check.slice_error:.1%} of the contrast (rms), engine "
        f"{check.engine}, {check.seconds:.1f} s."
    )


def _file_lines(out: Path) -> Iterator[str]:
    for name in ("result.nxs", "recording.h5", "monitor.png", "truth.json"):
        path = out / name
        if path.exists():
            yield f"{path}  {path.stat().st_size / 1e6:.1f} MB"
        elif name == "monitor.png" and (found := examine_monitor()).verdict == "absent":
            yield f"{path}  not drawn, Qt cannot be used here: {found.detail}"
        else:
            yield f"{path}  MISSING"


def shortcomings(
    out: Path,
    simulator: Simulator,
    outcome: Outcome,
    found: Comparison,
    exit_code: int | None,
) -> Iterator[str]:
    """What a demo that works would not have; a sentence each.

    Parameters
    ----------
    exit_code
        Of the simulator; None: it had to be stopped.
    """
    yield from outcome.faults
    settings = simulator.settings
    if exit_code != 0:
        ended = "did not end" if exit_code is None else f"ended with exit code {exit_code}"
        yield f"The simulator {ended}."
    if missing := settings.n_frames - outcome.report.totals.received:
        yield f"{missing:,} of {settings.n_frames:,} frames were lost."
    ct = outcome.report.find(CtResult)
    n_begun = len(ct.scans) if ct else 0
    n_scans = sum(state in settings.ct_after_states for state in settings.states)
    if n_begun < n_scans:
        yield f"{n_scans - n_begun} of {n_scans} CT scans never began."
    picture = out / "monitor.png"
    if not picture.exists() and examine_monitor().verdict != "absent":
        yield f"{picture} was not drawn."
    yield from disagreements(found)


def disagreements(found: Comparison) -> Iterator[str]:
    """What was measured and is not the truth; a sentence each."""
    for emf in found.emf:
        if abs(emf.pull) > MAX_PULL:
            known = emf.known
            yield (
                f"EMF of the {known.name} in state {known.state} is {emf.emf:.4f}, "
                f"{abs(emf.pull):.1f} sigma from the truth {known.seen:.4f}."
            )
    for ct in found.ct:
        if isinstance(ct, CtCheck):
            yield from _ct_disagreements(ct)


def _ct_disagreements(ct: CtCheck) -> Iterator[str]:
    """Written so that a NaN is a disagreement too."""
    known = ct.known
    if not abs(ct.centre_px - known.centre_px) <= MAX_CENTRE_ERROR_PX:
        yield (
            f"CT {ct.name}: the centre is at {ct.centre_px:.2f} px, "
            f"the truth is {known.centre_px:.2f} px."
        )
    if not abs(ct.ra_um - known.ra_um) <= MAX_RA_ERROR * known.ra_um:
        yield f"CT {ct.name}: Ra is {ct.ra_um:.2f} um, the truth is {known.ra_um:.2f} um."
    if not ct.slice_error <= MAX_SLICE_ERROR:
        yield (
            f"CT {ct.name}: the slices differ from the truth by {ct.slice_error:.1%} of the "
            f"contrast, more than {MAX_SLICE_ERROR:.0%}."
        )
