"""Slices that grew with their scan are the slices of the whole scan."""

import numpy as np
import pytest

from hexlive.reconstruct.ct.choosing import Choice
from hexlive.reconstruct.ct.geometry import angular_weights
from hexlive.reconstruct.ct.live import LiveSlices, growing_weights, ready_engine
from hexlive.reconstruct.ct.scan import Scan, Taken
from hexlive.reconstruct.ct.tomography import TomographySettings, reconstruct

COLUMNS, N_ROWS, N_ANGLES, ROW = 96, 3, 120, 1
CENTRE_PX = 50.3
ENGINE = "numba"  # "auto" times engines, so that two slices may come from two
SETTINGS = TomographySettings(centre=CENTRE_PX, rings="none", engine=ENGINE)
BEAM, DARK = 40_000, 100
BATCH = 16
HALF_TURN = np.arange(N_ANGLES) * 180 / N_ANGLES


def images(disks, angles_deg, centre_px=CENTRE_PX):
    lines = disks.sinogram(np.deg2rad(angles_deg), centre_px, COLUMNS)[0]
    stack = np.repeat(lines[:, None], N_ROWS, axis=1) * [[0.9], [1.0], [1.1]]
    return np.rint(BEAM * np.exp(-stack) + DARK).astype(np.uint16)


def references(level=BEAM):
    shape = (5, N_ROWS, COLUMNS)
    return np.full(shape, level + DARK, np.uint16), np.full(shape, DARK, np.uint16)


def live_slices(settings=SETTINGS, centre_px=CENTRE_PX):
    return LiveSlices(settings, ENGINE, COLUMNS, slice(ROW, ROW + 1), centre_px)


def grown(projections, angles_deg, settings=SETTINGS, early=None, late=None):
    """What remains after batches, with a look after each, and the axis."""
    live = live_slices(settings, None if settings.centre == "auto" else settings.centre)
    taken = np.arange(len(projections))
    if early is not None:
        live.add_references(*early, np.full(len(early[0]), -1))
    for first in range(0, len(projections), BATCH):
        part = slice(first, first + BATCH)
        live.add(projections[part], angles_deg[part], taken[part])
        live.update()
    if late is not None:
        live.add_references(*late, np.full(len(late[0]), len(taken)))
    made = live.finish()
    return None if made is None else made[0], live.centre_px


def whole(projections, angles_deg, flats, darks, settings=SETTINGS, n_early=0):
    taken = np.arange(len(projections))
    flats_taken = np.where(np.arange(len(flats)) < n_early, -1, len(taken))
    scan = Scan(
        projections=projections, flats=flats, darks=darks, angles_deg=angles_deg,
        taken=Taken(taken, flats_taken),
    )  # fmt: skip
    return reconstruct(scan, settings, rows=slice(ROW, ROW + 1)).volume[0]


def agree(live, offline):
    assert live.shape == offline.shape
    np.testing.assert_allclose(live, offline, atol=2e-4 * offline.max())


ORDERS = {
    "in order": HALF_TURN,
    "backwards": HALF_TURN[::-1],
    "golden": (np.arange(N_ANGLES) * 111.246) % 180,
    "two turns apart": np.arange(N_ANGLES) * 360 / N_ANGLES,
    "jitter": HALF_TURN + np.random.default_rng(0).normal(0, 0.2, N_ANGLES),
    "gap": np.delete(HALF_TURN, slice(40, 52)),
    "repeats": np.sort(np.r_[HALF_TURN, HALF_TURN[7], HALF_TURN[7]]),
    "short": HALF_TURN[:90],
}


@pytest.mark.parametrize("angles_deg", ORDERS.values(), ids=list(ORDERS))
def test_batches_add_up_to_the_slice_of_the_whole_scan(disks, angles_deg):
    projections, (flats, darks) = images(disks, angles_deg), references()
    live, _ = grown(projections, angles_deg, early=(flats, darks))
    agree(live, whole(projections, angles_deg, flats, darks))


def test_the_field_widens_when_a_scan_turns_out_to_be_a_full_turn_off_axis(disks):
    angles_deg = np.arange(2 * N_ANGLES) * 180 / N_ANGLES
    settings = TomographySettings(engine=ENGINE, centre=70.0, rings="none")
    projections, (flats, darks) = images(disks, angles_deg, 70.0), references()
    live, _ = grown(projections, angles_deg, settings, early=(flats, darks))
    assert len(live) > COLUMNS
    agree(live, whole(projections, angles_deg, flats, darks, settings))


@pytest.mark.parametrize("early", [None, references(BEAM - 500)], ids=["only late", "both"])
def test_late_flats_count_in_the_slice_at_the_end(disks, early):
    projections, late = images(disks, HALF_TURN), references(BEAM + 500)
    live, _ = grown(projections, HALF_TURN, early=early, late=late)
    flats, darks, n_early = *late, 0
    if early is not None:
        flats, darks = (np.concatenate(parts) for parts in zip(early, late, strict=True))
        n_early = len(early[0])
    agree(live, whole(projections, HALF_TURN, flats, darks, n_early=n_early))


def test_a_beam_that_drifts_is_corrected_at_the_end(disks):
    projections = images(disks, HALF_TURN)
    spot = 0.02 * np.exp(-(((np.arange(COLUMNS) - 30) / 4) ** 2))
    beam = 1 + spot * (np.arange(N_ANGLES)[:, None, None] + 0.5) / N_ANGLES
    drifted = np.rint((projections - float(DARK)) * beam + DARK).astype(np.uint16)
    early, (late, darks) = references(), references()
    late = np.rint((late - float(DARK)) * (1 + spot) + DARK).astype(np.uint16)
    live, _ = grown(drifted, HALF_TURN, early=early, late=(late, darks))
    steady = whole(projections, HALF_TURN, *early)
    assert np.std(live - steady) < 0.003 * np.std(steady)


def test_there_is_a_slice_while_the_scan_runs_once_the_axis_is_known(disks):
    projections, (flats, darks) = images(disks, HALF_TURN), references()
    live, taken = live_slices(), np.arange(N_ANGLES)
    assert live.update() is None
    live.add(projections[:0], HALF_TURN[:0], taken[:0])  # flats alone
    live.add(projections[:60], HALF_TURN[:60], taken[:60])
    assert live.update() is None
    live.add_references(flats, darks, np.full(len(flats), -1))
    half = live.update()[0].copy()
    live.add(projections[60:], HALF_TURN[60:], taken[60:])
    agree(live.update()[0], whole(projections, HALF_TURN, flats, darks))
    assert np.abs(half - live.update()[0]).max() > 0.1 * half.max()


def test_an_unknown_axis_is_found_from_opposite_projections(disks):
    angles_deg = np.linspace(0, 180, N_ANGLES + 1)
    settings = TomographySettings(engine=ENGINE, rings="none")
    projections, early = images(disks, angles_deg), references()
    live, centre_px = grown(projections, angles_deg, settings, early=early)
    assert centre_px == pytest.approx(CENTRE_PX, abs=0.2)
    known = TomographySettings(engine=ENGINE, centre=centre_px, rings="none")
    agree(live, whole(projections, angles_deg, *early, known))


@pytest.mark.parametrize("centre", ["auto", CENTRE_PX])
def test_angles_in_radians_are_taken_as_such_at_the_end(disks, centre):
    angles_deg = np.linspace(0, 180, N_ANGLES + 1)
    projections, early = images(disks, angles_deg), references()
    settings = TomographySettings(engine=ENGINE, centre=centre, rings="none")
    live, centre_px = grown(projections, np.deg2rad(angles_deg), settings, early=early)
    known = TomographySettings(engine=ENGINE, centre=centre_px, rings="none")
    agree(live, whole(projections, angles_deg, *early, known))


def test_without_opposite_projections_the_axis_is_left_to_the_volume(disks):
    settings = TomographySettings(engine=ENGINE, rings="none")
    live, centre_px = grown(images(disks, HALF_TURN[:90]), HALF_TURN[:90], settings)
    assert live is None
    assert centre_px is None


def test_zingers_are_removed_as_in_the_volume(disks):
    settings = TomographySettings(engine=ENGINE, centre=CENTRE_PX, rings="none", zinger_ratio=0.3)
    projections, (flats, darks) = images(disks, HALF_TURN), references()
    projections[20:30, ROW, 40:42] = 65_000  # more than its own row would tell
    live, _ = grown(projections, HALF_TURN, settings, early=(flats, darks))
    scan = Scan(projections=projections, flats=flats, darks=darks, angles_deg=HALF_TURN)
    agree(live, reconstruct(scan, settings).volume[ROW])


def test_blank_projections_are_left_out(disks):
    projections, (flats, darks) = images(disks, HALF_TURN), references()
    projections[30] = 0
    live, _ = grown(projections, HALF_TURN, early=(flats, darks))
    agree(live, whole(projections, HALF_TURN, flats, darks))


def test_too_few_projections_are_no_slice(disks):
    live, _ = grown(images(disks, HALF_TURN[:2]), HALF_TURN[:2], early=references())
    assert live is None


def test_a_number_of_images_that_cannot_be_does_not_take_memory_for_them(monkeypatch):
    timed = []

    def pick(name, geometry):
        timed.append(len(geometry.angles_rad))
        return Choice("numba", "as asked for")

    monkeypatch.setattr("hexlive.reconstruct.ct.live.pick_engine", pick)
    ready_engine(SETTINGS, COLUMNS, 2**62)
    live = LiveSlices(SETTINGS, ENGINE, COLUMNS, slice(0, 1), CENTRE_PX, 2**62)
    live.add(np.eye(COLUMNS, dtype=np.uint16)[None, :1], np.zeros(1), np.zeros(1, np.intp))
    assert timed == [4 * COLUMNS]


def test_a_slice_that_does_not_fit_the_memory_is_refused_before_it_is_tried():
    with pytest.raises(ValueError, match="memory_mb = 4000 is too little"):
        ready_engine(SETTINGS, 65_536, N_ANGLES)


def test_weights_of_a_growing_scan_are_final_but_at_its_ends():
    angles_rad = np.deg2rad(HALF_TURN)
    so_far = growing_weights(angles_rad[:50], np.pi)
    np.testing.assert_allclose(so_far, np.pi / N_ANGLES)
    np.testing.assert_allclose(so_far[1:-1], angular_weights(angles_rad)[1:49])
