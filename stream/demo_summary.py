"""What the demo found, beside what it should have found."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from hexlive.stream.config import Config
from hexlive.stream.phantom import make_phantom
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
    expected, received = outcome.report.totals
    rejected = outcome.report.rejected.total()
    slowest_hz = min(rates_hz, default=0.0)
    slow = (
        "" if slowest_hz >= wanted_hz else f" This machine does not keep up with {wanted_hz:g} Hz."
    )
    return (
        f"Stream: {np.mean(rates_hz or [0]):,.0f} frames/s sustained "
        f"(slowest exposure {slowest_hz:,.0f}), {received:,} frames, "
        f"{expected - received} lost, {rejected} rejected.{slow}"
    )


def _emf_lines(entry: h5py.Group, expected: Truth) -> Iterator[str]:
    """One line per state and component; the truth is that of the detector, not of free atoms."""
    yield "EMF           state   measured    sigma   truth seen   pull   free atoms"
    trend = entry["trend"]
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
        name = f"scan_{known.scan:04d}"
        scan = entry["ct"][name]
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
        yield f"{path}  {path.stat().st_size / 1e6:.1f} MB" if path.exists() else f"{path}  MISSING"
