"""The simulated cell: materials, regions, and the story of the lithium."""

import numpy as np
import pytest

pytest.importorskip("xraylib")

from hexlive.reconstruct.compton import ComptonSettings, peak_kev
from hexlive.stream.simulator.photons import (
    N_ANGLES,
    alias_table,
    angle_nodes_rad,
    quantile_table_kev,
)
from hexlive.stream.simulator.scene import CLASSES, REGIONS, STATES, Scene, free_windows

COMPTON = ComptonSettings()
SCENE = Scene()
COMPONENTS = ("anode", "electrolyte", "cathode")


def free_emf(counts):
    totals = {name: counts[index].sum() for index, name in enumerate(CLASSES["cell"])}
    windows = [
        total * np.array(free_windows(name, COMPTON))
        for name, total in totals.items()
        if name not in ("lines", "flat") and total > 0
    ]
    low, high = np.sum(windows, axis=0)
    return low / high


@pytest.mark.parametrize(
    ("material", "emf", "tolerance"),
    [
        ("lithium", 2.45, 0.005),
        ("electrolyte", 2.04, 0.03),
        ("lithiated", 1.071, 0.001),
        ("delithiated", 1.006, 0.001),
        ("steel", 0.80, 0.005),
    ],
)
def test_emf_of_materials_is_that_of_free_atoms(material, emf, tolerance):
    low, high = free_windows(material, COMPTON)
    assert low / high == pytest.approx(emf, abs=tolerance)


@pytest.mark.parametrize("state", STATES)
def test_component_algebra_is_exact_in_every_pixel(state):
    i1, i2, i3 = (SCENE.region(region, state) - SCENE.surroundings() for region in REGIONS)
    anode, electrolyte, cathode = (SCENE.part(name, state) for name in COMPONENTS)
    np.testing.assert_allclose(i3, anode, atol=1e-9)
    np.testing.assert_allclose(i2 - 0.89 * i3, electrolyte, atol=1e-9)
    np.testing.assert_allclose(i1 - 0.64 * i3 - (i2 - 0.89 * i3), cathode, atol=1e-9)


def test_lithium_goes_from_cathode_to_anode_on_charge_and_back():
    story = {name: [free_emf(SCENE.part(name, s)) for s in STATES] for name in COMPONENTS}
    assert (np.diff(story["anode"][:4]) > 0).all()
    assert (np.diff(story["cathode"][:4]) < 0).all()
    assert (np.diff(story["anode"][3:]) < 0).all()
    assert (np.diff(story["cathode"][3:]) > 0).all()
    assert np.ptp(story["electrolyte"]) == 0


@pytest.mark.parametrize(("state", "uneven"), [(4, False), (6, True)])
def test_sides_differ_on_discharge_only_and_the_pinhole_inverts_them(state, uneven):
    anode = SCENE.part("anode", state)
    left, right = free_emf(anode[..., :40]), free_emf(anode[..., 40:])
    assert (left > right * 1.01) == uneven
    assert SCENE.position_mm[1][0, 0] > 0 > SCENE.position_mm[1][0, -1]


def test_layers_are_disks_of_the_right_area():
    area_px = SCENE.part("cathode", 4).sum() / SCENE.part("cathode", 4)[:, 40, 40].sum()
    assert area_px * SCENE.pixel_mm**2 == pytest.approx(np.pi * 7.0**2, rel=1e-3)
    assert SCENE.pixel_mm == pytest.approx(0.2667, abs=1e-4)


def test_unknown_region_is_refused():
    with pytest.raises(ValueError, match="no region 4"):
        SCENE.region(4, 1)


def test_compton_line_has_its_peak_at_the_angle_of_the_pixel():
    nodes_rad = angle_nodes_rad(np.radians([86.2, 93.8]))
    lithium_kev = quantile_table_kev(nodes_rad, COMPTON)[CLASSES["cell"].index("lithium")]
    assert (np.diff(lithium_kev, axis=1) >= 0).all()
    for quantiles_kev, theta_rad in zip(lithium_kev, nodes_rad, strict=True):
        counts, edges_kev = np.histogram(quantiles_kev, np.arange(88, 98, 0.1))
        mode_kev = edges_kev[counts.argmax()] + 0.05
        assert mode_kev == pytest.approx(float(peak_kev(theta_rad, 115.0)), abs=0.2)
    assert len(nodes_rad) == N_ANGLES


def test_alias_table_draws_with_the_given_weights():
    weights = np.array([0.0, 1.0, 5.0, 0.5, 3.5])
    keep, other = alias_table(weights)
    drawn = keep.astype(np.float64)
    np.add.at(drawn, other, 1.0 - keep)
    np.testing.assert_allclose(drawn / drawn.sum(), weights / weights.sum(), atol=1e-6)
