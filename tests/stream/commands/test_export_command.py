"""What ``hexlive export`` refuses."""

from pathlib import Path

import h5py
import numpy as np
import pytest


@pytest.fixture
def stack_of_nothing(tmp_path: Path) -> Path:
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        file["raw_frames"] = np.zeros((2, 3, 4), np.uint16)
    return path


def test_what_is_no_result_is_one_sentence(hexlive, stack_of_nothing: Path) -> None:
    code, said = hexlive("export", stack_of_nothing, "--out", stack_of_nothing.parent / "x")
    assert code == 1
    assert said.endswith("is not a result of this hexlive: it has no 'entry'.\n")
    assert not (stack_of_nothing.parent / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--initial-soc", 7), ("--initial-soc", -0.1), ("--initial-soc", "nan"),
        ("--capacity-ah", 0), ("--capacity-ah", -1), ("--capacity-ah", "inf"),
    ],
)  # fmt: skip
def test_an_impossible_charge_is_wrong_use(
    hexlive, stack_of_nothing: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    code, said = hexlive("export", stack_of_nothing, "--out", tmp_path / "x", *words)
    assert code == 2
    assert words[0] in said
    assert not (tmp_path / "x").exists()
