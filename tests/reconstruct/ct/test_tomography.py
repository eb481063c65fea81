import numpy as np
import pytest

from hexlive.benchmarks.ellipses import Ellipse, Ellipses
from hexlive.reconstruct.ct.choosing import candidates
from hexlive.reconstruct.ct.engines import fbp
from hexlive.reconstruct.ct.normalise import MIN_TRANSMISSION, air_level
from hexlive.reconstruct.ct.scan import Scan, Taken, angle_warnings
from hexlive.reconstruct.ct.sinograms import Sinograms
from hexlive.reconstruct.ct.tomography import TomographySettings, orthoslices, reconstruct

COLUMNS, N_ROWS, N_ANGLES = 96, 6, 120
CENTRE_PX = 50.3
ANGLES_DEG = np.arange(N_ANGLES) * 180 / N_ANGLES
ANGLES_RAD = np.deg2rad(ANGLES_DEG)
BEAM, DARK = 40_000, 100


def counts(lines):
    """Counts behind a thickness, with a dark level, ``(images, rows, columns) uint16``."""
    return np.rint(BEAM * np.exp(-lines) + DARK).astype(np.uint16)


@pytest.fixture
def scan(disks):
    one = disks.sinogram(np.deg2rad(ANGLES_DEG), CENTRE_PX, COLUMNS)
    strength = np.linspace(0.9, 1.1, N_ROWS)[:, None, None]
    empty = np.zeros((5, N_ROWS, COLUMNS))
    return Scan(
        projections=counts((one * strength).transpose(1, 0, 2)),
        flats=counts(empty),
        darks=np.full(empty.shape, DARK, np.uint16),
        angles_deg=ANGLES_DEG,
    )


def normalise(projections, flats, darks, zinger_ratio=None):
    angles_deg = np.arange(len(projections)) * 180 / len(projections)
    scan = Scan(projections=projections, flats=flats, darks=darks, angles_deg=angles_deg)
    return Sinograms(scan, zinger_ratio).read(slice(None)).transpose(1, 0, 2)


def replaced(scan, **changes):
    fields = ("projections", "flats", "darks", "angles_deg", "taken", "pixel_um", "notes")
    return Scan(**{name: getattr(scan, name) for name in fields} | changes)


def test_line_integrals_are_the_logarithm_of_transmission(scan, disks):
    lines = normalise(scan.projections, scan.flats, scan.darks)
    truth = disks.sinogram(np.deg2rad(ANGLES_DEG), CENTRE_PX, COLUMNS)[0]
    np.testing.assert_allclose(lines[:, 0], 0.9 * truth, atol=2e-4)
    assert lines.dtype == np.float32


@pytest.mark.parametrize("bad", [0, DARK, 65535, np.nan])
def test_unusable_flats_are_bridged_along_the_row(scan, bad):
    flats = scan.flats.astype(float) if np.isnan(bad) else scan.flats.copy()
    good = normalise(scan.projections, flats, scan.darks)
    flats[:, 2, 40:42] = bad
    flats[:, 3, 0] = bad
    lines = normalise(scan.projections, flats, scan.darks)
    assert np.isfinite(lines).all()
    expected = good[:, 2, 39] + (good[:, 2, 42] - good[:, 2, 39]) * 2 / 3
    np.testing.assert_allclose(lines[:, 2, 41], expected, atol=1e-6)
    np.testing.assert_array_equal(lines[:, 3, 0], good[:, 3, 1])
    np.testing.assert_array_equal(lines[:, 4], good[:, 4])


def test_a_row_without_any_good_pixel_becomes_zero(scan):
    flats = scan.flats.copy()
    flats[:, 1] = 0
    lines = normalise(scan.projections, flats, scan.darks)
    assert (lines[:, 1] == 0).all()
    assert (lines[:, 2] != 0).any()


def test_black_pixels_have_a_finite_thickness(scan):
    projections = scan.projections.copy()
    projections[7, 2, 30] = 0
    lines = normalise(projections, scan.flats, scan.darks)
    assert lines[7, 2, 30] == pytest.approx(-np.log(MIN_TRANSMISSION))


def test_line_integrals_without_flats_pass_as_they_are():
    lines = np.random.default_rng(0).random((4, 3, 8)).astype(np.float32)
    np.testing.assert_array_equal(normalise(lines, None, None), lines)
    broken = lines.copy()
    broken[1, 2, 3], broken[2, 0, 4] = np.nan, np.inf
    bridged = normalise(broken, None, None)
    assert bridged[1, 2, 3] == pytest.approx((lines[1, 2, 2] + lines[1, 2, 4]) / 2)
    assert np.isfinite(bridged).all()


def test_counts_without_flats_are_relative_to_their_brightest_part(scan):
    with_flats = normalise(scan.projections, scan.flats, scan.darks)
    without = normalise(scan.projections, None, scan.darks)
    np.testing.assert_allclose(without, with_flats, atol=0.01)


def drifting(scan, part, where=1.0):
    """The same with a beam that rises by a part of itself, and flats before and after."""
    n = len(scan.flats)
    share = (np.arange(N_ANGLES) + (n + 1) / 2) / (N_ANGLES + n)  # of the way between the flats
    projections = counts_of(scan.projections, 1 + part * share[:, None, None] * where)
    late = counts_of(scan.flats, 1 + part * where)
    taken = Taken(np.arange(N_ANGLES) + n, np.r_[np.arange(n), np.arange(n) + n + N_ANGLES])
    flats = np.concatenate([scan.flats, late])
    return replaced(scan, projections=projections, flats=flats, taken=taken)


def counts_of(images, beam):
    return np.rint((images - float(DARK)) * beam + DARK).astype(np.uint16)


@pytest.mark.parametrize("part", [0.02, -0.02])
def test_a_beam_that_drifts_is_interpolated_between_flats_before_and_after(scan, part):
    drifted = drifting(scan, part)
    lines, steady = (Sinograms(each).read(slice(None)) for each in (drifted, scan))
    np.testing.assert_allclose(lines, steady, atol=1e-4)
    warnings = reconstruct(drifted, TomographySettings(centre=CENTRE_PX)).warnings
    (sentence,) = (warning for warning in warnings if "beam" in warning)
    assert sentence.startswith(f"The beam changed by {100 * part:+.1f} % from the flats before")


def test_a_beam_that_moves_leaves_no_arcs(scan):
    settings = TomographySettings(centre=CENTRE_PX, rings="none", engine="fourier")
    spot = np.exp(-(((np.arange(COLUMNS) - 30) / 4) ** 2))
    drifted, steady = drifting(scan, 0.02, spot), reconstruct(scan, settings).volume

    def error(scan):
        return np.std(reconstruct(scan, settings).volume - steady) / np.std(steady)

    assert error(drifted) < 0.1 * error(replaced(drifted, taken=None))


def test_a_flat_that_is_bad_on_one_side_of_the_scan_is_taken_from_the_other(scan):
    good = drifting(scan, 0.0)
    flats = good.flats.copy()
    flats[: len(flats) // 2, 2, 40] = 0
    flats[len(flats) // 2 :, 3, 50] = 65535
    lines, expected = (
        Sinograms(replaced(good, flats=some)).read(slice(None)) for some in (flats, good.flats)
    )
    np.testing.assert_array_equal(lines, expected)


@pytest.mark.parametrize("when", [-1, 10_000])
def test_flats_on_one_side_only_serve_all_projections(scan, when):
    taken = Taken(np.arange(N_ANGLES), np.full(len(scan.flats), when))
    lines, expected = (Sinograms(s).read(slice(None)) for s in (replaced(scan, taken=taken), scan))
    np.testing.assert_array_equal(lines, expected)


def test_floating_point_images_that_no_beam_would_survive_are_doubted(scan):
    counts = scan.projections.astype(np.float32)
    settings = TomographySettings(centre=CENTRE_PX)
    warnings = reconstruct(replaced(scan, flats=None, projections=counts), settings).warnings
    assert any("were taken for line integrals; counts would need flats" in w for w in warnings)


def test_a_broken_pixel_does_not_hide_the_brightest_part(scan):
    counts = scan.projections.astype(np.float32)
    air = air_level(counts, scan.darks)
    counts[3, 2, 40] = np.nan
    assert air_level(counts, scan.darks) == pytest.approx(air, rel=1e-3)


def test_missing_darks_count_as_zero(scan):
    lines = normalise(scan.projections, scan.flats, None)
    expected = -np.log(scan.projections / np.float64(BEAM + DARK))
    np.testing.assert_allclose(lines, expected, atol=1e-5)


def test_zingers_are_replaced_on_request(scan):
    projections = scan.projections.copy()
    projections[5, 3, 50] = 60_000
    plain = normalise(scan.projections, scan.flats, scan.darks)
    clean = normalise(projections, scan.flats, scan.darks, zinger_ratio=0.3)
    assert clean[5, 3, 50] == pytest.approx(plain[5, 3, 50], abs=0.02)
    assert normalise(projections, scan.flats, scan.darks)[5, 3, 50] < plain[5, 3, 50] - 0.1


def test_a_scan_becomes_a_quantitative_volume(scan, disks):
    result = reconstruct(scan, TomographySettings(rings="none"))
    assert result.volume.shape == (N_ROWS, COLUMNS, COLUMNS)
    assert result.centre.px == pytest.approx(CENTRE_PX, abs=0.1)
    assert result.engine in candidates()
    assert result.engine_reason.startswith(result.engine)
    assert result.warnings == ()
    for row, strength in enumerate(np.linspace(0.9, 1.1, N_ROWS)):
        for inside, attenuation in disks.flat_parts(COLUMNS):
            found = result.volume[row][inside].mean()
            assert found == pytest.approx(strength * attenuation, rel=0.01)


def test_some_rows_are_those_of_the_whole(scan):
    settings = TomographySettings(centre=CENTRE_PX, rings="none")
    whole = reconstruct(scan, settings)
    part = reconstruct(scan, settings, rows=slice(2, 5))
    assert part.first_row == 2
    np.testing.assert_allclose(part.volume, whole.volume[2:5], atol=2e-5)


def test_a_given_centre_is_taken_as_it_is(scan):
    result = reconstruct(scan, TomographySettings(centre=47))
    assert result.centre.px == 47
    assert result.centre.by_method == {"given": 47}


def test_every_stage_is_timed_and_progress_ends_at_one(scan):
    done = []
    result = reconstruct(scan, TomographySettings(), progress=done.append)
    assert set(result.seconds) == {"centre", "normalise", "engine", "rings", "back-project"}
    assert done == sorted(done)
    assert done[-1] == 1


def test_rings_are_removed_and_scored(scan):
    flats = scan.flats.copy()
    flats[:, 3, 30] = (flats[:, 3, 30] * 1.1).astype(np.uint16)
    result = reconstruct(replaced(scan, flats=flats), TomographySettings(rings="mean"))
    assert result.rings == "mean"
    assert result.ring_score_after < 0.2 * result.ring_score_before


def test_missing_projections_are_reconstructed_around_and_reported(scan, disks):
    kept = np.ones(N_ANGLES, bool)
    kept[[30, 31, 32, 80]] = False
    partial = replaced(scan, projections=scan.projections[kept], angles_deg=ANGLES_DEG[kept])
    result = reconstruct(partial, TomographySettings(rings="none"))
    assert any("About 4 projections are missing" in warning for warning in result.warnings)
    inside, attenuation = disks.flat_parts(COLUMNS)[1]
    assert result.volume[0][inside].mean() == pytest.approx(0.9 * attenuation, rel=0.02)


def test_blank_projections_are_left_out_and_reported(scan):
    projections = scan.projections.astype(np.float32)
    projections[10], projections[11] = 0, np.nan
    result = reconstruct(replaced(scan, projections=projections), TomographySettings())
    assert "2 of 120 projections are blank and were left out." in result.warnings
    assert np.isfinite(result.volume).all()


def test_notes_of_the_scan_reach_the_user(scan):
    result = reconstruct(replaced(scan, notes=("As read.",)), TomographySettings())
    assert result.warnings[0] == "As read."


def test_the_pixel_size_of_the_scan_wins_over_the_settings(scan):
    settings = TomographySettings(pixel_um=3.24, centre=CENTRE_PX)
    assert reconstruct(scan, settings).pixel_um == 3.24
    assert reconstruct(replaced(scan, pixel_um=6.5), settings).pixel_um == 6.5


@pytest.mark.parametrize(("centre_px", "columns"), [(14.6, 64), (49.1, 64), (8.2, 68)])
def test_a_full_turn_off_axis_gives_the_slice_of_the_full_width(disks, centre_px, columns):
    angles_deg = np.arange(2 * N_ANGLES) * 180 / N_ANGLES
    wide = disks.sinogram(np.deg2rad(angles_deg), 99.0, 199)
    first = round(99.0 - centre_px)
    centre_px = 99.0 - first
    cropped = np.ascontiguousarray(wide[:, :, first : first + columns]).transpose(1, 0, 2)
    scan = Scan(projections=cropped, flats=None, darks=None, angles_deg=angles_deg)
    result = reconstruct(scan, TomographySettings(rings="none", engine="fourier"))
    assert result.centre.px == pytest.approx(centre_px, abs=0.15)
    assert result.warnings == ()
    size = result.volume.shape[1]
    whole = fbp(wide, np.deg2rad(angles_deg), 99.0, "fourier")[0]
    edge = (199 - size) // 2
    seen = whole[edge : edge + size, edge : edge + size]
    assert np.std(result.volume[0] - seen) < 0.06 * np.std(seen)
    for inside, attenuation in disks.flat_parts(size):
        assert result.volume[0][inside].mean() == pytest.approx(attenuation, rel=0.02)
    # A seam would be a step where the shorter side ends.
    around = np.hypot(*(np.indices((size, size)) - (size - 1) / 2))
    short_px = min(centre_px, columns - 1 - centre_px)
    inner, outer = (np.abs(around - short_px - by) < 1.5 for by in (-3, 3))
    step = [(result.volume[0] - seen)[ring].mean() for ring in (inner, outer)]
    assert abs(step[1] - step[0]) < 0.01 * seen.max()


def test_a_sample_wider_than_the_field_keeps_its_contrast(disks):
    rock = Ellipses(Ellipse(3, -2, 80, 70, 0.0, 0.01))
    both = disks.sinogram(ANGLES_RAD, 95.0, 191) + rock.sinogram(ANGLES_RAD, 95.0, 191)
    lines = np.ascontiguousarray(both[:, :, 45:146]).transpose(1, 0, 2)
    scan = Scan(projections=lines, flats=None, darks=None, angles_deg=ANGLES_DEG)
    volume = reconstruct(scan, TomographySettings(rings="none", centre=50.0)).volume[0]
    means = [volume[inside].mean() for inside, _ in disks.flat_parts(101)]
    levels = [attenuation for _, attenuation in disks.flat_parts(101)]
    np.testing.assert_allclose(np.diff(means), np.diff(levels), rtol=0.08)


def test_a_doubtful_axis_is_reported_with_what_to_do(shared_tomography):
    from hexlive.stream.nxtomo import read_scan

    result = reconstruct(
        read_scan(shared_tomography / "dendrite.nxs"), TomographySettings(engine="fourier")
    )
    assert any("set tomography.centre" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("angles_deg", "expected"),
    [
        (ANGLES_DEG, 0),
        (np.linspace(0, 180, 181), 0),
        (np.linspace(0, 360, 720, endpoint=False), 0),
        (np.delete(ANGLES_DEG, 50), 1),
        (np.linspace(0, 120, 80), 1),
        (np.delete(np.linspace(0, 120, 80), [4, 5]), 2),
    ],
)
def test_gaps_and_short_scans_are_one_sentence_each(angles_deg, expected):
    assert len(angle_warnings(angles_deg)) == expected


def test_nothing_to_reconstruct_is_refused(scan):
    with pytest.raises(ValueError, match="nothing to reconstruct in rows"):
        reconstruct(scan, TomographySettings(), rows=slice(4, 4))


def test_scan_parts_must_fit(scan):
    with pytest.raises(ValueError, match="do not fit 7 angles"):
        replaced(scan, angles_deg=ANGLES_DEG[:7])
    with pytest.raises(ValueError, match="flats and the projections differ"):
        replaced(scan, flats=scan.flats[:, :, 1:])


def test_orthoslices_go_through_one_voxel():
    volume = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    xy, xz, yz = orthoslices(volume, (1, 2, 3))
    assert xy[2, 3] == xz[1, 3] == yz[1, 2] == volume[1, 2, 3]
    assert [s.shape for s in orthoslices(volume)] == [(3, 4), (2, 4), (2, 3)]


def test_angles_in_radians_are_taken_as_such_and_reported(scan):
    settings = TomographySettings(centre=CENTRE_PX)
    result = reconstruct(replaced(scan, angles_deg=ANGLES_RAD), settings)
    np.testing.assert_allclose(result.volume, reconstruct(scan, settings).volume, atol=1e-6)
    assert any("taken for radians" in warning for warning in result.warnings)


def test_angles_that_run_backwards_give_the_same_slices(scan):
    settings = TomographySettings(centre=CENTRE_PX, engine="fourier")
    backwards = replaced(
        scan, projections=scan.projections[::-1].copy(), angles_deg=ANGLES_DEG[::-1]
    )
    volume = reconstruct(scan, settings).volume
    np.testing.assert_allclose(reconstruct(backwards, settings).volume, volume, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"flats": None}, "There are no flats; counts are relative to the brightest part"),
        ({"darks": None}, "There are no darks; the dark level counts as 0."),
    ],
)
def test_missing_flats_and_darks_are_reported(scan, changes, sentence):
    result = reconstruct(replaced(scan, **changes), TomographySettings(centre=CENTRE_PX))
    assert any(warning.startswith(sentence) for warning in result.warnings)
    assert np.isfinite(result.volume).all()


def test_many_bad_flats_are_reported_and_nothing_but_bad_ones_refused(scan):
    flats = scan.flats.copy()
    flats[:, :, :10] = 65535
    result = reconstruct(replaced(scan, flats=flats), TomographySettings(centre=CENTRE_PX))
    assert any("10.4 % of the pixels have a zero" in warning for warning in result.warnings)
    with pytest.raises(ValueError, match="no open beam to compare with"):
        reconstruct(replaced(scan, flats=np.zeros_like(flats)), TomographySettings())


@pytest.mark.parametrize(
    ("changes", "centre", "sentence"),
    [
        ({}, 200.0, "is outside the detector"),
        ({"angles_deg": np.full(N_ANGLES, np.nan)}, CENTRE_PX, "angles are not finite"),
        ({"angles_deg": np.full(N_ANGLES, 30.0)}, CENTRE_PX, "All projections are at 30 degrees"),
        ({"angles_deg": np.full(N_ANGLES, 0.0)}, "auto", "the scan has no angles"),
        ({"projections": np.zeros((N_ANGLES, N_ROWS, COLUMNS))}, "auto", "is blank"),
    ],
)
def test_what_cannot_be_reconstructed_is_one_sentence(scan, changes, centre, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        reconstruct(replaced(scan, **changes), TomographySettings(centre=centre))
    assert "\n" not in str(error.value)


def test_values_that_are_not_finite_are_bridged(scan):
    projections = scan.projections.astype(np.float32)
    projections[3, 2, 40], projections[50, 1] = np.nan, np.inf
    result = reconstruct(replaced(scan, projections=projections), TomographySettings(centre=50.3))
    assert np.isfinite(result.volume).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixel_um": 0.0},
        {"ring_width_px": 4},
        {"ring_width_px": 1},
        {"centre": -3.0},
        {"zinger_ratio": 0.0},
        {"memory_mb": 0.0},
        {"memory_mb": np.inf},
        {"pixel_um": np.inf},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=f"tomography.{next(iter(wrong))}"):
        TomographySettings(**wrong)
