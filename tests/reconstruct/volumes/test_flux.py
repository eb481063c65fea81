"""Flux through a box of the anode, against channels and spheres whose tortuosity is known."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hexlive.reconstruct.optional import EngineUnavailableError
from hexlive.reconstruct.volumes.flux import anode_box, anode_flux, leads_through
from hexlive.reconstruct.volumes.segmentation import ANODE, OTHER, VOID
from hexlive.reconstruct.volumes.surface_settings import FluxSettings, SurfaceError

SIDE, DEPTH, ABOVE = 40, 24, 5


def cell(void):
    """An anode of ``(DEPTH, SIDE, SIDE)`` with voids, in a volume with a border all around."""
    material = np.full((DEPTH + 2 * ABOVE, SIDE + 10, SIDE + 10), OTHER, np.uint8)
    material[ABOVE:-ABOVE, 5:-5, 5:-5] = np.where(void, VOID, ANODE)
    thickness_um = np.full(material.shape[1:], np.nan)
    thickness_um[5:-5, 5:-5] = DEPTH
    return material, thickness_um


def channels():
    void = np.zeros((DEPTH, SIDE, SIDE), bool)
    void[:, ::4, ::2] = True
    return void


def spheres(radius_px, apart_px=20):
    where = np.indices((DEPTH, SIDE, SIDE)) % apart_px - (apart_px - 1) / 2
    return np.sqrt((where**2).sum(0)) < radius_px


@pytest.fixture
def unsteady(monkeypatch):
    """What stands for taufactor: a solver that gives up at once."""
    solver = SimpleNamespace(solve=lambda **_: print("not converged"), D_eff=[0.5], converged=False)
    monkeypatch.setitem(sys.modules, "taufactor", SimpleNamespace(Solver=lambda *_, **__: solver))
    no_gpu = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", no_gpu)


@pytest.mark.parametrize("through", ["void", "anode"])
def test_straight_channels_hinder_nothing(through):
    pytest.importorskip("taufactor")
    flux = anode_flux(*cell(channels()), FluxSettings(axis="z", through=through))
    assert flux.volume_fraction == pytest.approx(0.125 if through == "void" else 0.875, abs=0.01)
    assert flux.tortuosity_factor == pytest.approx(1, abs=1e-3)
    assert flux.effective_diffusivity == pytest.approx(flux.volume_fraction, rel=1e-3)
    assert flux.notes == ()


def test_a_lattice_of_spheres_hinders_as_maxwell_found():
    pytest.importorskip("taufactor")
    where = np.indices((41, 41, 41)) - 20
    material = np.where(np.sqrt((where**2).sum(0)) < 12.7, VOID, ANODE).astype(np.uint8)
    flux = anode_flux(material, np.ones((41, 41)), FluxSettings(axis="y"))
    part = 1 - flux.volume_fraction
    # Steps of whole voxels hinder more than a sphere: 0.023 with 20 of them, 0.007 with 60.
    assert flux.tortuosity_factor == pytest.approx(1 + part / 2, abs=0.012)


def test_channels_do_not_lead_across(unsteady):
    flux = anode_flux(*cell(channels()), FluxSettings(axis="y", through="void"))
    assert flux.tortuosity_factor == np.inf
    assert flux.effective_diffusivity == 0
    assert flux.notes == ("No path leads along y through the box.",)


def test_a_flux_that_is_not_steady_is_said_and_nothing_printed(unsteady, capsys):
    flux = anode_flux(*cell(channels()), FluxSettings(axis="z"))
    assert flux.notes == ("The flux was not steady yet when its simulation was ended.",)
    assert flux.tortuosity_factor == pytest.approx(flux.volume_fraction / 0.5)
    assert capsys.readouterr().out == ""


def test_without_the_library_it_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "taufactor", None)
    with pytest.raises(EngineUnavailableError, match=r"taufactor: pip install 'hexlive\[flux"):
        anode_flux(*cell(channels()), FluxSettings(axis="z"))


def test_the_box_lies_within_the_anode_however_rough():
    material, thickness_um = cell(spheres(4))
    rng = np.random.default_rng(0)
    inside = np.isfinite(thickness_um)
    for y, x in np.argwhere(inside):
        material[ABOVE : ABOVE + rng.integers(0, 4), y, x] = OTHER
    first, end = anode_box(material, inside, 21)
    box = material[tuple(map(slice, first, end))]
    assert (first[0], end[0]) == (ABOVE + 3, ABOVE + DEPTH)
    assert box.shape[1:] == (21, 21)
    assert (box != OTHER).all()


@pytest.mark.parametrize("void", [channels()[:3], channels()[:0]], ids=["thin", "none"])
def test_an_anode_without_room_is_refused(void):
    material = np.where(void, VOID, ANODE).astype(np.uint8)
    with pytest.raises(SurfaceError, match="no room for a box of 4 voxels"):
        anode_box(material, np.full(void.shape[1:], len(void) > 0), 20)


def test_a_path_goes_round_corners():
    conducts = np.zeros((3, 4, 4), bool)
    conducts[0, 0, 0] = conducts[1, 0] = conducts[2, 0, 3] = True
    assert leads_through(conducts)
    conducts[1, 0, 2] = False
    assert not leads_through(conducts)


def test_a_box_without_an_inside_is_refused():
    with pytest.raises(ValueError, match=r"tomography.flux.side_px must be at least 4"):
        FluxSettings(side_px=3)
