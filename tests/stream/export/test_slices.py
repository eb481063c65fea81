"""A volume as TIFF files and pictures."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import ChunkedReconstruction, TomographySettings
from hexlive.stream.export.slices import draw_orthoslices, round_length, write_tiff
from hexlive.stream.nxtomo import write_scan
from hexlive.stream.volumes import opened_volume, write_volume

PIXEL_UM = 3.24
SETTINGS = TomographySettings(centre=31.5, pixel_um=PIXEL_UM, engine="numba")


@pytest.fixture
def scan() -> Scan:
    lines = np.zeros((24, 6, 64), np.float32)
    lines[:, :, 20:40] = 1
    return Scan(projections=lines, flats=None, darks=None, angles_deg=np.arange(24) * 7.5)


@pytest.fixture
def volume(scan: Scan, tmp_path: Path) -> Path:
    path = tmp_path / "volume.nxs"
    write_volume(path, ChunkedReconstruction(scan, SETTINGS))
    return path


def test_tiff_files_hold_the_slices_and_the_size_of_a_pixel(volume: Path, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    out = tmp_path / "tiff"
    out.mkdir()
    told: list[float] = []
    write_tiff(volume, out, told.append)
    files = sorted(out.iterdir())
    assert [file.name for file in files] == [f"slice_{z:05d}.tif" for z in range(6)]
    assert told[-1] == 1.0
    with opened_volume(volume) as (data, _):
        np.testing.assert_array_equal(tifffile.imread(files[2]), data[2])
    with tifffile.TiffFile(files[0]) as file:
        numerator, denominator = file.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1e4 / PIXEL_UM, rel=1e-3)


def test_orthoslices_are_drawn_whatever_is_in_them(volume: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = [path.name for path in draw_orthoslices(volume, tmp_path)]
    assert names == ["xy.png", "xz.png", "yz.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)


@pytest.mark.parametrize(("length", "bar"), [(0.9, 0.5), (1.0, 1.0), (2.4, 2.0), (73.0, 50.0)])
def test_a_scale_bar_has_a_round_length(length: float, bar: float) -> None:
    assert round_length(length) == pytest.approx(bar)


def test_the_command_writes_both_and_takes_some_rows(hexlive, scan: Scan, tmp_path: Path) -> None:
    pytest.importorskip("tifffile")
    pytest.importorskip("matplotlib")
    counts = np.rint(30_000 * np.exp(-scan.projections)).astype(np.uint16)
    flats = np.full((2, 6, 64), 30_000, np.uint16)
    write_scan(
        tmp_path / "scan.nxs",
        Scan(projections=counts, flats=flats, darks=None, angles_deg=scan.angles_deg),
    )
    where = tmp_path / "products"
    code, said = hexlive(
        "reconstruct", tmp_path / "scan.nxs", "--out", tmp_path / "v.nxs", "--centre", "31.5",
        "--rows", "1:4", "--memory-mb", "500", "--tiff", where, "--png", where,
    )  # fmt: skip
    assert code == 0, said
    assert len(list(where.glob("*.tif"))) == 3
    assert len(list(where.glob("*.png"))) == 3
    with h5py.File(tmp_path / "v.nxs") as file:
        heights_um = file["entry/data/z"][()]
    np.testing.assert_allclose(heights_um, np.array([1, 2, 3]) * PIXEL_UM)
    code, said = hexlive(
        "reconstruct", tmp_path / "scan.nxs", "--out", tmp_path / "v.nxs", "--rows", "four"
    )
    assert code == 1
    assert "--rows takes FIRST:END" in said
