"""What is saved of a panel: whole files, with everything that is drawn."""

import csv
import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from msgspec.structs import replace
from pytestqt.qtbot import QtBot

from hexlive.monitor.context import Context
from hexlive.monitor.panels import PAGES, Make
from hexlive.monitor.saving import SavingError, save_data
from hexlive.monitor.theme import DARK
from hexlive.monitor.trends import TrendPanel
from hexlive.stream.model import Snapshot

PANELS = dict.fromkeys(make for page in PAGES.values() for make in page)


def test_a_map_in_csv_has_a_row_per_pixel(tmp_path: Path) -> None:
    emf = np.arange(6.0).reshape(2, 3)
    save_data({"emf": emf, "emf_sigma": emf / 10}, tmp_path / "map.csv")
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert [(row["row"], row["column"], row["emf"]) for row in rows][4] == ("1", "1", "4.0")
    assert len(rows) == 6


def test_curves_of_unequal_length_stand_side_by_side(tmp_path: Path) -> None:
    save_data({"edges_kev": np.arange(3.0), "counts": np.array([5, 7])}, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "edges_kev,counts", "0.0,5", "1.0,7", "2.0,"
    ]  # fmt: skip


def test_words_are_written_as_they_are_and_are_no_formulas(tmp_path: Path) -> None:
    names = np.array(["Kathode Süd", "=1+1"], dtype=object)
    save_data({"component": names, "emf": np.array([1.0, -2.0])}, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "component,emf", "Kathode Süd,1.0", "'=1+1,-2.0"
    ]  # fmt: skip


def test_components_of_any_name_are_exported(
    qtbot: QtBot, snapshot: Snapshot, tmp_path: Path
) -> None:
    panel = TrendPanel(Context(DARK))
    qtbot.addWidget(panel.widget)
    panel.show(replace(snapshot, trend=[replace(snapshot.trend[0], component="Süd")]))
    save_data(panel.widget.data, tmp_path / "t.csv")
    (row,) = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert row["component"] == "Süd"


@pytest.mark.parametrize("make", PANELS)
@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_every_panel_can_be_saved(
    qtbot: QtBot, snapshot: Snapshot, tmp_path: Path, make: Make, suffix: str
) -> None:
    context = Context(DARK)
    panel = make(context)
    qtbot.addWidget(panel.widget)
    context.history.take(snapshot)
    panel.show(snapshot)
    path = tmp_path / f"panel{suffix}"
    save_data(panel.widget.data, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".h5":
        with h5py.File(path) as file:
            assert len(file) == len(panel.widget.data)


def test_nothing_to_save_or_a_strange_name_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SavingError, match="nothing"):
        save_data({}, tmp_path / "a.h5")
    with pytest.raises(SavingError, match=r"a\.txt ends neither"):
        save_data({"a": np.ones(1)}, tmp_path / "a.txt")
    with pytest.raises(SavingError, match="Cannot write"):
        save_data({"a": np.ones(1)}, tmp_path / "absent" / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(SavingError, match=r"a\.\w+: No space left on device\.$"):
        save_data({"a": np.ones(9)}, tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())
