"""Event kernels beside the facility's algorithm in C++ and a plain scan, in one run, on one core.

Run: python benchmarks/kernels.py [--frames 16384] [--pairs 9] [--json FILE]

Medians of alternating runs. Occupancy is the fraction of pixels hit; 30 % of the photons are shared
by two pixels. The C++ comparator is compiled on the spot; without a compiler its column is empty.
"""

import argparse
import ctypes
import json
import platform
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.cpu import CpuBackend

SHAPE = (80, 80)
OCCUPANCIES = (0.01, 0.03, 0.10)
SHARED = 0.3
GRADIENT_KEV_PER_ADU = 0.029  # a measured camera
INTERCEPT_KEV = 1.2
NOISE_ADU = 40
THRESHOLD_ADU = 100
SPECTRUM = SpectrumSettings(max_kev=200.0, bin_kev=0.2)
BATCH = 1024
COMPARATOR = Path(__file__).with_name("facility_chain.cpp")


def make_frames(occupancy: float, n_frames: int) -> NDArray[np.uint16]:
    """Noise below the threshold, and photons of 10 to 170 keV; 30 % give a part to a neighbour."""
    rng = np.random.default_rng(1)
    rows, columns = SHAPE
    frames = rng.integers(0, NOISE_ADU, (n_frames, *SHAPE), np.uint16)
    n_photons = round(occupancy * frames.size / (1 + SHARED))
    frame = rng.integers(0, n_frames, n_photons)
    row, column = rng.integers(0, rows, n_photons), rng.integers(0, columns - 1, n_photons)
    adu = rng.integers(400, 5800, n_photons)
    part = np.where(rng.random(n_photons) < SHARED, rng.uniform(0.3, 0.7, n_photons), 0)
    given = (adu * part).astype(np.uint16)
    frames[frame, row, column] = adu - given
    shared = given > 0
    frames[frame[shared], row[shared], column[shared] + 1] = given[shared]
    return frames


def make_pixels() -> PixelMaps:
    """Equal pixels."""

    def equal(value: float) -> NDArray[np.float32]:
        return np.full(SHAPE, value, np.float32)

    return PixelMaps(
        pedestal_adu=equal(0),
        gradient_kev_per_adu=equal(GRADIENT_KEV_PER_ADU),
        intercept_kev=equal(INTERCEPT_KEV),
        threshold_kev=equal(THRESHOLD_ADU * GRADIENT_KEV_PER_ADU + INTERCEPT_KEV),
        masked=np.zeros(SHAPE, bool),
    )


def compile_comparator(folder: Path) -> ctypes.CDLL | None:
    """Compile for this very processor, as numba does; None where there is no compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    library = folder / "facility_chain.so"
    options = ["-O3", "-march=native", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([compiler, *options, str(COMPARATOR)], check=True)
    return ctypes.CDLL(str(library))


def comparator_run(library: ctypes.CDLL, frames: NDArray[np.uint16]) -> Callable[[], object]:
    """One pass of the comparator over the frames."""
    gradient = np.full(SHAPE, GRADIENT_KEV_PER_ADU, np.float32)
    intercept = np.full(SHAPE, INTERCEPT_KEV, np.float32)
    spectra = np.zeros((*SHAPE, SPECTRUM.n_bins), np.uint32)

    def pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    return lambda: library.count_frames(
        pointer(frames),
        ctypes.c_size_t(len(frames)),
        *SHAPE,
        ctypes.c_float(THRESHOLD_ADU),
        pointer(gradient),
        pointer(intercept),
        SPECTRUM.n_bins,
        ctypes.c_float(SPECTRUM.bin_kev),
        pointer(spectra),
    )


def kernel_run(frames: NDArray[np.uint16], policy: str) -> Callable[[], object]:
    """One pass of the event kernels over the frames."""
    events = EventSettings(policy=policy)  # type: ignore[arg-type]
    backend = CpuBackend(events=events, spectrum=SPECTRUM, pixels=make_pixels())

    def count() -> None:
        for begin in range(0, len(frames), BATCH):
            backend.add(frames[begin : begin + BATCH], begin)

    return count


def median_rates_hz(
    runs: dict[str, Callable[[], object]], n_frames: int, n_pairs: int
) -> dict[str, float]:
    """Median frames per second of each, taking turns so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(n_pairs + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - began)
    return {name: n_frames / statistics.median(taken) for name, taken in times.items()}


def measure(
    occupancy: float, n_frames: int, n_pairs: int, library: ctypes.CDLL | None
) -> dict[str, float]:
    """One row of the table."""
    frames = make_frames(occupancy, n_frames)
    runs = {policy: kernel_run(frames, policy) for policy in ("add", "discriminate")}
    runs["scan"] = frames.max
    if library is not None:
        runs["comparator"] = comparator_run(library, frames)
    rates = median_rates_hz(runs, n_frames, n_pairs)
    rates["ratio"] = rates["add"] / rates.get("comparator", np.nan)
    rates["of_scan"] = rates["add"] / rates["scan"]
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"occupancy": occupancy, **rates, "peak_mib": peak_kib / 1024}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16384)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = compile_comparator(Path(folder))
        rows = [measure(o, options.frames, options.pairs, library) for o in OCCUPANCIES]
    print(f"{platform.processor() or platform.machine()}, frames/s on one core")
    names = list(rows[0])
    print("".join(f"{name:>14}" for name in names))
    for row in rows:
        print("".join(f"{row[name]:14,.{0 if row[name] > 100 else 2}f}" for name in names))
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.processor(), "rows": rows}))


if __name__ == "__main__":
    main()
