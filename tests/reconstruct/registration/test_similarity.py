"""Masks of the CT cover the pixels of the EMF map by area, inverted as the pinhole inverts them."""

import numpy as np
import pytest

from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.pooling import pool_weighted
from hexlive.reconstruct.registration.ct_masks import AnodeMaps
from hexlive.reconstruct.registration.similarity import Grid, Similarity

VOXEL_MM = 0.02


def grid(**compton):
    return Grid(shape=(20, 20), pitch_mm=0.25, compton=ComptonSettings(**compton))


def slice_with(inside):
    """A CT slice, ``(1, y, x) float32``, of what is inside."""
    y, x = (np.mgrid[:301, :301] - 150) * VOXEL_MM
    return inside(y, x).astype(np.float32)[None]


def centroid_mm(fractions, of):
    down, across = of.position_mm
    return np.array([np.average(down, weights=fractions), np.average(across, weights=fractions)])


def test_fractions_add_up_to_the_area_of_the_mask():
    of, radius_mm = grid(), 1.7
    disk = slice_with(lambda y, x: np.hypot(y - 0.11, x + 0.2) < radius_mm)
    place = Similarity(offset_mm=(0.13, -0.07), scale=1.1, rotation_rad=0.3)
    fractions = of.area_means(disk, VOXEL_MM, place)[0]
    area_mm2 = fractions.sum() * of.pixel_mm**2
    assert area_mm2 == pytest.approx(disk.sum() * (1.1 * VOXEL_MM) ** 2, rel=2e-3)
    assert fractions.min() == 0.0
    assert fractions.max() == 1.0


def test_a_pixel_that_a_straight_edge_cuts_has_its_share():
    of = grid()
    half = slice_with(lambda y, x: y < 0.1)
    fractions = of.area_means(half, VOXEL_MM, Similarity())[0]
    edge = np.diff(np.unique(np.round(of.position_mm[1], 9)))[0]
    assert edge == pytest.approx(of.pixel_mm)
    # Beam along columns: y of the CT runs against the columns.
    reach_mm = of.position_mm[1][0] + 0.1 - VOXEL_MM / 2
    expected = np.clip(reach_mm / of.pixel_mm + 0.5, 0, 1)
    np.testing.assert_allclose(fractions[10], expected, atol=0.04)


@pytest.mark.parametrize(
    ("compton", "place", "seen"),
    [
        ({}, Similarity(), (-0.5, -1.0)),
        ({"beam_sign": -1}, Similarity(), (-0.5, 1.0)),
        ({"beam_axis": "rows"}, Similarity(), (-1.0, -0.5)),
        ({}, Similarity(mirrored=True), (0.5, -1.0)),
        ({}, Similarity(rotation_rad=np.pi / 2), (-1.0, 0.5)),
        ({}, Similarity(offset_mm=(0.3, 0.2)), (-0.2, -0.8)),
    ],
)
def test_a_spot_of_the_ct_is_seen_where_the_geometry_has_it(compton, place, seen):
    """The spot is at y = 1.0, x = 0.5 mm: s = x across the beam, t = y along it, both inverted."""
    of = grid(**compton)
    spot = slice_with(lambda y, x: np.hypot(y - 1.0, x - 0.5) < 0.3)
    fractions = of.area_means(spot, VOXEL_MM, place)[0]
    assert centroid_mm(fractions, of) == pytest.approx(seen, abs=0.02)


def test_maps_are_averaged_where_they_are_known():
    of = grid()
    known = slice_with(lambda y, x: np.hypot(y, x) < 1.5)[0] > 0
    heights = np.where(known, 7.0, np.nan)[None]
    found = of.area_averages(heights, VOXEL_MM, Similarity())[0]
    np.testing.assert_allclose(found[np.isfinite(found)], 7.0)
    assert np.isnan(found[0, 0])


def test_masks_part_the_anode_by_height_and_by_voids():
    material = np.zeros((4, 3, 3), np.uint8)
    material[:, :2] = 1
    material[1:3, 0, 0] = 2
    thickness = np.where(material.any(axis=0), 4.0, np.nan)
    height = np.array([[1.0, -1.0, 0.0], [2.0, np.nan, -2.0], [np.nan] * 3])
    masks = AnodeMaps.of(height, thickness, iter(material)).masks()
    assert masks["anode"].sum() == 6
    assert np.argwhere(masks["porous"]).tolist() == [[0, 0]]
    assert masks["dense"].sum() == 5
    assert np.argwhere(masks["raised"]).tolist() == [[0, 0], [1, 0]]
    assert np.argwhere(masks["sunken"]).tolist() == [[0, 1], [1, 2]]


def test_a_weighted_pool_adds_l_and_h_with_the_right_variance():
    """Against draws of the counts, with fractions as weights."""
    random = np.random.default_rng(0)
    weights, valid = random.random((6, 6)), random.random((6, 6)) < 0.8
    low, high = random.uniform(50, 90, (2, 6, 6))

    def pooled(counts_low, counts_high):
        zero = np.zeros_like(counts_low)
        result = EmfResult(low=counts_low, high=counts_high, var_low=counts_low,
                           var_high=counts_high, cov=zero)  # fmt: skip
        return pool_weighted(result, weights, valid)

    expected = pooled(low, high)
    assert expected.low == pytest.approx((weights * low)[valid].sum())
    draws = [pooled(random.poisson(low).astype(float), random.poisson(high).astype(float)).emf
             for _ in range(2000)]  # fmt: skip
    assert np.std(draws) == pytest.approx(expected.sigma, rel=0.06)
