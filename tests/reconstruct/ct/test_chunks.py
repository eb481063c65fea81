"""A scan in chunks of rows: within the memory, read as it is needed, and the same volume."""

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.ct.memory import (
    MAX_ROWS,
    PROGRAM_BYTES,
    chunk_rows,
    needed_mb,
    sample_rows,
)
from hexlive.reconstruct.ct.scan import ChosenImages, Scan
from hexlive.reconstruct.ct.tomography import (
    ChunkedReconstruction,
    TomographySettings,
    reconstruct,
)

COLUMNS, N_ROWS, N_ANGLES = 64, 24, 90
CENTRE_PX = 32.4
ANGLES_DEG = np.arange(N_ANGLES) * 180 / N_ANGLES


class WatchedImages:
    """An image stack that remembers how much of it was read at once."""

    def __init__(self, images):
        self._images = images
        self.shape, self.dtype = images.shape, images.dtype
        self.largest_read = 0

    def __getitem__(self, key):
        part = self._images[key]
        self.largest_read = max(self.largest_read, part.size)
        return part


@pytest.fixture
def scan(disks):
    """A cell whose rows differ, and faulty spots of the detector."""
    one = disks.sinogram(np.deg2rad(ANGLES_DEG), CENTRE_PX, COLUMNS).transpose(1, 0, 2)
    lines = one * np.linspace(0.8, 1.2, N_ROWS)[:, None]
    flats = np.full((3, N_ROWS, COLUMNS), 30_000, np.uint16)
    flats[:, 7, 20], flats[:, 16, 41] = 31_000, 29_000
    return Scan(
        projections=np.rint(30_000 * np.exp(-lines)).astype(np.uint16),
        flats=flats,
        darks=np.zeros_like(flats),
        angles_deg=ANGLES_DEG,
    )


def settings(**changes):
    """For numba, whose slices do not depend on which others are done with them."""
    return TomographySettings(**{"engine": "numba", "centre": CENTRE_PX} | changes)


def in_chunks_of(monkeypatch, rows):
    monkeypatch.setattr("hexlive.reconstruct.ct.tomography.chunk_rows", lambda *_: rows)


@pytest.mark.parametrize("rings", ["none", "mean", "sorting"])
@pytest.mark.parametrize("rows", [1, 7])
def test_chunks_make_the_same_volume(monkeypatch, scan, rings, rows):
    chosen = settings(rings=rings, zinger_ratio=0.5)
    whole = reconstruct(scan, chosen)
    in_chunks_of(monkeypatch, rows)
    work = ChunkedReconstruction(scan, chosen)
    parts = [(where, slices.copy()) for where, slices in work.chunks()]
    assert len(parts) == -(-N_ROWS // rows)
    np.testing.assert_array_equal(np.concatenate([p for _, p in parts]), whole.volume)
    result = work.result(None)
    assert result.ring_score_before == pytest.approx(whole.ring_score_before)
    assert result.ring_score_after == pytest.approx(whole.ring_score_after, rel=0.1)


def test_chunks_say_where_they_belong(monkeypatch, scan):
    in_chunks_of(monkeypatch, 5)
    work = ChunkedReconstruction(scan, settings(), rows=slice(3, 15))
    assert work.shape == (12, COLUMNS, COLUMNS)
    assert work.first_row == 3
    assert [(p.start, p.stop) for p, _ in work.chunks()] == [(0, 5), (5, 10), (10, 12)]


def test_no_more_of_a_scan_is_read_than_a_chunk(monkeypatch, scan):
    watched = WatchedImages(scan.projections)
    lazy = Scan(projections=watched, flats=scan.flats, darks=scan.darks, angles_deg=scan.angles_deg)
    in_chunks_of(monkeypatch, 4)
    monkeypatch.setattr("hexlive.reconstruct.ct.tomography.sample_rows", lambda *_: 2)
    volume = reconstruct(lazy, settings()).volume
    assert watched.largest_read < 0.4 * scan.projections.size
    np.testing.assert_array_equal(volume, reconstruct(scan, settings()).volume)


def test_a_scan_in_a_file_goes_to_a_volume_in_a_file(monkeypatch, scan, tmp_path):
    in_chunks_of(monkeypatch, 6)
    kept = np.flatnonzero(np.arange(N_ANGLES) % 9 != 4)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        images = file.create_dataset("images", data=scan.projections, chunks=(1, 8, COLUMNS))
        chosen = ChosenImages(images, kept)
        np.testing.assert_array_equal(chosen[3:20, 2:5], scan.projections[kept][3:20, 2:5])
        lazy = Scan(
            projections=chosen, flats=scan.flats, darks=scan.darks, angles_deg=ANGLES_DEG[kept]
        )
        work = ChunkedReconstruction(lazy, settings())
        volume = file.create_dataset("volume", work.shape, np.float32)
        for rows, slices in work.chunks():
            volume[rows] = slices
        result = work.result(volume)
        partial = Scan(
            projections=scan.projections[kept],
            flats=scan.flats,
            darks=scan.darks,
            angles_deg=ANGLES_DEG[kept],
        )
        np.testing.assert_array_equal(result.volume[()], reconstruct(partial, settings()).volume)
        assert any("projections are missing" in warning for warning in result.warnings)


def geometry(n_angles=3600, columns=2560):
    return Geometry(
        angles_rad=np.linspace(0, np.pi, n_angles), centre_px=columns / 2, columns=columns
    )


def test_less_memory_means_more_chunks():
    rows = [chunk_rows(geometry(), 0, 4, limit_mb) for limit_mb in (1400, 2048, 4096, 1 << 20)]
    assert rows == sorted(rows)
    assert 1 <= rows[0] < rows[1] < rows[2] < rows[3] == MAX_ROWS


@pytest.mark.parametrize("n_rows", [1, 2, 17])
def test_the_limit_that_rows_take_gives_these_rows(n_rows):
    limit_mb = needed_mb(geometry(), 10**9, 4, n_rows)
    assert chunk_rows(geometry(), 10**9, 4, limit_mb * (1 + 1e-9)) == n_rows
    sinogram, slices = 4 * 3600 * 2560, 4 * 2560**2
    taken = PROGRAM_BYTES + 10**9 + 2 * (n_rows + 8) * sinogram + 2 * n_rows * slices
    assert 1e6 * limit_mb == pytest.approx(taken)


def test_too_little_memory_is_refused_with_what_it_takes():
    sentence = (
        r"tomography\.memory_mb = 900 is too little: one row of 3600 angles and 2560 columns "
        r"takes 2086 MB\."
    )
    with pytest.raises(ValueError, match=sentence):
        chunk_rows(geometry(), 10**9, 4, 900)


def test_too_little_memory_is_said_before_an_engine_takes_more_of_it(monkeypatch, scan):
    def opened(*_):
        raise AssertionError("an engine was opened")

    monkeypatch.setattr("hexlive.reconstruct.ct.tomography.pick_engine", opened)
    with pytest.raises(ValueError, match="memory_mb = 350 is too little"):
        ChunkedReconstruction(scan, settings(memory_mb=350.0))


def test_the_sample_for_the_axis_fits_too():
    assert sample_rows(3600, 2560, 4096) == 16
    assert 1 <= sample_rows(3600, 2560, 1024) < 4
    assert sample_rows(36_000, 25_600, 400) == 1
