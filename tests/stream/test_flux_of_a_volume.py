"""Flux through the anode of a volume file goes into the file and onto the scan, or says why not."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.reconstruct.volumes.surface_settings import FluxSettings, SurfaceSettings
from hexlive.stream.reconstruction import measure_volume

SURFACE = SurfaceSettings(classes=2, opening_radius_px=0, rim_um=0.0)
SETTINGS = TomographySettings(surface=SURFACE, flux=FluxSettings(axis="z", side_px=20))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A disk of lithium over something that attenuates less, without voids."""
    z, y, x = np.mgrid[:20, :64, :64] - np.array([0, 31.5, 31.5])[:, None, None, None]
    lithium = (z > 6) & (np.hypot(y, x) < 25)
    with h5py.File(tmp_path / "volume.nxs", "w") as file:
        file["entry/data/data"] = np.where(lithium, 0.01, 0.002).astype(np.float32)
        file["entry/reconstruction/parameters/pixel_um"] = 2.0
    return tmp_path / "volume.nxs"


@pytest.fixture
def taufactor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for taufactor: it finds that half of the flux comes through."""
    solver = SimpleNamespace(solve=lambda **_: None, D_eff=np.array([0.5]), converged=True)
    monkeypatch.setitem(sys.modules, "taufactor", SimpleNamespace(Solver=lambda *_, **__: solver))
    no_gpu = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", no_gpu)
    monkeypatch.setattr("hexlive.stream.volumes.version", lambda _: "1.2.1")


@pytest.mark.usefixtures("taufactor")
def test_it_is_in_the_file_with_the_box_that_it_is_of(volume: Path) -> None:
    known = measure_volume(volume, SETTINGS)
    assert known["note"] == ""
    assert (known["tortuosity_factor"], known["effective_diffusivity"]) == (2.0, 0.5)
    with h5py.File(volume) as file:
        process = file["entry/flux"]
        assert process.attrs["NX_class"] == "NXprocess"
        assert process["program"][()] == b"taufactor"
        assert process["volume_fraction"][()] == 1
        parameters = process["parameters"]
        assert parameters["axis"][()] == b"z"
        box = parameters["box_end_px"][()] - parameters["box_first_px"][()]
        np.testing.assert_array_equal(box, [13, 19, 19])


def test_it_is_left_out_unless_it_is_asked_for(volume: Path) -> None:
    known = measure_volume(volume, replace(SETTINGS, flux=FluxSettings()))
    assert "tortuosity_factor" not in known
    with h5py.File(volume) as file:
        assert "flux" not in file["entry"]


def test_without_the_library_the_rest_is_measured(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "taufactor", None)
    known = measure_volume(volume, SETTINGS)
    assert known["note"].endswith("needs taufactor: pip install 'hexlive[flux]'.")
    assert known["n_voids"] == 0


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [("z", "The simulation of flux needs taufactor"), ("w", "[tomography.flux]: Invalid enum")],
)
def test_the_command_says_what_is_wrong_before_the_work(
    hexlive: Callable[..., tuple[int, str]],
    volume: Path,
    monkeypatch: pytest.MonkeyPatch,
    axis: str,
    sentence: str,
) -> None:
    monkeypatch.setitem(sys.modules, "taufactor", None)
    code, said = hexlive("reconstruct", volume, "--out", volume.with_name("v"), "--flux", axis)
    assert code == 1
    assert sentence in " ".join(said.split())
    assert not volume.with_name("v").exists()
