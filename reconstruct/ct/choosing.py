"""The engine "auto": those present are timed on the scan's own geometry, once per geometry."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from time import perf_counter
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.astra_engines import gpu_astra
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.optional import EngineUnavailableError, gpu_cupy

GPU_ENGINES: Final = ("fourier-gpu", "astra")
CLEARLY: Final = 0.5  # of the time: the engines that come first also err less
TIMED_ROWS: Final = {"fourier": (2, 8), "numba": (32, 32), "fourier-gpu": (8, 64), "astra": (8, 64)}
TIMED_POINTS: Final = 1 << 22  # of all rows together, between those bounds
FEW_ANGLES: Final = 32  # numba takes in proportion to the angles, so only so many are timed
REPEATS: Final = 2


class Choice(NamedTuple):
    """The name of an engine, and a sentence with the times that decided."""

    name: str
    reason: str


class Timed(Protocol):
    """An engine as it is timed."""

    def __call__(self, sinogram: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reconstruct."""
        ...


Opener = Callable[[str, Geometry], Timed]
_choices: dict[tuple[object, ...], Choice] = {}


def candidates() -> list[str]:
    """Engines that can run here, in the order of preference at equal speed."""
    names = ["fourier"] if find_spec("finufft") else []
    names.append("numba")
    if _is_there(lambda: gpu_cupy("auto")):
        return ["fourier-gpu", *(["astra"] if _is_there(gpu_astra) else []), *names]
    return names


def choose(geometry: Geometry, opener: Opener) -> Choice:
    """The fastest engine for a geometry, by measurement; later calls give the same answer.

    Parameters
    ----------
    opener
        Makes an engine of its name and a geometry.
    """
    names = tuple(candidates())
    key = (names, len(geometry.angles_rad), geometry.columns, geometry.size)
    if key not in _choices:
        _choices[key] = _fastest(names, geometry, opener)
    return _choices[key]


def _fastest(names: tuple[str, ...], geometry: Geometry, opener: Opener) -> Choice:
    if len(names) == 1:
        return Choice(names[0], f"{names[0]} is the only engine here.")
    seconds: dict[str, float] = {}
    for name in names:
        try:
            seconds[name] = seconds_per_slice(name, geometry, opener)
        except (EngineUnavailableError, MemoryError):  # such as a GPU that is full
            continue
    best = next(iter(seconds))
    for name in seconds:
        if seconds[name] < CLEARLY * seconds[best]:
            best = name
    times = ", ".join(f"{name} {1000 * s:.3g} ms" for name, s in seconds.items())
    return Choice(best, f"{best} by measurement, per slice: {times}.")


def seconds_per_slice(name: str, geometry: Geometry, opener: Opener) -> float:
    """Time of an engine per slice, after a run to warm up; the least of two."""
    n_angles = len(geometry.angles_rad)
    if name == "numba" and n_angles > FEW_ANGLES:
        geometry = replace(geometry, angles_rad=geometry.angles_rad[:FEW_ANGLES])
    timed_angles = len(geometry.angles_rad)
    least, most = TIMED_ROWS[name]
    n_rows = max(least, min(most, TIMED_POINTS // (timed_angles * geometry.columns)))
    sinogram = np.zeros((n_rows, timed_angles, geometry.columns), np.float32)
    engine = opener(name, geometry)
    engine(sinogram)
    seconds = []
    for _ in range(REPEATS):
        began = perf_counter()
        engine(sinogram)
        seconds.append(perf_counter() - began)
    return min(seconds) / n_rows * n_angles / timed_angles


def _is_there(find: Callable[[], object]) -> bool:
    try:
        find()
    except EngineUnavailableError:
        return False
    return True
