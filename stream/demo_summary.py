"""What the demo found, beside what it should have found."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from hexlive.stream.config import Config
from hexlive.stream.doctor import examine_monitor
from hexlive.stream.phantom import make_phantom
from hexlive.stream.recorder import scan_name
from hexlive.stream.results import CtResult
from hexlive.stream.session import Outcome
from hexlive.stream.simulate import Simulator
from hexlive.stream.truth import Truth, truth


def summarise(
    out: Path, simulator: Simulator, config: Config, outcome: Outcome, rates_hz: Sequence[float]
) -> list[str]:
    """Read the files that the demo left and hold them against the truth; lines to print."""
    expected = truth(simulator, config.events, config.spectrum)
    expected.save(out / "truth.json")
    with h5py.File(out / "result.nxs") as file:
        entry = file["entry"]
        return [
            "",
            _stream_line(outcome, rates_hz, config.detector.frame_rate_hz),
            "",
            *_emf_lines(entry, expected),
            "",
            *_ct_lines(out, entry, expected, simulator),
            "",
            *_file_lines(out),
        ]


def _stream_line(outcome: Outcome, rates_hz: Sequence[float], wanted_hz: float) -> str:
    totals = outcome.report.totals
    rejected = outcome.report.rejected.total()
    sustained_hz = float(np.mean(rates_hz or [0.0]))
    keeps_up = sustained_hz >= wanted_hz
    slow = "" if keeps_up else f" This machine does not keep up with {wanted_hz:,.0f} Hz."
    return (
        f"Stream: {sustained_hz:,.0f} frames/s sustained "
        f"(slowest exposure {min(rates_hz, default=0.0):,.0f}), {totals.received:,} frames, "
        f"{totals.lost} lost, {rejected} rejected.{slow}"
    )


def _emf_lines(entry: h5py.Group, expected: Truth) -> Iterator[str]:
    """One line per state and component; the truth is that of the detector, not of free atoms."""
    yield "EMF           state   measured    sigma   truth seen   pull   free atoms"
    trend = entry["trend"]
    if "state" not in trend:
        yield "No state was measured in all its regions."
        return
    known = {(row.state, row.name): row for row in expected.emf}
    rows = zip(
        trend["state"][()], trend["component"].asstr()[()], trend["emf"][()],
        trend["emf_sigma"][()], strict=True,
    )  # fmt: skip
    for state, name, emf, sigma in rows:
        row = known[int(state), name]
        pull = (emf - row.seen) / np.hypot(sigma, row.seen_sigma)
        free = "" if row.free is None else f"{row.free:.3f}"
        yield (
            f"{name:<14}{state:>4}{emf:>12.4f}{sigma:>9.4f}{row.seen:>12.4f}{pull:>+8.1f}{free:>12}"
        )


def _ct_lines(out: Path, entry: h5py.Group, expected: Truth, simulator: Simulator) -> Iterator[str]:
    for known in expected.ct:
        name = scan_name(known.scan)
        scan = entry.get(f"ct/{name}")
        if scan is None:
            yield f"CT {name}: never began"
            continue
        if scan.attrs["status"] != "done":
            yield f"CT {name}: {scan.attrs['status']}, {scan.attrs['note']}"
            continue
        volume = out / scan["volume_file"].asstr()[()]
        phantom = make_phantom(known.state, simulator.settings.scan, simulator.settings.seed)
        error = slice_error(volume, phantom.volume)
        yield (
            f"CT {name}, state {known.state}: centre {scan['centre_px'][()]:.2f} px "
            f"(truth {known.centre_px:.2f}), Ra {scan['ra_um'][()]:.2f} um "
            f"(truth {known.ra_um:.2f}), Rq {scan['rq_um'][()]:.2f} um (truth {known.rq_um:.2f}),"
        )
        yield (
            f"  slice error {error:.1%} of the contrast (rms), engine "
            f"{scan['engine'].asstr()[()]}, {scan['seconds'][()]:.1f} s."
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
    out: Path, simulator: Simulator, outcome: Outcome, exit_code: int | None
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
