"""A cell that grows with its scan: on a GPU where there is one, else on NumPy's arrays.

Runs without finufft and ASTRA, which a GPU machine may not have.
"""

import sys
from functools import partial

import numpy as np
import pytest

from hexlive.reconstruct.ct import engines
from hexlive.reconstruct.ct.binning import binned_px
from hexlive.reconstruct.ct.engines import EngineUnavailableError
from hexlive.reconstruct.ct.fourier import Fourier
from hexlive.reconstruct.ct.gridding import Gridding
from hexlive.reconstruct.ct.live_volume import LiveVolume, halved
from hexlive.reconstruct.ct.scan import Scan, Taken
from hexlive.reconstruct.ct.tomography import TomographySettings, reconstruct

COLUMNS, ROWS, N_ANGLES, CENTRE_PX, BATCH = 97, 7, 120, 50.3, 24
SETTINGS = TomographySettings(centre=CENTRE_PX, rings="none")
ANGLES_DEG = np.arange(N_ANGLES) * 180 / N_ANGLES
BEAM, DARK = 40_000, 100
HEIGHTS = np.linspace(0.5, 1.5, ROWS)[:, None]


@pytest.fixture(scope="module")
def projections(disks):
    lines = disks.sinogram(np.deg2rad(ANGLES_DEG), CENTRE_PX, COLUMNS)[0]
    return np.rint(BEAM * np.exp(-lines[:, None] * HEIGHTS) + DARK).astype(np.uint16)


def references(level=BEAM):
    shape = (5, ROWS, COLUMNS)
    return np.full(shape, level + DARK, np.uint16), np.full(shape, DARK, np.uint16)


def grown(projections, settings=SETTINGS, late=None):
    """What remains of batches, with a look after each."""
    volume = LiveVolume(settings, "fourier-gpu", (ROWS, COLUMNS), CENTRE_PX, N_ANGLES)
    (flats, darks), taken = references(), np.arange(N_ANGLES)
    volume.add_references(halved(flats), halved(darks), np.full(len(flats), -1))
    for first in range(0, N_ANGLES, BATCH):
        part = slice(first, first + BATCH)
        volume.add(halved(projections[part]), ANGLES_DEG[part], taken[part])
        assert volume.cuts(finish=False)
    if late is not None:
        volume.add_references(halved(late), halved(late[:0]), np.full(len(late), N_ANGLES))
    return volume.on_host(volume.finish()), volume.cuts(finish=True)


def whole(projections, flats, flats_taken):
    """The volume of the scan with pixels twice as wide, all at once, on a CPU."""
    scan = Scan(
        projections=halved(projections), flats=halved(flats), darks=halved(references()[1]),
        angles_deg=ANGLES_DEG, taken=Taken(np.arange(N_ANGLES), flats_taken),
    )  # fmt: skip
    settings = TomographySettings(centre=binned_px(CENTRE_PX, 2), rings="none", engine="fourier")
    return reconstruct(scan, settings).volume


@pytest.mark.parametrize("drift", [None, 1.02], ids=["flats before", "and after"])
def test_batches_add_up_to_the_volume_of_the_whole_scan(gpu, monkeypatch, projections, drift):
    # The same lines on a CPU, without finufft.
    on_cpu = partial(Fourier, transform=Gridding)
    monkeypatch.setitem(engines.BACK_PROJECTORS, "fourier", on_cpu)
    (flats, _), late = references(), None
    flats_taken = np.full(len(flats), -1)
    if drift is not None:
        late, _ = references(round(drift * BEAM))
        flats, flats_taken = np.r_[flats, late], np.r_[flats_taken, np.full(len(late), N_ANGLES)]
    volume, _ = grown(projections, late=late)
    assert volume.shape == (ROWS // 2, COLUMNS // 2, COLUMNS // 2)
    expected = whole(projections, flats, flats_taken)
    np.testing.assert_allclose(volume, expected, atol=3e-4 * expected.max())


def test_cuts_lie_on_the_pixels_of_the_detector(gpu, projections, disks):
    volume, cuts = grown(projections)
    fine = reconstruct(
        Scan(
            projections=projections, flats=references()[0], darks=references()[1],
            angles_deg=ANGLES_DEG,
        ),
        TomographySettings(centre=CENTRE_PX, rings="none", engine="numba"),
    ).volume  # fmt: skip
    middle = COLUMNS // 2 // 2
    for name, coarse, sharp in (
        ("xz", volume[:, middle], fine[:, COLUMNS // 2]),
        ("yz", volume[:, :, middle], fine[:, :, COLUMNS // 2]),
    ):
        cut = cuts[name]
        np.testing.assert_allclose(cut, np.kron(coarse, np.ones((2, 2))) / 2, rtol=1e-5)
        assert cut.shape == (ROWS // 2 * 2, COLUMNS // 2 * 2)
        sharp = sharp[: cut.shape[0], : cut.shape[1]]
        assert cut.mean() == pytest.approx(sharp.mean(), rel=0.1)


def test_zingers_are_removed_from_the_coarse_pixels(gpu, projections):
    settings = TomographySettings(centre=CENTRE_PX, rings="none", zinger_ratio=0.3)
    clean, _ = grown(projections, settings)
    struck = projections.copy()
    struck[20:30, 2, 40] = 65_000
    volume, _ = grown(struck, settings)
    plain = grown(struck)[0] - grown(projections)[0]
    assert np.std(volume - clean) < 0.3 * np.std(plain)


def test_a_gpu_that_is_too_small_is_said_before_the_attempt(numpy_as_cupy):
    numpy_as_cupy.cuda.runtime.memGetInfo = lambda: (1 << 20, 1 << 30)
    with pytest.raises(EngineUnavailableError, match=r"takes \d+ MiB of the GPU, which has 1 to"):
        LiveVolume(SETTINGS, "fourier-gpu", (ROWS, COLUMNS), CENTRE_PX, 10 * N_ANGLES)


def test_without_a_gpu_there_is_no_volume(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(EngineUnavailableError, match="A live volume needs cupy"):
        LiveVolume(SETTINGS, "fourier-gpu", (ROWS, COLUMNS), CENTRE_PX, N_ANGLES)


@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 5, 7), (1, 1, 4), (0, 4, 4)])
def test_halved_images_are_means_of_squares(shape):
    images = np.random.default_rng(0).integers(0, 1 << 16, shape).astype(np.uint16)
    n, rows, columns = shape
    squares = images[:, : rows // 2 * 2, : columns // 2 * 2].reshape(
        n, rows // 2, 2, columns // 2, 2
    )
    np.testing.assert_array_equal(halved(images), np.floor(squares.mean((2, 4)) + 0.5))


def test_what_is_saturated_stays_so():
    full = np.full((1, 2, 2), np.iinfo(np.uint16).max, np.uint16)
    assert halved(full) == full.max()
