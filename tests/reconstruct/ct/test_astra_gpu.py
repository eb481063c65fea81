"""ASTRA's GPU back-projection, as far as it goes without a GPU: what it is given, and when."""

import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from hexlive.reconstruct.ct import astra_engines
from hexlive.reconstruct.ct.astra_engines import AstraGpu, rows_that_fit
from hexlive.reconstruct.ct.direct import Direct
from hexlive.reconstruct.ct.engines import Engine, fbp
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.optional import EngineUnavailableError

N_ANGLES, COLUMNS = 60, 48
ANGLES = np.arange(N_ANGLES) * np.pi / N_ANGLES
GEOMETRY = Geometry(angles_rad=ANGLES, centre_px=23.5, columns=COLUMNS)
# No CUDA call may be reached: the first that is kills the process.
WITHOUT_A_GPU = """
import numpy as np
from hexlive.reconstruct.ct.choosing import candidates
from hexlive.reconstruct.ct.engines import fbp
from hexlive.reconstruct.optional import EngineUnavailableError

sinogram = np.ones((2, 40, 32), np.float32)
angles_rad = np.linspace(0, np.pi, 40)
assert "astra" not in candidates()
fbp(sinogram, angles_rad, 15.5, "auto")
for engine in ("astra", "fourier-gpu"):
    try:
        fbp(sinogram, angles_rad, 15.5, engine)
    except EngineUnavailableError as error:
        print(error)
"""


class FakeAstra:
    """ASTRA with a GPU, as far as the engine uses it: back-projects by numba, and watches."""

    def __init__(self):
        self.works = True
        self.slabs, self.deleted, self.inside, self.most_inside = [], [], 0, 0
        self.projector3d = SimpleNamespace(direct_BP=self._back_project, delete=self._delete)

    def use_cuda(self):
        return True

    def create_vol_geom(self, *shape):
        return shape

    def create_proj_geom(self, kind, height, width, rows, columns, angles_rad):
        assert (kind, height, width) == ("parallel3d", 1.0, 1.0)
        return rows, len(angles_rad), columns

    def create_projector(self, kind, detector, volume):
        assert kind == "cuda3d"
        return detector, volume

    def _back_project(self, projector, projections, out):
        detector, volume = projector
        for array, shape in ((projections, detector), (out, (volume[2], *volume[:2]))):
            assert array.dtype == np.float32
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert array.shape == shape
        assert np.isnan(out).all()
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.slabs.append(len(projections))
        if self.works:
            out[:] = Direct(GEOMETRY)(projections)
        self.inside -= 1

    def _delete(self, projector):
        self.deleted.append(projector)


@pytest.fixture
def astra(monkeypatch, numpy_as_cupy):
    fake = FakeAstra()
    monkeypatch.setitem(sys.modules, "astra", fake)
    return fake


def test_slices_are_those_of_the_other_engines(astra, numpy_as_cupy, disks):
    sinogram = disks.sinogram(ANGLES, 23.5, COLUMNS)
    image = fbp(sinogram, ANGLES, 23.5, "astra")
    np.testing.assert_allclose(image, fbp(sinogram, ANGLES, 23.5, "numba"), atol=1e-6)
    assert numpy_as_cupy.synchronized > 0
    assert len(astra.deleted) == 1


def test_slabs_are_as_large_as_the_gpu_allows(monkeypatch, astra):
    monkeypatch.setattr(astra_engines, "rows_that_fit", lambda geometry, n_bytes: 3)
    Engine("astra", GEOMETRY)(np.zeros((8, N_ANGLES, COLUMNS), np.float32))
    assert astra.slabs == [3, 3, 2]


def test_a_slab_leaves_room_for_the_copy_that_astra_makes():
    per_row = 4 * (3 * N_ANGLES * GEOMETRY.width + COLUMNS**2)
    rows = rows_that_fit(GEOMETRY, 20 * per_row)
    assert 1 <= rows < 20
    assert rows_that_fit(GEOMETRY, 40 * per_row) == rows + 20


def test_a_gpu_that_is_full_is_said_before_the_attempt():
    with pytest.raises(EngineUnavailableError, match="too few for one row"):
        rows_that_fit(GEOMETRY, 1000)


def test_a_call_that_fails_in_silence_is_noticed(astra):
    astra.works = False
    with pytest.raises(EngineUnavailableError, match="left the volume unfinished"):
        Engine("astra", GEOMETRY)(np.zeros((2, N_ANGLES, COLUMNS), np.float32))
    assert len(astra.deleted) == 1


def test_two_threads_take_turns(astra, numpy_as_cupy):
    engine = AstraGpu(GEOMETRY)
    projections = np.zeros((2, N_ANGLES, GEOMETRY.width), np.float32)
    threads = [threading.Thread(target=engine, args=(projections,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(astra.slabs) == 4
    assert astra.most_inside == 1


def test_without_a_gpu_nothing_of_cuda_is_reached():
    astra = pytest.importorskip("astra")
    if astra.use_cuda():
        pytest.skip("this machine has a GPU")
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_GPU], capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    assert "The engine astra needs an NVIDIA GPU that ASTRA can use." in ran.stdout
    assert "The engine fourier-gpu needs " in ran.stdout
