"""What grew and what went between two scans is told, and a cell that was only moved is the same."""

import numpy as np
import pytest

from hexlive.reconstruct.volumes.morphology import Morphology as Compared
from hexlive.reconstruct.volumes.morphology import MorphologyError, Stage
from hexlive.reconstruct.volumes.overview import Overviewing

SHAPE, VOXEL_UM = (20, 81, 81), 2.0
DISK_PX = 28.0


def material(y=0.0, x=0.0, down=0, top=8, grown=None, void=False):
    """An anode disk of 8 to 10 slices on its collector, with a growth of 4 x 6 x 6 voxels."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]] - (SHAPE[1] - 1) / 2
    angle = np.arctan2(rows - y, columns - x)
    disk = np.hypot(rows - y, columns - x) < DISK_PX + 2 * np.cos(3 * angle)
    made = np.zeros(SHAPE, np.uint8)
    made[top + down : 16 + down] = disk
    if grown:
        made[top - 4 + down : top + down, grown[0] : grown[0] + 6, grown[1] : grown[1] + 6] = 1
    if void:
        made[11 + down : 14 + down, 38:41, 38:41] = 2
    return made


def stage(name, made, sigma_um3=100.0, **changes):
    settings = {"voxel_um": VOXEL_UM, "volume_sigma_um3": sigma_um3} | changes
    volume = float(np.count_nonzero(made == 1)) * VOXEL_UM**3
    return Stage(name=name, material=made, volume_um3=volume, **settings)


def overview(*stages):
    compared = Compared(stages)
    seen = Overviewing(compared)
    for layer in compared.layers():
        seen.add(layer)
    return seen.overview()


def test_growth_and_loss_are_counted_and_located():
    made = [material(), material(grown=(30, 40), void=True)]
    found = overview(stage("I", made[0]), stage("II", made[1], sigma_um3=50.0))
    _, change = found.changes
    assert change.grown_um3 == 4 * 6 * 6 * VOXEL_UM**3
    assert change.removed_um3 == 27 * VOXEL_UM**3
    assert change.change_um3 == pytest.approx(change.grown_um3 - change.removed_um3)
    assert change.change_sigma_um3 == pytest.approx(np.hypot(100, 50))
    assert found.columns_um[0, 32, 42] == 4 * VOXEL_UM
    assert found.columns_um[0, 39, 39] == -3 * VOXEL_UM
    assert found.columns_um[0].sum() * VOXEL_UM**2 == pytest.approx(change.change_um3)


def test_each_voxel_has_the_colour_of_the_stage_that_it_appeared_in():
    made = [material(), material(grown=(30, 40)), material(grown=(48, 36))]
    compared = Compared([stage(name, one) for name, one in zip("abc", made, strict=True)])
    stages = np.stack([layer.stage for layer in compared.layers()])
    assert (stages[made[0] == 1] == 1).all()
    assert (stages[4:8, 30:36, 40:46] == 2).all()
    assert (stages[4:8, 48:54, 36:42] == 3).all()
    assert not stages[:4].any()
    found = overview(*compared.stages)
    np.testing.assert_array_equal(found.from_above, stages.max(axis=0))
    np.testing.assert_array_equal(found.from_aside, stages.max(axis=1))
    assert 4 <= found.xy_slice < 8


def test_a_cell_that_was_moved_has_not_changed():
    first = stage("I", material())
    moved = stage("II", material(y=2.0, x=-3.0, down=2))
    still, change = overview(first, moved).changes
    assert change.shift_um == pytest.approx((4.0, 4.0, -6.0), abs=0.3)
    assert change.rotation_deg == pytest.approx(0.0, abs=0.3)
    assert change.grown_um3 + change.removed_um3 < 0.02 * change.volume_um3
    assert change.residual_um < VOXEL_UM
    assert (still.change_um3, still.change_sigma_um3, still.residual_um) == (0.0, 0.0, 0.0)


def test_a_surface_that_faces_the_last_slice_is_placed_by_its_lower_side():
    made = [material()[::-1], material(down=1, grown=(30, 40))[::-1]]
    stages = [stage(n, one, faces_first=False) for n, one in zip("ab", made, strict=True)]
    _, change = overview(*stages).changes
    assert change.shift_um[0] == -VOXEL_UM
    assert (change.grown_um3, change.removed_um3) == (4 * 6 * 6 * VOXEL_UM**3, 0.0)


def test_parts_of_an_anode_are_compared_where_they_are():
    made = [material(), material(grown=(30, 40))]
    stages = [stage(n, one, outline_cut=True) for n, one in zip("ab", made, strict=True)]
    _, change = overview(*stages).changes
    assert change.grown_um3 == 4 * 6 * 6 * VOXEL_UM**3
    assert np.isnan([change.residual_um, change.rotation_deg]).all()


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (stage("II", material(), voxel_um=3.0), "voxels of 3 um, stage I of 2 um"),
        (stage("II", material()[:, :60]), "Slices of stage II"),
        (stage("II", material(), faces_first=False), "face different ways"),
        (stage("II", np.zeros(SHAPE, np.uint8)), "no anode in stage II"),
        (stage("II", np.ones(SHAPE, np.uint8)), "cannot be compared"),
    ],
)
def test_volumes_that_cannot_be_compared_are_refused(second, sentence):
    with pytest.raises(MorphologyError, match=sentence):
        Compared([stage("I", material()), second])


def test_another_cell_is_refused():
    other = np.zeros(SHAPE, np.uint8)
    other[8:16, 25:60, 15:70] = 1
    with pytest.raises(MorphologyError, match="of one cell"):
        Compared([stage("I", material()), stage("II", other)])


def test_one_stage_is_no_comparison():
    with pytest.raises(MorphologyError, match="not 1"):
        Compared([stage("I", material())])
