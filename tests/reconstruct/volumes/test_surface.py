import numpy as np
import pytest

from hexlive.reconstruct import optional
from hexlive.reconstruct.ct.engines import EngineUnavailableError
from hexlive.reconstruct.volumes.roughness import levelled, roughness
from hexlive.reconstruct.volumes.segmentation import OTHER
from hexlive.reconstruct.volumes.surface import Surface, anode_surface
from hexlive.reconstruct.volumes.surface_settings import SurfaceError, SurfaceSettings

SHAPE = (40, 96, 96)
PIXEL_UM = 3.0
GAS, LITHIUM, ELECTROLYTE, CATHODE, STEEL = 0.0, 0.0012, 0.0028, 0.006, 0.008
PER_CM = 1e4 / PIXEL_UM
WAVELENGTH_PX = 24.0


def plain(**changes):
    """Settings without the repetitions for the uncertainty of the threshold."""
    return SurfaceSettings(**({"threshold_percent": 0.0} | changes))


def waves(amplitude_px):
    """A sine surface, whose Ra is 2/pi and whose Rq is 1/sqrt(2) of the amplitude."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    return amplitude_px * np.sin(2 * np.pi * (x + y) / WAVELENGTH_PX / np.sqrt(2))


def layer(top, bottom):
    """Share of each voxel between two surfaces."""
    z = np.arange(SHAPE[0])[:, None, None]
    return np.clip(np.minimum(z + 1, bottom) - np.maximum(z, top), 0, 1)


def distance(z, y, x):
    grid = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij", sparse=True)
    return np.sqrt(sum((g - p) ** 2 for g, p in zip(grid, (z, y, x), strict=True)))


def cell(height_px, noise=0.0, voids=()):
    """Cathode, electrolyte, lithium with a rough top, steel, in gas, from the first slice down."""
    top, bottom = 22.0 - height_px, 36.0
    radius = np.hypot(*(np.mgrid[: SHAPE[1], : SHAPE[2]] - (SHAPE[1] - 1) / 2))
    lithium = layer(top, bottom)
    for z, y, x, r in voids:
        lithium = lithium * np.clip(distance(z, y, x) - r + 0.5, 0, 1)
    volume = CATHODE * layer(3, 8) + ELECTROLYTE * layer(8, top) + LITHIUM * lithium
    volume = volume + STEEL * layer(bottom, 40)
    volume[:, radius > 42] = GAS
    volume[:, radius > 46] = STEEL
    return (volume + np.random.default_rng(0).normal(0, noise, SHAPE)).astype(np.float32), radius


VOIDS = [(29.0, 40.0, 40.0, 4.0), (29.5, 60.0, 55.0, 3.0)]


@pytest.mark.parametrize("amplitude_px", [2.0, np.pi])
def test_roughness_of_a_sine_surface_is_recovered_within_5_percent(amplitude_px):
    volume, _ = cell(waves(amplitude_px), noise=0.0001)
    surface = anode_surface(volume, PIXEL_UM, plain())
    assert surface.ra_um == pytest.approx(2 / np.pi * amplitude_px * PIXEL_UM, rel=0.05)
    assert surface.rq_um == pytest.approx(amplitude_px / np.sqrt(2) * PIXEL_UM, rel=0.05)


def test_a_third_of_a_voxel_of_roughness_is_still_measured():
    volume, _ = cell(waves(0.5), noise=0.0001)
    surface = anode_surface(volume, PIXEL_UM, plain())
    assert surface.ra_um == pytest.approx(2 / np.pi * 0.5 * PIXEL_UM, rel=0.1)


def test_the_map_follows_the_surface_outwards():
    height_px = waves(2.0)
    surface = anode_surface(cell(height_px)[0], PIXEL_UM, plain())
    seen = np.isfinite(surface.height_um)
    assert seen.sum() > 0.6 * np.pi * 42**2
    assert np.corrcoef(surface.height_um[seen], height_px[seen])[0, 1] > 0.99


def test_a_tilted_cell_is_as_rough_as_a_level_one():
    slope = np.linspace(-4, 4, SHAPE[2])
    tilted = anode_surface(cell(waves(2.0) + slope)[0], PIXEL_UM, plain())
    level = anode_surface(cell(waves(2.0))[0], PIXEL_UM, plain())
    assert tilted.ra_um == pytest.approx(level.ra_um, rel=0.03)
    unlevelled = anode_surface(cell(waves(2.0) + slope)[0], PIXEL_UM, plain(level="mean"))
    assert unlevelled.ra_um > 1.2 * level.ra_um


def test_a_surface_that_faces_the_last_slice_is_the_same_surface():
    volume, _ = cell(waves(2.0), voids=VOIDS)
    up = anode_surface(volume, PIXEL_UM, plain())
    down = anode_surface(volume[::-1], PIXEL_UM, plain(faces="last"))
    assert down.ra_um == pytest.approx(up.ra_um)
    np.testing.assert_array_equal(down.anode, up.anode[::-1])
    np.testing.assert_array_equal(down.porosity_profile, up.porosity_profile[::-1])


def test_volume_and_thickness_are_those_of_the_anode():
    height_px = waves(2.0)
    volume, radius = cell(height_px)
    surface = anode_surface(volume, PIXEL_UM, plain())
    thickness_px = 14 + height_px[radius < 40]
    expected_um3 = (14 + height_px[radius <= 42]).sum() * PIXEL_UM**3
    assert surface.volume_um3 == pytest.approx(expected_um3, rel=0.02)
    assert np.nanmean(surface.thickness_um[radius < 40]) == pytest.approx(
        thickness_px.mean() * PIXEL_UM, rel=0.04
    )


def test_voids_are_counted_measured_and_located():
    volume, _ = cell(waves(1.0), noise=0.0001, voids=VOIDS)
    surface = anode_surface(volume, PIXEL_UM, plain())
    sizes = [4 / 3 * np.pi * r**3 * PIXEL_UM**3 for *_, r in VOIDS]
    assert surface.n_voids == len(VOIDS)
    assert surface.void_volumes_um3 == pytest.approx(sizes, rel=0.05)
    total = surface.void_volumes_um3.sum()
    assert surface.porosity == pytest.approx(total / (total + surface.volume_um3))
    assert abs(np.nanargmax(surface.porosity_profile) - 29) <= 1
    assert np.isnan(surface.porosity_profile[0])


def test_voids_below_the_smallest_are_neither_voids_nor_anode():
    volume, _ = cell(waves(1.0), noise=0.0001, voids=VOIDS)
    both = anode_surface(volume, PIXEL_UM, plain())
    one = anode_surface(volume, PIXEL_UM, plain(smallest_void_px=200))
    assert (both.n_voids, one.n_voids) == (2, 1)
    assert one.void_volumes_um3[0] == both.void_volumes_um3.max()
    assert one.volume_um3 == pytest.approx(both.volume_um3, rel=2e-3)
    assert one.material[29, 60, 55] == OTHER


def test_layers_are_those_of_the_classes_named():
    volume, _ = cell(waves(1.0), noise=0.0001)
    usual = anode_surface(volume, PIXEL_UM, plain()).areas_px
    swapped = plain(electrolyte_class=3, cathode_class=2)
    other = anode_surface(volume, PIXEL_UM, swapped).areas_px
    np.testing.assert_array_equal(other["cathode"], usual["electrolyte"])
    np.testing.assert_array_equal(other["electrolyte"], usual["cathode"])
    assert usual["cathode"].argmax() < usual["electrolyte"].argmax()


def test_a_film_of_partial_voxels_is_not_the_surface():
    """Where gas meets electrolyte, shared voxels look like lithium."""
    volume, radius = cell(waves(1.0))
    without = anode_surface(volume, PIXEL_UM, plain())
    bubble = radius < 20
    volume[12:17, bubble] = GAS
    volume[17, bubble] = LITHIUM
    with_film = anode_surface(volume, PIXEL_UM, plain(connected=False))
    assert with_film.ra_um == pytest.approx(without.ra_um, rel=0.02)


def test_a_given_range_of_attenuation_replaces_otsu():
    volume, _ = cell(waves(2.0))
    window = (0.0006 * PER_CM, 0.002 * PER_CM)
    given = anode_surface(volume, PIXEL_UM, plain(attenuation_per_cm=window))
    found = anode_surface(volume, PIXEL_UM, plain())
    assert given.attenuation_per_cm == pytest.approx(window)
    assert given.ra_um == pytest.approx(found.ra_um, rel=0.02)


def test_otsu_finds_the_range_between_gas_and_electrolyte():
    volume, _ = cell(waves(2.0), noise=0.0001)
    low, high = anode_surface(volume, PIXEL_UM, plain()).attenuation_per_cm
    assert GAS < low / PER_CM < LITHIUM < high / PER_CM < ELECTROLYTE


def test_two_classes_take_the_darker_or_the_brighter_half():
    volume = np.where(layer(15, 30) > 0, np.float32(0.01), np.float32(0.002)) * np.ones(SHAPE)
    bright = plain(classes=2, anode_class=1, opening_radius_px=0)
    surface = anode_surface(volume.astype(np.float32), PIXEL_UM, bright)
    assert np.nanmedian(surface.thickness_um) == 15 * PIXEL_UM
    assert surface.ra_um == pytest.approx(0, abs=1e-6)


def test_each_step_of_the_chain_is_an_option():
    volume, _ = cell(waves(2.0))
    bare = plain(median_px=1, opening_radius_px=0, connected=False)
    full = anode_surface(volume, PIXEL_UM, plain())
    assert anode_surface(volume, PIXEL_UM, bare).ra_um == pytest.approx(full.ra_um, rel=0.05)


def test_a_crop_and_a_cylinder_restrict_what_is_looked_at():
    volume, _ = cell(waves(2.0))
    part = plain(first_slice=9, end_slice=35, radius_um=30 * PIXEL_UM, classes=2,
                           anode_class=0)  # fmt: skip
    surface = anode_surface(volume, PIXEL_UM, part)
    assert surface.anode.shape[0] == 26
    assert surface.ra_um == pytest.approx(2 / np.pi * 2 * PIXEL_UM, rel=0.07)
    assert np.isnan(surface.height_um[48, 10])


def test_binning_keeps_lengths_and_volumes():
    volume, _ = cell(waves(np.pi))
    radius_um = 40 * PIXEL_UM
    coarse = plain(binning=2, opening_radius_px=0, radius_um=radius_um)
    binned = anode_surface(volume, PIXEL_UM, coarse)
    fine = anode_surface(volume, PIXEL_UM, plain(radius_um=radius_um))
    assert binned.voxel_um == 2 * PIXEL_UM
    assert binned.ra_um == pytest.approx(fine.ra_um, rel=0.12)
    assert binned.volume_um3 == pytest.approx(fine.volume_um3, rel=0.05)


@pytest.mark.parametrize(
    ("memory_mb", "extra"),
    [(3.0, {}), (3.0, {"faces": "last"}), (0.3, {"binning": 2, "opening_radius_px": 1})],
)
def test_a_volume_in_slabs_gives_the_numbers_of_one_piece(memory_mb, extra):
    """The voids and the anode lie across the slabs, which are a few slices thick."""
    volume, _ = cell(waves(2.0), noise=0.0001, voids=VOIDS)
    volume = volume[::-1] if "faces" in extra else volume
    whole = anode_surface(volume, PIXEL_UM, plain(**extra))
    slabs = anode_surface(volume, PIXEL_UM, plain(**extra, memory_mb=memory_mb))
    for name in Surface.__slots__:
        one, other = getattr(slabs, name), getattr(whole, name)
        if name == "areas_px":
            for layer, area in other.items():
                np.testing.assert_array_equal(one[layer], area, err_msg=layer)
        elif "volume" in name or name == "porosity":  # sums of the same numbers in another order
            np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("settings", [SurfaceSettings(), plain(memory_mb=3.0)])
def test_how_much_is_done_is_told_from_the_filters_to_the_end(settings):
    told = []
    anode_surface(cell(waves(2.0))[0], PIXEL_UM, settings, told.append)
    assert told == sorted(told)
    assert 0 < told[0] < 0.5
    assert told[-1] == 1
    assert len(told) > 3


def test_each_uncertainty_is_reported_by_its_means():
    volume, _ = cell(waves(2.0), noise=0.0001)
    surface = anode_surface(volume, PIXEL_UM, SurfaceSettings())
    assert 0 < surface.ra_sigma_um < 0.1 * surface.ra_um
    assert 0 < surface.rq_sigma_um < 0.1 * surface.rq_um
    assert 0 <= surface.ra_threshold_um < 0.01 * surface.ra_um
    assert 0 < surface.volume_threshold_um3 < 0.01 * surface.volume_um3
    off = anode_surface(volume, PIXEL_UM, plain())
    assert np.isnan([off.ra_threshold_um, off.volume_threshold_um3]).all()
    assert off.ra_um == surface.ra_um


def test_the_error_of_the_threshold_is_half_of_what_its_moves_change():
    volume, _ = cell(waves(2.0), noise=0.0003)
    low, high = 0.0006 * PER_CM, 0.002 * PER_CM

    def found(factor, percent=0.0):
        window = (low * factor, high * factor)
        return anode_surface(
            volume, PIXEL_UM, plain(attenuation_per_cm=window, threshold_percent=percent)
        )

    below, above, both = found(0.95), found(1.05), found(1.0, 5.0)
    assert both.volume_threshold_um3 > 0
    for name in ("ra", "rq"):
        change = getattr(above, f"{name}_um") - getattr(below, f"{name}_um")
        assert getattr(both, f"{name}_threshold_um") == pytest.approx(abs(change) / 2, rel=1e-6)
    change = above.volume_um3 - below.volume_um3
    assert both.volume_threshold_um3 == pytest.approx(abs(change) / 2, rel=1e-6)


def test_the_layers_of_the_cell_are_found_slice_by_slice():
    volume, _ = cell(waves(1.0), noise=0.0001)
    surface = anode_surface(volume, PIXEL_UM, plain(opening_radius_px=1))
    middle = {name: np.average(np.arange(SHAPE[0]), weights=area)
              for name, area in surface.areas_px.items()}  # fmt: skip
    assert middle["cathode"] == pytest.approx(5, abs=1)
    assert middle["electrolyte"] == pytest.approx(14.5, abs=1)
    assert middle["anode"] == pytest.approx(28.5, abs=1)
    np.testing.assert_array_equal(surface.areas_px["anode"], surface.anode.sum((1, 2)))


def test_porosity_by_depth_is_counted_from_the_surface():
    volume, _ = cell(waves(2.0), noise=0.0001, voids=VOIDS)
    surface = anode_surface(volume, PIXEL_UM, plain())
    assert abs(np.nanargmax(surface.porosity_by_depth) - 7) <= 2
    assert surface.porosity_by_depth[0] == 0


def test_the_error_of_ra_shrinks_with_the_surface():
    random = np.random.default_rng(0)
    small, large = (roughness(random.normal(0, 1, (n, n))) for n in (48, 192))
    assert large[2] < 0.5 * small[2]
    assert large[0] == pytest.approx(np.sqrt(2 / np.pi), abs=4 * large[2])


def test_roughness_of_exact_heights_is_exact():
    one_period = np.sin(2 * np.pi * np.arange(1000) / 1000) * np.ones((2, 1))
    ra, rq, *_ = roughness(one_period)
    assert ra == pytest.approx(2 / np.pi, rel=1e-5)
    assert rq == pytest.approx(1 / np.sqrt(2), rel=1e-9)


def test_levelling_ignores_what_is_not_there():
    y, x = np.mgrid[:20, :30]
    height = 3 + 0.2 * y - 0.1 * x
    height[5:9, 7:12] = np.nan
    flat = levelled(height)
    np.testing.assert_allclose(flat[np.isfinite(flat)], 0, atol=1e-12)
    np.testing.assert_array_equal(np.isnan(flat), np.isnan(height))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (plain(attenuation_per_cm=(200.0, 300.0)), "No anode was found between 200"),
        (plain(first_slice=40), "no slice"),
        (plain(first_slice=24, end_slice=35, attenuation_per_cm=(2.0, 6.0)),
         "surface is cut off"),
    ],
)  # fmt: skip
def test_a_volume_without_a_surface_is_said_to_have_none(settings, sentence):
    with pytest.raises(SurfaceError, match=sentence):
        anode_surface(cell(waves(1.0))[0], PIXEL_UM, settings)


@pytest.mark.parametrize(
    ("volume", "sentence"),
    [
        (np.zeros(SHAPE, np.float32), "The volume is empty: it is 0 everywhere."),
        (np.zeros((0, 8, 8), np.float32), "There is no slice"),
        (np.full(SHAPE, np.nan, np.float32), "not finite"),
        (np.float32(layer(0, 9) * np.ones(SHAPE)), "does not hold 5 materials"),
        (np.zeros(SHAPE[1:], np.float32), "three axes, not 2"),
    ],
)
def test_a_volume_without_materials_is_said_to_have_none(volume, sentence):
    with pytest.raises(SurfaceError, match=sentence):
        anode_surface(volume, PIXEL_UM, plain())


@pytest.mark.parametrize("pixel_um", [0.0, np.nan])
def test_a_voxel_without_a_size_is_refused(pixel_um):
    with pytest.raises(SurfaceError, match="size of a voxel"):
        anode_surface(cell(waves(1.0))[0], pixel_um, plain())


def test_a_cylinder_beside_the_volume_is_refused():
    settings = plain(radius_um=30.0, middle_um=(0.0, 1000.0))
    with pytest.raises(SurfaceError, match="nothing in the cylinder"):
        anode_surface(cell(waves(1.0))[0], PIXEL_UM, settings)


def test_an_anode_that_reaches_the_edge_is_measured_with_a_note():
    volume = np.float32(CATHODE * layer(3, 8) + ELECTROLYTE * layer(8, 22) + LITHIUM * layer(22, 36)
                        + STEEL * layer(36, 40) + np.zeros(SHAPE))  # fmt: skip
    surface = anode_surface(volume, PIXEL_UM, plain(opening_radius_px=0))
    assert "reaches the edge" in surface.notes[0]
    assert not anode_surface(cell(waves(1.0))[0], PIXEL_UM, plain()).notes


def test_missing_scikit_image_is_named_with_what_to_install(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(optional, "import_module", absent)
    with pytest.raises(EngineUnavailableError, match=r"pip install 'hexlive\[ct\]'"):
        anode_surface(cell(waves(1.0))[0], PIXEL_UM, plain())


@pytest.mark.parametrize(
    "wrong",
    [
        {"binning": 0},
        {"median_px": 0},
        {"opening_radius_px": -1},
        {"classes": 1},
        {"anode_class": 5},
        {"attenuation_per_cm": (2.0, 1.0)},
        {"threshold_percent": -1.0},
        {"memory_mb": 0.0},
        {"memory_mb": np.inf},
        {"radius_um": 0.0},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=r"tomography\.surface"):
        SurfaceSettings(**wrong)
