"""The CT is laid upon the EMF map where it is, or not at all."""

from dataclasses import replace

import numpy as np
import pytest

from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.registration.outline_fit import MaskModel
from hexlive.reconstruct.registration.register import register
from hexlive.reconstruct.registration.registration_settings import (
    RegistrationError,
    RegistrationSettings,
)
from hexlive.reconstruct.registration.similarity import Grid, Similarity

VOXEL_MM = 0.05
SHAPE = (80, 80)
VALID = np.ones(SHAPE, bool)
GRID = Grid(shape=SHAPE, pitch_mm=0.25, compton=ComptonSettings(axis_offset_mm=(0.2, -0.1)))
EMPTY, LITHIUM = 10.0, 70.0


def anode(lobes_mm=0.0, radius_mm=8.0):
    """A disk with lobes, seen by the CT, ``(y, x)``."""
    y, x = (np.mgrid[:380, :380] - 189.5) * VOXEL_MM
    return np.hypot(y, x) < radius_mm + lobes_mm * np.cos(3 * np.arctan2(y, x))


def exposure(mask, place, seed=0, grid=GRID, lithium=LITHIUM):
    """Counts of an anode that lies there, brighter on one side, in a casing of steel."""
    down, across = grid.position_mm
    tilt = 1 + 0.1 * across / 8
    from_axis = np.hypot(down - place.offset_mm[0], across - place.offset_mm[1])
    casing = 40.0 * (np.abs(from_axis - 9.8) < 0.15)
    expected = EMPTY + lithium * tilt * MaskModel(mask, VOXEL_MM, grid, 0.2)(place) + casing
    return np.random.default_rng(seed).poisson(expected).astype(float)


@pytest.mark.parametrize(
    ("beam_axis", "place"),
    [
        ("columns", Similarity(offset_mm=(0.7, -1.2), scale=1.02)),
        ("rows", Similarity(offset_mm=(-1.6, 0.4), scale=0.97, mirrored=True)),
    ],
)
def test_the_outline_refines_the_offset_and_the_scale(beam_axis, place):
    grid = replace(GRID, compton=ComptonSettings(beam_axis=beam_axis, beam_sign=-1))
    counts = exposure(anode(), place, grid=grid)
    settings = RegistrationSettings(mirrored=place.mirrored)
    found = register(anode(), VOXEL_MM, counts, VALID, grid, settings)
    pulls = np.subtract(found.place.offset_mm, place.offset_mm) / found.offset_sigma_mm
    assert np.abs(pulls).max() < 4
    assert max(found.offset_sigma_mm) < 0.02
    assert found.place.scale == pytest.approx(place.scale, abs=4 * found.scale_sigma + 2e-4)
    assert not found.rotation_fitted
    assert found.residual_mm < 0.03


def test_an_outline_that_is_not_round_tells_the_rotation():
    place = Similarity(offset_mm=(0.3, 0.5), rotation_rad=0.05)
    counts = exposure(anode(lobes_mm=0.4), place)
    found = register(anode(lobes_mm=0.4), VOXEL_MM, counts, VALID, GRID, RegistrationSettings())
    assert found.rotation_fitted
    assert found.place.rotation_rad == pytest.approx(0.05, abs=0.01)


def test_the_residual_shows_where_the_outlines_differ():
    counts = exposure(anode(lobes_mm=0.3), Similarity())
    settings = RegistrationSettings(max_residual_mm=0.5)
    found = register(anode(), VOXEL_MM, counts, VALID, GRID, settings)
    assert found.residual_mm == pytest.approx(0.3 / np.sqrt(2), rel=0.2)
    assert np.ptp(found.sector_mm) == pytest.approx(0.6, rel=0.25)


def test_an_outline_of_another_form_is_a_failure():
    counts = exposure(anode(lobes_mm=0.4), Similarity())
    with pytest.raises(RegistrationError, match=r"mm apart, the limit is 0\.15 mm"):
        register(anode(), VOXEL_MM, counts, VALID, GRID, RegistrationSettings())


@pytest.mark.parametrize(
    ("lithium", "place", "changes", "sentence"),
    [
        (0.0, Similarity(), {}, "does not stand out"),
        (LITHIUM, Similarity(scale=1.03), {"scale_search": 0.01}, "1.030 times as large"),
        (LITHIUM, Similarity(offset_mm=(0.9, 0.0)), {"search_mm": 0.5}, "mm from where"),
        (LITHIUM, Similarity(), {"offset_mm": (40.0, 0.0)}, "beside the EMF map"),
    ],
)
def test_a_failed_registration_gives_no_masks(lithium, place, changes, sentence):
    counts = exposure(anode(), place, lithium=lithium)
    with pytest.raises(RegistrationError, match=sentence):
        register(anode(), VOXEL_MM, counts, VALID, GRID, RegistrationSettings(**changes))


def test_an_empty_mask_cannot_be_registered():
    mask = np.zeros_like(anode())
    with pytest.raises(RegistrationError, match="empty"):
        register(mask, VOXEL_MM, np.ones(SHAPE), VALID, GRID, RegistrationSettings())


def test_masked_pixels_do_not_count():
    place, valid = Similarity(offset_mm=(0.4, 0.0)), VALID.copy()
    counts = exposure(anode(), place)
    valid[30:34], counts[30:34] = False, 1e6
    found = register(anode(), VOXEL_MM, counts, valid, GRID, RegistrationSettings())
    assert found.place.offset_mm == pytest.approx(place.offset_mm, abs=0.05)


@pytest.mark.parametrize(
    "wrong",
    [{"scale": 0.0}, {"search_mm": -1.0}, {"scale_search": 1.0}, {"max_residual_mm": 0.0},
     {"max_age_s": np.nan}],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=r"registration\."):
        RegistrationSettings(**wrong)
