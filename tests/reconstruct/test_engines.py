import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hexlive.reconstruct import optional
from hexlive.reconstruct.engines import EngineUnavailableError, fbp, open_engine
from hexlive.reconstruct.geometry import Geometry, angular_weights, redundancy_weights

ENGINES = ["fourier", "numba", "astra-cpu"]
N_ANGLES = 240
ANGLES = np.arange(N_ANGLES) * np.pi / N_ANGLES
CASES = [(96, 47.5), (97, 48.0), (96, 51.3), (97, 44.75)]


def centroid(image):
    y, x = (np.arange(size) - (size - 1) / 2 for size in image.shape)
    return (image.sum(0) @ x / image.sum(), image.sum(1) @ y / image.sum())


@pytest.mark.parametrize(("columns", "centre_px"), CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_flat_regions_are_quantitative_to_one_percent(disks, engine, columns, centre_px):
    sinogram = disks.sinogram(ANGLES, centre_px, columns)
    image = fbp(sinogram, ANGLES, centre_px, engine)[0]
    for inside, attenuation in disks.flat_parts(columns):
        assert image[inside].mean() == pytest.approx(attenuation, rel=0.01)


@pytest.mark.parametrize(("columns", "centre_px"), CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_displaced_by_a_part_of_a_pixel(disks, engine, columns, centre_px):
    image = fbp(disks.sinogram(ANGLES, centre_px, columns), ANGLES, centre_px, engine)[0]
    mass = [a * np.pi * r**2 for _, _, r, a in disks.disks]
    truth = [np.average([disk[i] for disk in disks.disks], weights=mass) for i in (0, 1)]
    assert centroid(image) == pytest.approx(truth, abs=0.05)


def test_engines_agree_within_their_interpolation(disks):
    sinogram = disks.sinogram(ANGLES, 50.2, 96)
    images = [fbp(sinogram, ANGLES, 50.2, engine)[0] for engine in ENGINES]
    assert np.std(images[1] - images[0]) < 0.05 * np.std(images[0])
    assert np.std(images[2] - images[1]) < 0.02 * np.std(images[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_slices_do_not_mix(disks, engine):
    one = disks.sinogram(ANGLES, 47.5, 96)
    stack = np.concatenate([factor * one for factor in range(19)])
    volume = fbp(stack, ANGLES, 47.5, engine)
    single = fbp(one, ANGLES, 47.5, engine)[0]
    for factor, image in enumerate(volume):
        np.testing.assert_allclose(image, factor * single, atol=1e-4 * volume.max())


@pytest.mark.parametrize("engine", ENGINES)
def test_missing_projections_cost_noise_not_numbers(disks, engine):
    kept = np.random.default_rng(3).random(N_ANGLES) > 0.15
    kept[100:104] = False
    angles_rad = ANGLES[kept]
    image = fbp(disks.sinogram(angles_rad, 50.2, 96), angles_rad, 50.2, engine)[0]
    for inside, attenuation in disks.flat_parts(96):
        assert image[inside].mean() == pytest.approx(attenuation, rel=0.02)


@pytest.mark.parametrize("engine", ["fourier", "numba"])
def test_order_of_projections_does_not_matter(disks, engine):
    order = np.random.default_rng(0).permutation(N_ANGLES)
    sinogram = disks.sinogram(ANGLES, 50.2, 96)
    shuffled = fbp(sinogram[:, order], ANGLES[order], 50.2, engine)
    np.testing.assert_allclose(shuffled, fbp(sinogram, ANGLES, 50.2, engine), atol=2e-5)


def test_a_full_turn_gives_the_same_as_half(disks):
    full = np.arange(2 * N_ANGLES) * np.pi / N_ANGLES
    image = fbp(disks.sinogram(full, 46.0, 96), full, 46.0)
    half = fbp(disks.sinogram(ANGLES, 46.0, 96), ANGLES, 46.0)
    assert np.std(image - half) < 0.02 * np.std(half)


@pytest.mark.parametrize("centre_px", [12.3, 52.6])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_full_turn_off_axis_widens_the_field(disks, engine, centre_px):
    full = np.arange(2 * N_ANGLES) * np.pi / N_ANGLES
    geometry = Geometry(angles_rad=full, centre_px=centre_px, columns=64, extended_field=True)
    image = open_engine(engine, geometry)(disks.sinogram(full, centre_px, 64))[0]
    assert image.shape == (geometry.size, geometry.size)
    assert geometry.size > 100
    for inside, attenuation in disks.flat_parts(geometry.size):
        assert image[inside].mean() == pytest.approx(attenuation, rel=0.01)


def test_beyond_the_circle_there_is_nothing(disks):
    image = fbp(disks.sinogram(ANGLES, 47.5, 96), ANGLES, 47.5)[0]
    assert image[0, 0] == image[-1, -1] == 0
    assert image.shape == (96, 96)
    assert image.dtype == np.float32


@given(arrays(float, st.integers(2, 40), elements=st.floats(-10, 10)))
def test_angular_weights_share_half_a_turn(angles_rad):
    weights = angular_weights(angles_rad)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(np.pi)


def test_angular_weights_are_equal_for_equal_steps_and_halved_for_repeats():
    np.testing.assert_allclose(angular_weights(ANGLES), np.pi / N_ANGLES)
    repeated = angular_weights(np.append(ANGLES, ANGLES[7]))
    assert repeated[7] + repeated[-1] == pytest.approx(np.pi / N_ANGLES)


@given(st.floats(1.0, 62.0))
def test_opposite_rays_of_a_full_turn_share_one_weight(centre_px):
    weights = redundancy_weights(centre_px, 64)
    column = np.arange(64.0)
    opposite = 2 * centre_px - column
    both = (opposite >= 0) & (opposite <= 63)
    total = weights + np.interp(opposite, column, weights)
    np.testing.assert_allclose(total[both], 1, atol=0.2 / min(centre_px, 63 - centre_px))
    np.testing.assert_allclose(weights[~both], 1)


@pytest.mark.parametrize("engine", ["fourier", "astra-cpu", "astra"])
def test_a_missing_library_is_named_with_what_to_install(monkeypatch, disks, engine):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(optional, "import_module", absent)
    with pytest.raises(EngineUnavailableError, match=r"pip install 'hexlive\[ct\]'"):
        fbp(disks.sinogram(ANGLES, 47.5, 96), ANGLES, 47.5, engine)


def test_astra_without_a_gpu_is_refused_before_it_kills_the_process(disks):
    astra = pytest.importorskip("astra")
    if astra.use_cuda():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineUnavailableError, match="needs an NVIDIA GPU"):
        fbp(disks.sinogram(ANGLES, 47.5, 96), ANGLES, 47.5, "astra")


@pytest.mark.parametrize(
    ("angles_rad", "centre_px", "sentence"),
    [
        (ANGLES[:1], 47.5, "at least two angles"),
        (np.array([0.0, np.nan]), 47.5, "not finite"),
        (ANGLES, 95.5, "outside the detector"),
        (ANGLES[:-1], 47.5, "does not fit 239 angles"),
    ],
)
def test_impossible_geometry_is_refused(disks, angles_rad, centre_px, sentence):
    with pytest.raises(ValueError, match=sentence):
        fbp(disks.sinogram(ANGLES, 47.5, 96), angles_rad, centre_px)
