"""The engine for GPUs against those for CPUs: on a GPU where there is one, else on NumPy's arrays.

Runs without finufft and ASTRA, which a GPU machine may not have.
"""

from argparse import Namespace

import numpy as np
import pytest

from hexlive.benchmarks.ellipses import cell
from hexlive.benchmarks.reconstruct import run
from hexlive.reconstruct.ct.engines import Engine
from hexlive.reconstruct.ct.filtering import RampFilter
from hexlive.reconstruct.ct.fourier import Fourier
from hexlive.reconstruct.ct.geometry import Geometry, field_of_view
from hexlive.reconstruct.ct.gridding import Gridding
from hexlive.reconstruct.optional import EngineUnavailableError

N_ROWS, N_ANGLES = 5, 300
ANGLES = np.arange(N_ANGLES) * np.pi / N_ANGLES
CASES = [(200, 99.5, False), (201, 103.3, False), (130, 30.4, True)]


def case(columns, centre_px, full_turn):
    angles_rad = np.arange(2 * N_ANGLES) * np.pi / N_ANGLES if full_turn else ANGLES
    geometry = Geometry(
        angles_rad=angles_rad, centre_px=centre_px, columns=columns, extended_field=full_turn
    )
    phantom = cell(geometry.size / 2)
    one = phantom.sinogram(angles_rad, centre_px, columns)
    return geometry, phantom, one * np.arange(1, N_ROWS + 1, dtype=np.float32)[:, None, None]


@pytest.mark.parametrize(("columns", "centre_px", "full_turn"), CASES)
def test_slices_equal_those_of_the_same_lines_on_a_cpu(gpu, columns, centre_px, full_turn):
    geometry, _, sinogram = case(columns, centre_px, full_turn)
    found = Engine("fourier-gpu", geometry)(sinogram)
    fourier = Fourier(geometry, Gridding)
    expected = np.stack(fourier(fourier.prepare(RampFilter(geometry), sinogram, None))[:N_ROWS])
    inside = field_of_view(geometry.size)
    np.testing.assert_allclose(found[:, inside], expected[:, inside], atol=2e-4 * found.max())


@pytest.mark.parametrize(("columns", "centre_px", "full_turn"), CASES)
def test_slices_err_no_more_than_those_of_numba(gpu, columns, centre_px, full_turn):
    geometry, phantom, sinogram = case(columns, centre_px, full_turn)
    truth, inside = phantom.image(geometry.size), field_of_view(geometry.size)

    def rmse(engine):
        return np.sqrt(np.mean((Engine(engine, geometry)(sinogram)[0] - truth)[inside] ** 2))

    assert rmse("fourier-gpu") <= 1.01 * rmse("numba")


@pytest.mark.parametrize(("columns", "centre_px", "full_turn"), CASES)
def test_slices_of_astra_are_those_of_numba(columns, centre_px, full_turn):
    """On a GPU with ASTRA only: which way its axes point cannot be told without."""
    geometry, _, sinogram = case(columns, centre_px, full_turn)
    try:
        found = Engine("astra", geometry)(sinogram)
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    expected = Engine("numba", geometry)(sinogram)
    assert np.std(found - expected) < 0.05 * np.std(expected)


def test_rows_may_have_an_axis_each(gpu):
    geometry, _, sinogram = case(*CASES[0])
    engine = Engine("fourier-gpu", geometry)
    moved = engine(sinogram, np.linspace(-2, 2, N_ROWS))
    np.testing.assert_allclose(moved[2], engine(sinogram)[2], atol=1e-4 * moved.max())
    assert np.std(moved[0] - engine(sinogram)[0]) > 1e-2 * np.std(moved[0])


def test_a_gpu_that_is_too_small_is_said_before_the_attempt(numpy_as_cupy):
    numpy_as_cupy.cuda.runtime.memGetInfo = lambda: (1 << 20, 1 << 30)
    with pytest.raises(EngineUnavailableError, match="of which 1 are free; choose the engine"):
        Engine("fourier-gpu", case(*CASES[0])[0])


def test_the_benchmark_times_a_block_of_rows(numpy_as_cupy, monkeypatch):
    monkeypatch.setattr("hexlive.benchmarks.reconstruct.STEADY_S", 0.01)
    table = run(Namespace(size=[(32, 40)], ct_turns=1, block_rows=9, all_rmse=False))
    timed = {row["program"]: row["rmse"] for row in table.rows}
    assert timed["fourier-gpu"] <= 1.01 * timed["numba"]
    (block,) = (note for note in table.notes if note.startswith("fourier-gpu: 9 rows of 32"))
    assert "2160 rows would take" in block
    (growing,) = (note for note in table.notes if note.startswith("fourier-gpu, a volume of 9"))
    assert "s from the last 5 % of the projections to two cuts" in growing
