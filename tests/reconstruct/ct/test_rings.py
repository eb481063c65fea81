import numpy as np
import pytest
from scipy.ndimage import map_coordinates, median_filter

from hexlive.reconstruct import optional
from hexlive.reconstruct.ct.engines import EngineUnavailableError, fbp
from hexlive.reconstruct.ct.rings import remove_rings, ring_score
from hexlive.reconstruct.ct.sinograms import Sinograms
from hexlive.stream.nxtomo import read_scan

COLUMNS, N_ROWS = 128, 16
ANGLES = np.arange(120) * np.pi / 120
METHODS = ["mean", "sorting", "wavelet", "all"]


@pytest.fixture
def clean(disks):
    sinogram = np.repeat(disks.sinogram(ANGLES, 63.5, COLUMNS), N_ROWS, axis=0)
    noise = np.random.default_rng(0).normal(0, 0.005, sinogram.shape)
    return (sinogram + noise).astype(np.float32)


@pytest.fixture
def striped(clean):
    random = np.random.default_rng(1)
    faulty = random.random((N_ROWS, 1, COLUMNS)) < 0.03
    return clean + (faulty * random.normal(0, 0.08, faulty.shape)).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_most_of_the_stripes(striped, method):
    removed = remove_rings(striped, method)
    assert removed.dtype == np.float32
    assert removed.shape == striped.shape
    assert ring_score(removed) < 0.5 * ring_score(striped)


def test_none_changes_nothing(striped):
    assert remove_rings(striped, "none") is striped


def test_mean_leaves_a_cell_on_the_axis_alone():
    s = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    chord = {r: 2 * np.sqrt(np.maximum(r * r - s * s, 0)) for r in (40, 55, 58)}
    casing = 0.02 * (chord[58] - chord[55]) + 0.005 * chord[40]
    cell = np.broadcast_to(casing, (N_ROWS, len(ANGLES), COLUMNS)).astype(np.float32)
    np.testing.assert_allclose(remove_rings(cell, "mean"), cell, atol=1e-6)
    assert ring_score(cell) == pytest.approx(0, abs=1e-6)


def test_mean_works_on_a_single_row(striped, clean):
    one = remove_rings(striped[:1], "mean")
    assert ring_score(one) < 0.2 * ring_score(striped[:1])


def test_a_slice_without_rings_is_closer_to_the_truth(clean, striped):
    truth, with_rings, without = (
        fbp(s[3:4], ANGLES, 63.5, "fourier")[0]
        for s in (clean, striped, remove_rings(striped, "mean"))
    )
    assert np.std(without - truth) < 0.3 * np.std(with_rings - truth)


def test_score_is_the_rms_of_what_stands_still():
    sinogram = np.zeros((N_ROWS, 40, COLUMNS), np.float32)
    sinogram[5, :, 30] = 0.1
    sinogram[9, :, 70] = -0.1
    expected = np.sqrt(2 * 0.1**2 / (N_ROWS * COLUMNS))
    assert ring_score(sinogram) == pytest.approx(expected, rel=1e-5)


def test_a_stripe_that_comes_halfway_counts_by_half():
    sinogram = np.zeros((N_ROWS, 40, COLUMNS), np.float32)
    sinogram[5, :, 30] = 0.1
    whole = ring_score(sinogram)
    sinogram[5, :20, 30] = 0
    assert ring_score(sinogram) == pytest.approx(whole / 2, rel=1e-5)


def rings_of(image):
    """Rms of the detail in the means over half circles around the axis."""
    middle, half_circle = (len(image) - 1) / 2, np.arange(720) * np.pi / 720
    radius = np.arange(20, 0.9 * middle)
    power = []
    for angle in (half_circle[:, None], half_circle[:, None] + np.pi):
        at = middle + radius * np.sin(angle), middle + radius * np.cos(angle)
        profile = map_coordinates(image, at, order=1).mean(axis=0)
        power.append(np.mean((profile - median_filter(profile, 9)) ** 2))
    return np.sqrt(np.mean(power))


@pytest.mark.parametrize(("method", "factor"), [("mean", 1.9), ("wavelet", 2.3), ("all", 4.0)])
def test_dendrite_loses_its_rings_in_sinogram_and_slice(shared_tomography, method, factor):
    scan = read_scan(shared_tomography / "dendrite.nxs")
    stripy = Sinograms(scan).read(slice(0, 1))
    clean = remove_rings(stripy, method)
    assert ring_score(clean) < ring_score(stripy) / 2
    before, after = (
        fbp(s, np.deg2rad(scan.angles_deg), 629.2, "fourier")[0] for s in (stripy, clean)
    )
    assert rings_of(after) < rings_of(before) / factor


def test_too_few_angles_for_wavelets_are_refused():
    with pytest.raises(ValueError, match="needs 36 angles and columns, not 26"):
        remove_rings(np.zeros((1, 90, 26), np.float32), "wavelet")


def test_missing_algotom_is_named_with_what_to_install(monkeypatch, striped):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(optional, "import_module", absent)
    with pytest.raises(EngineUnavailableError, match=r"'all' needs .*pip install 'hexlive\[ct\]'"):
        remove_rings(striped, "all")
