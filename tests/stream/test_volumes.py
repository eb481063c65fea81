"""A volume file is whole or absent, and says how it was made."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import (
    ChunkedReconstruction,
    TomographySettings,
    reconstruct,
)
from hexlive.reconstruct.volumes.surface import Surface, anode_surface
from hexlive.reconstruct.volumes.surface_settings import SurfaceSettings
from hexlive.stream import files
from hexlive.stream.files import FileError
from hexlive.stream.volumes import add_surface, write_volume


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.nxs"


def cell_scan() -> Scan:
    sinogram = np.zeros((16, 20, 300), np.float32)
    sinogram[:, :, 120:180] = 1
    return Scan(projections=sinogram, flats=None, darks=None, angles_deg=np.arange(16) * 11.25)


CELL_SETTINGS = TomographySettings(centre=149.5, pixel_um=2.0, engine="numba")


def cell_surface() -> Surface:
    z, y, x = np.mgrid[:20, :64, :64] - np.array([0, 31.5, 31.5])[:, None, None, None]
    lithium = (z > 9) & (np.hypot(y, x) < 25)
    chosen = SurfaceSettings(classes=2, opening_radius_px=0)
    return anode_surface(np.where(lithium, 0.01, 0.002).astype(np.float32), 2.0, chosen)


def test_a_volume_file_holds_volume_provenance_levels_and_surface(path):
    expected, surface = reconstruct(cell_scan(), CELL_SETTINGS).volume, cell_surface()
    told: list[float] = []
    work = ChunkedReconstruction(cell_scan(), CELL_SETTINGS)
    result, cuts = write_volume(path, work, told.append)
    add_surface(path, surface)
    assert told[-1] == 1.0
    assert [p.name for p in path.parent.iterdir()] == ["scan.nxs"]
    np.testing.assert_array_equal(cuts.xz, expected[:, 150])
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        assert entry["definition"][()] == b"NXtomoproc"
        data = entry[entry.attrs["default"]]
        volume = data[data.attrs["signal"]]
        np.testing.assert_array_equal(volume, expected)
        assert [len(data[axis]) for axis in data.attrs["axes"]] == list(volume.shape)
        assert data["x"][1] - data["x"][0] == 2.0
        parameters = entry["reconstruction/parameters"]
        assert parameters["centre_px"][()] == 149.5 == result.centre.px
        assert parameters["engine"][()] == b"numba"
        [level] = entry["levels"].values()
        assert level.attrs["pixel_um"] == 4.0
        blocks = expected.reshape(10, 2, 150, 2, 150, 2).mean(axis=(1, 3, 5))
        np.testing.assert_allclose(level, blocks, rtol=1e-5, atol=1e-8)
        assert entry["surface"].attrs["ra_um"] == surface.ra_um
        np.testing.assert_array_equal(entry["surface/height_um"], surface.height_um)


def test_a_full_disk_while_a_volume_is_written_is_one_sentence_and_leaves_nothing(
    path, monkeypatch
):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    with pytest.raises(FileError, match=r"No room for scan\.nxs: 10 MB are left on the .*[^.]\.$"):
        write_volume(path, ChunkedReconstruction(cell_scan(), CELL_SETTINGS))
    assert not list(path.parent.iterdir())


def test_a_disk_that_another_program_fills_is_one_sentence_too(path):
    """HDF5 says it in lines, with addresses."""
    said = "Can't close file (file write failed: time = now\n, errno = 28, buf = 0x5621)"
    with pytest.raises(FileError) as error, files.whole_or_absent(path):
        raise OSError(said)
    assert str(error.value) == f"Cannot write {path}: No space left on device."
    assert not list(path.parent.iterdir())
