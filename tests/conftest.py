"""For all tests: the slow reference, the command line, the real data, what stands for a GPU.

The slow reference has the semantics of docs/events.md, one label and one pixel at a time.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import scipy.sparse
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.kernels.backend import (
    DROP_REASONS,
    Counts,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.reconstruct.optional import EngineUnavailableError, gpu_cupy

# Real data are not part of the project; this says where they are.
DATA = Path(
    os.environ.get("HEXLIVE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
MASK_64 = 2**64 - 1
Batches = Sequence[tuple[int, NDArray[np.uint16]]]
F32 = np.float32
Command = Callable[..., tuple[int, str]]


def mix(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & MASK_64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK_64
    return z ^ (z >> 31)


def dither_adu(seed: int, frame_number: int, pixel: int) -> float:
    bits = mix((mix((mix(seed & MASK_64) + frame_number) & MASK_64) + pixel) & MASK_64)
    return (bits >> 40) / 2**24 - 0.5


def energy_kev(adu: NDArray[np.float32], pixels: PixelMaps) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        energy = (adu - pixels.pedestal_adu) * pixels.gradient_kev_per_adu + pixels.intercept_kev
    assert energy.dtype == np.float32
    return energy


class SlowCounter:
    """Counts as plainly as possible."""

    def __init__(
        self, events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
    ) -> None:
        self.events, self.spectrum, self.pixels = events, spectrum, pixels
        shape = pixels.shape
        self.spectra = np.zeros((*shape, spectrum.n_bins), np.uint32)
        self.single_spectra = np.zeros((*shape, spectrum.n_bins), np.uint32)
        self.under, self.over = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32)
        self.hits, self.low, self.high = (np.zeros(shape, np.uint64) for _ in range(3))
        self.sizes = np.zeros(5, np.uint64)
        self.fates: Counter[str] = Counter()
        self.previous: tuple[int, NDArray[np.bool_]] = (-2, np.zeros(shape, bool))
        self.n_frames = 0
        calibration = (
            pixels.pedestal_adu,
            pixels.gradient_kev_per_adu,
            pixels.intercept_kev,
            pixels.threshold_kev,
        )
        usable = np.all(np.isfinite(calibration), axis=0) & (pixels.gradient_kev_per_adu > 0)
        self.masked = pixels.masked | ~usable
        self.structure = np.ones((3, 3), bool)
        if events.connectivity == 4:
            self.structure = ndimage.generate_binary_structure(2, 1)

    def add(self, frame: NDArray[np.uint16], number: int) -> None:
        energy = energy_kev(frame.astype(np.float32), self.pixels)
        threshold = self.pixels.threshold_kev
        if self.events.low_threshold_kev is not None:
            threshold = np.full_like(threshold, self.events.low_threshold_kev)
        hit = (energy >= threshold) & ~self.masked
        self.hits += hit
        self.n_frames += 1
        kept = hit
        if self.events.next_frame and self.previous[0] == number - 1:
            kept = hit & ~self.previous[1]
        self.fates["next_frame"] += int(np.sum(hit & ~kept))
        self.previous = (number, hit)
        booked = energy
        if self.events.dither:
            seed, columns = self.events.dither_seed, frame.shape[1]
            offset = np.zeros(frame.shape, np.float32)
            for row, column in np.argwhere(kept):
                offset[row, column] = dither_adu(seed, number, int(row * columns + column))
            booked = energy_kev(frame.astype(np.float32) + offset, self.pixels)
        for module in self.modules():
            self.add_module(module, kept, energy, booked)

    def modules(self) -> list[tuple[slice, slice]]:
        down, across = self.pixels.modules
        height, width = self.masked.shape[0] // down, self.masked.shape[1] // across
        return [
            np.s_[height * i : height * (i + 1), width * j : width * (j + 1)]
            for i in range(down)
            for j in range(across)
        ]

    def add_module(
        self,
        module: tuple[slice, slice],
        kept: NDArray[np.bool_],
        energy: NDArray[np.float32],
        booked: NDArray[np.float32],
    ) -> None:
        labels, n_clusters = ndimage.label(kept[module], self.structure)
        beside = ndimage.binary_dilation(self.masked[module], self.structure)
        corner = np.array([module[0].start, module[1].start])
        for label in range(1, n_clusters + 1):
            members = np.argwhere(labels == label)
            vetoed = self.events.veto_masked and bool(beside[tuple(members.T)].any())
            self.add_cluster(members + corner, vetoed, energy, booked)

    def add_cluster(
        self,
        members: NDArray[np.intp],
        vetoed: bool,
        energy: NDArray[np.float32],
        booked: NDArray[np.float32],
    ) -> None:
        cells = [(int(row), int(column)) for row, column in members]
        size, policy = len(cells), self.events.policy
        if not any(energy[cell] >= self.pixels.threshold_kev[cell] for cell in cells):
            self.fates["below_threshold"] += size
            return
        self.sizes[min(size, 5) - 1] += np.uint64(1)
        if vetoed:
            self.fates["vetoed"] += size
        elif policy == "none":
            for cell in cells:
                self.book(cell, booked[cell], 1, single=size == 1)
        elif size > (1 if policy == "discriminate" else self.events.max_cluster):
            self.fates["too_large"] += size
        else:
            total = booked[cells[0]]
            for cell in cells[1:]:
                total = F32(total + booked[cell])
            if size == 2 and self.events.charge_loss:
                total *= self.charge_loss(booked[cells[0]], booked[cells[1]])
            largest = min(cells, key=lambda cell: (-energy[cell], cell))
            self.book(largest, total, size, single=size == 1)

    def charge_loss(self, first_kev: Any, second_kev: Any) -> Any:
        curve = self.pixels.charge_loss
        assert curve is not None
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = F32(F32(first_kev - second_kev) / F32(first_kev + second_kev))
        position = F32(F32(ratio + F32(1)) * F32((len(curve) - 1) / 2))
        position = F32(np.clip(np.nan_to_num(position, nan=0), 0, len(curve) - 1))
        node = min(int(position), len(curve) - 2)
        slope = F32(curve[node + 1] - curve[node])
        return F32(curve[node] + F32(F32(position - F32(node)) * slope))

    def book(self, cell: tuple[int, int], event_kev: Any, n_hits: int, *, single: bool) -> None:
        assert event_kev.dtype == np.float32
        axis = self.spectrum
        position = np.floor((event_kev - F32(axis.min_kev)) * F32(1 / axis.bin_kev))
        if position < 0:
            self.under[cell] += 1
            self.fates["under"] += n_hits
        elif position >= axis.n_bins:
            self.over[cell] += 1
            self.fates["over"] += n_hits
        else:
            self.spectra[(*cell, int(position))] += 1
            self.single_spectra[(*cell, int(position))] += single
            self.fates["booked"] += n_hits
        if self.pixels.window_edges_kev is not None:
            window = int(np.sum(event_kev >= self.pixels.window_edges_kev[:, *cell]))
            self.low[cell] += np.uint64(window == 2)
            self.high[cell] += np.uint64(window in (1, 3))

    def snapshot(self) -> Counts:
        return Counts(
            spectra=self.spectra,
            single_spectra=self.single_spectra if self.events.keep_multiplicity else None,
            under=self.under,
            over=self.over,
            hits=self.hits,
            cluster_sizes=self.sizes,
            window_low=self.low,
            window_high=self.high,
            booked_hits=self.fates["booked"],
            under_hits=self.fates["under"],
            over_hits=self.fates["over"],
            n_frames=self.n_frames,
            dropped_hits={reason: self.fates[reason] for reason in DROP_REASONS},
        )


def _count_slowly(
    batches: Batches, *, events: EventSettings, spectrum: SpectrumSettings, pixels: PixelMaps
) -> Counts:
    counter = SlowCounter(events, spectrum, pixels)
    for first_frame, frames in batches:
        for i, frame in enumerate(frames):
            counter.add(frame, first_frame + i)
    return counter.snapshot()


@pytest.fixture(scope="session")
def count_slowly() -> Callable[..., Counts]:
    """Counts of ``batches`` [(first frame number, frames)] by the slow reference."""
    return _count_slowly


def _make_pixels(shape: tuple[int, int], **maps: Any) -> PixelMaps:
    calibration = {
        "pedestal_adu": 0,
        "gradient_kev_per_adu": 1,
        "intercept_kev": 0,
        "threshold_kev": 3,
    }
    arrays = {
        name: np.broadcast_to(np.float32(maps.pop(name, value)), shape)
        for name, value in calibration.items()
    }
    return PixelMaps(**({"masked": np.zeros(shape, bool)} | arrays | maps))


@pytest.fixture(scope="session")
def make_pixels() -> Callable[..., PixelMaps]:
    """Pixel maps of a shape: 1 keV/ADU, threshold 3 keV, nothing masked, unless told otherwise."""
    return _make_pixels


@pytest.fixture(scope="session")
def slow_dither_adu() -> Callable[[int, int, int], float]:
    """Dither offset in plain Python integers."""
    return dither_adu


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there; HEXLIVE_TEST_DATA names the folder of the real data")
    return DATA


@pytest.fixture
def hexlive(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command; give back its exit code and what it said."""
    from hexlive.stream.cli import main  # the kernels are tested without what this needs

    def command(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["hexlive", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return command


class NumpyAsCupy(ModuleType):
    """NumPy under the names of CuPy, for what it shares with it and the little it has besides."""

    def __init__(self, free_bytes: int = 1 << 30) -> None:
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.synchronized = 0
        self.cuda = SimpleNamespace(
            runtime=SimpleNamespace(
                getDeviceCount=lambda: 1, memGetInfo=lambda: (free_bytes, 2 * free_bytes)
            ),
            get_current_stream=lambda: SimpleNamespace(synchronize=self._synchronize),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def _synchronize(self) -> None:
        self.synchronized += 1

    @staticmethod
    def asnumpy(array: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        if out is None:
            return array.copy()
        out[:] = array
        return out

    @staticmethod
    def get_default_memory_pool() -> SimpleNamespace:
        return SimpleNamespace(free_all_blocks=lambda: None)


@pytest.fixture
def numpy_as_cupy(monkeypatch: pytest.MonkeyPatch) -> NumpyAsCupy:
    """What stands for CuPy where there is no GPU: the engines for it run on NumPy's arrays."""
    cupy = NumpyAsCupy()
    parts = {
        "cupy": cupy,
        "cupyx.scipy.fft": scipy.fft,
        "cupyx.scipy.ndimage": scipy.ndimage,
        "cupyx.scipy.sparse": scipy.sparse,
    }
    for name in ("cupyx", "cupyx.scipy"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, module in parts.items():
        monkeypatch.setitem(sys.modules, name, module)
    return cupy


@pytest.fixture(params=["cupy", "numpy as cupy"])
def gpu(request: pytest.FixtureRequest) -> Any:
    """CuPy with its GPU, or NumPy in its place."""
    if request.param == "numpy as cupy":
        return request.getfixturevalue("numpy_as_cupy")
    try:
        return gpu_cupy("This test")
    except EngineUnavailableError as error:
        if os.environ.get("HEXLIVE_GPU") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))
