import time

import numpy as np
import pytest

from hexlive.reconstruct import optional
from hexlive.reconstruct.ct import choosing
from hexlive.reconstruct.ct.choosing import candidates, choose, seconds_per_slice
from hexlive.reconstruct.ct.engines import Engine, pick_engine
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.optional import EngineUnavailableError

N_ANGLES = 80


@pytest.fixture
def geometry(monkeypatch):
    monkeypatch.setattr(choosing, "_choices", {})
    angles_rad = np.arange(N_ANGLES) * np.pi / N_ANGLES
    return Geometry(angles_rad=angles_rad, centre_px=31.5, columns=64)


class Engines:
    """Engines whose times are set: milliseconds per angle and call."""

    def __init__(self, monkeypatch, **ms_per_angle):
        self.opened = []
        self._ms_per_angle = ms_per_angle
        self._clock_s = 0.0
        monkeypatch.setattr(choosing, "perf_counter", lambda: self._clock_s)
        monkeypatch.setattr(choosing, "candidates", lambda: list(ms_per_angle))

    def __call__(self, name, geometry):
        self.opened.append((name, len(geometry.angles_rad)))

        def run(sinogram):
            self._clock_s += len(sinogram) * self._ms_per_angle[name] * sinogram.shape[1] / 1000

        return run


def test_the_faster_engine_is_picked_and_the_times_are_told(monkeypatch, geometry):
    choice = choose(geometry, Engines(monkeypatch, fourier=0.75, numba=0.25))
    assert choice.name == "numba"
    assert choice.reason == "numba by measurement, per slice: fourier 60 ms, numba 20 ms."


def test_an_engine_that_errs_more_must_be_twice_as_fast(monkeypatch, geometry):
    assert choose(geometry, Engines(monkeypatch, fourier=0.50, numba=0.30)).name == "fourier"


def test_each_geometry_is_measured_once(monkeypatch, geometry):
    engines = Engines(monkeypatch, fourier=0.75, numba=0.25)
    choose(geometry, engines)
    n_opened = len(engines.opened)
    assert choose(geometry, engines).name == "numba"
    assert len(engines.opened) == n_opened


def test_numba_is_timed_on_few_angles(monkeypatch, geometry):
    engines = Engines(monkeypatch, numba=0.25)
    assert seconds_per_slice("numba", geometry, engines) == pytest.approx(0.25e-3 * N_ANGLES)
    assert max(n for _, n in engines.opened) < N_ANGLES


def test_an_engine_that_fails_is_passed_over(monkeypatch, geometry):
    engines = Engines(monkeypatch, astra=0.1, numba=0.25)

    def opener(name, geometry):
        if name == "astra":
            raise EngineUnavailableError("The GPU is full.")
        return engines(name, geometry)

    assert choose(geometry, opener).name == "numba"


def test_without_finufft_and_gpu_numba_is_all_there_is(monkeypatch, geometry):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(optional, "import_module", absent)
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    assert candidates() == ["numba"]
    assert choose(geometry, Engine) == ("numba", "numba is the only engine here.")


def test_a_gpu_comes_first(numpy_as_cupy):
    assert candidates()[0] == "fourier-gpu"


def test_a_gpu_that_cannot_be_reached_is_no_candidate(numpy_as_cupy):
    def unreachable():
        raise RuntimeError("cudaErrorNoDevice")

    numpy_as_cupy.cuda.runtime.getDeviceCount = unreachable
    assert candidates()[-1] == "numba"
    assert "fourier-gpu" not in candidates()


def test_auto_measures_for_real(geometry):
    began = time.perf_counter()
    name, reason = pick_engine("auto", geometry)
    assert name in candidates()
    assert reason.startswith(f"{name} ")
    assert time.perf_counter() > began
    assert pick_engine("numba", geometry) == ("numba", "numba as asked for.")
