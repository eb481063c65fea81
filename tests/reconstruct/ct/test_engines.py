import numpy as np
import pytest

from hexlive.benchmarks.ellipses import cell
from hexlive.benchmarks.reconstructors import COMPARATORS
from hexlive.reconstruct import optional
from hexlive.reconstruct.ct.engines import EngineUnavailableError, fbp, open_engine
from hexlive.reconstruct.ct.geometry import Geometry, field_of_view

ENGINES = ["fourier", "fourier-gpu", "numba", "astra-cpu"]
N_ANGLES = 240
ANGLES = np.arange(N_ANGLES) * np.pi / N_ANGLES
CASES = [(96, 47.5), (97, 48.0), (96, 51.3), (97, 44.75)]


pytestmark = pytest.mark.usefixtures("numpy_as_cupy")  # fourier-gpu runs on NumPy's arrays


def rmse(image, truth, inside):
    return np.sqrt(np.mean((image - truth)[inside] ** 2))


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
    mass = [e.attenuation * e.semi_x * e.semi_y for e in disks.ellipses]
    truth = [np.average([e[i] for e in disks.ellipses], weights=mass) for i in (0, 1)]
    assert centroid(image) == pytest.approx(truth, abs=0.05)


def test_engines_agree_within_their_interpolation(disks):
    sinogram = disks.sinogram(ANGLES, 50.2, 96)
    images = {engine: fbp(sinogram, ANGLES, 50.2, engine)[0] for engine in ENGINES}
    scale = np.std(images["fourier"])
    assert np.std(images["numba"] - images["fourier"]) < 0.05 * scale
    assert np.std(images["astra-cpu"] - images["fourier"]) < 0.05 * scale
    assert np.std(images["fourier-gpu"] - images["fourier"]) < 1e-3 * scale


def astra_fbp(sinogram, angles_rad):
    """ASTRA's own filtered back-projection with the linear projector."""
    program = COMPARATORS["ASTRA FBP"](-angles_rad, sinogram.shape[-1])
    return program.run(sinogram)[0]


@pytest.mark.parametrize(("columns", "n_angles"), [(96, 150), (97, 150), (200, 240)])
@pytest.mark.parametrize("engine", ENGINES)
def test_fourier_errs_less_than_astra_and_no_engine_more(engine, columns, n_angles):
    phantom, inside = cell(columns / 2), field_of_view(columns)
    angles_rad = np.arange(n_angles) * np.pi / n_angles
    sinogram = phantom.sinogram(angles_rad, (columns - 1) / 2, columns)
    truth = phantom.image(columns)
    limit = rmse(astra_fbp(sinogram, angles_rad), truth, inside)
    found = rmse(fbp(sinogram, angles_rad, (columns - 1) / 2, engine)[0], truth, inside)
    assert found <= (1 if engine.startswith("fourier") else 1.02) * limit
    # Wherever the axis is, the Fourier engines do not err more, and linear interpolation little.
    wide = columns + 40
    moved = phantom.sinogram(angles_rad, columns / 2 + 7.3, wide)
    geometry = Geometry(angles_rad=angles_rad, centre_px=columns / 2 + 7.3, columns=wide)
    image = open_engine(engine, geometry)(moved)[0, 20:-20, 20:-20]
    allowed = {"numba": 1.1, "astra-cpu": 1.3}.get(engine, 1.03)
    assert rmse(image, truth, inside) <= allowed * limit


ANGLES_OF = {
    "duplicated": np.sort(np.concatenate([ANGLES, ANGLES[::3], ANGLES[:5]])),
    "uneven": np.cumsum(np.random.default_rng(5).uniform(0.2, 1.8, N_ANGLES)) * np.pi / N_ANGLES,
    "more than half a turn": np.arange(300) * np.pi / 240,
    "backwards": ANGLES[::-1],
    "from -90 degrees": ANGLES - np.pi / 2,
    "a full turn": np.arange(2 * N_ANGLES) * np.pi / N_ANGLES,
}


@pytest.mark.parametrize("name", ANGLES_OF)
@pytest.mark.parametrize("engine", ["fourier", "numba"])
def test_weights_come_from_the_angles_as_measured(disks, engine, name):
    angles_rad = ANGLES_OF[name]
    image = fbp(disks.sinogram(angles_rad, 50.2, 96), angles_rad, 50.2, engine)[0]
    even = fbp(disks.sinogram(ANGLES, 50.2, 96), ANGLES, 50.2, engine)[0]
    for inside, attenuation in disks.flat_parts(96):
        assert image[inside].mean() == pytest.approx(attenuation, rel=0.01)
    assert np.std(image - even) < 0.05 * np.std(even)


@pytest.mark.parametrize("engine", ["fourier", "numba"])
def test_a_tilted_axis_is_a_centre_per_row(disks, engine):
    centres_px = np.array([46.2, 47.0, 48.9])
    rows = [disks.sinogram(ANGLES, centre_px, 96) for centre_px in centres_px]
    geometry = Geometry(angles_rad=ANGLES, centre_px=47.0, columns=96)
    volume = open_engine(engine, geometry)(np.concatenate(rows), centres_px - 47.0)
    for image, row, centre_px in zip(volume, rows, centres_px, strict=True):
        single = fbp(row, ANGLES, centre_px, engine)[0]
        assert np.std(image - single) < 0.05 * np.std(single)


@pytest.mark.parametrize("engine", ENGINES)
def test_slices_do_not_mix(disks, engine):
    one = disks.sinogram(ANGLES, 47.5, 96)
    stack = np.concatenate([factor * one for factor in range(19)])
    volume = fbp(stack, ANGLES, 47.5, engine)
    single = fbp(one, ANGLES, 47.5, engine)[0]
    for factor, image in enumerate(volume):
        np.testing.assert_allclose(image, factor * single, atol=2e-4 * volume.max())


@pytest.mark.parametrize(("columns", "centre_px"), CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_missing_projections_cost_noise_not_numbers(disks, engine, columns, centre_px):
    kept = np.random.default_rng(3).random(N_ANGLES) > 0.15
    kept[100:104] = False
    angles_rad = ANGLES[kept]
    sinogram = disks.sinogram(angles_rad, centre_px, columns)
    image = fbp(sinogram, angles_rad, centre_px, engine)[0]
    for inside, attenuation in disks.flat_parts(columns):
        assert image[inside].mean() == pytest.approx(attenuation, rel=0.02)


@pytest.mark.parametrize("engine", ["fourier", "numba"])
def test_order_of_projections_does_not_matter(disks, engine):
    order = np.random.default_rng(0).permutation(N_ANGLES)
    sinogram = disks.sinogram(ANGLES, 50.2, 96)
    shuffled = fbp(sinogram[:, order], ANGLES[order], 50.2, engine)
    np.testing.assert_allclose(shuffled, fbp(sinogram, ANGLES, 50.2, engine), atol=2e-5)


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


@pytest.mark.parametrize("engine", ["fourier", "fourier-gpu", "astra-cpu", "astra"])
def test_a_missing_library_is_named_with_what_to_install(monkeypatch, disks, engine):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(optional, "import_module", absent)
    with pytest.raises(EngineUnavailableError, match=r"pip install 'hexlive\[c"):
        fbp(disks.sinogram(ANGLES, 47.5, 96), ANGLES, 47.5, engine)


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


@pytest.mark.parametrize("name", ["fourier", "numba"])
def test_slices_go_where_they_are_wanted(name):
    angles_rad = np.arange(60) * np.pi / 60
    sinogram = np.random.default_rng(2).random((3, 60, 40), dtype=np.float32)
    engine = open_engine(name, Geometry(angles_rad=angles_rad, centre_px=19.5, columns=40))
    room = np.full((5, 40, 40), np.nan, np.float32)
    made = engine(sinogram, out=room)
    np.testing.assert_array_equal(made, engine(sinogram))
    np.testing.assert_array_equal(room[:3], made)
    assert np.isnan(room[3:]).all()
    alone = engine(sinogram[:1], out=room)
    np.testing.assert_allclose(alone, engine(sinogram)[:1], atol=1e-5)
