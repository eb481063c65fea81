"""A CT scan in the stream ends as slices, whatever happens to the worker or to some images."""

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hexlive.reconstruct.tomography import TomographySettings
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.model import AnyMessage, CtView, Projections, ScanEnd, ScanStart
from hexlive.stream.nxtomo import ScanGroup

COLUMNS, ROWS, ANGLES, CENTRE_PX = 48, 8, 60, 24.5
PATIENCE_S = 60.0


def scan(n_flats: int = 4) -> Iterator[AnyMessage]:
    """A rod off the axis, as line integrals of a disk, in counts."""
    yield ScanStart(
        series="s", scan=1, rows=ROWS, columns=COLUMNS, n_images=n_flats + ANGLES, pixel_um=5.0,
        state=3, started_s=1234.5,
    )  # fmt: skip
    angles = np.r_[np.zeros(n_flats), np.arange(ANGLES) * 180 / ANGLES]
    x = np.arange(COLUMNS) - CENTRE_PX - 8 * np.cos(np.deg2rad(angles[:, None]))
    chord = 2 * np.sqrt(np.clip(6.0**2 - x**2, 0, None))
    chord[:n_flats] = 0
    counts = np.broadcast_to(20_000 * np.exp(-0.05 * chord)[:, None], (len(angles), ROWS, COLUMNS))
    key = np.r_[np.ones(n_flats), np.zeros(ANGLES)].astype(np.uint8)
    for first in range(0, len(angles), 16):
        part = slice(first, first + 16)
        yield Projections(
            series="s", scan=1, first_image=first, angles_deg=angles[part], image_key=key[part],
            images=counts[part].astype("<u2"),
        )  # fmt: skip
    yield ScanEnd(series="s", scan=1, n_images=len(angles))


@pytest.fixture
def reducer(tmp_path: Path) -> Iterator[TomographyReducer]:
    reducer = TomographyReducer(TomographySettings(centre=CENTRE_PX), tmp_path / "run.nxs")
    yield reducer
    reducer.close()


def outcome(reducer: TomographyReducer) -> CtView:
    deadline = time.monotonic() + PATIENCE_S
    while reducer.busy and time.monotonic() < deadline:
        time.sleep(0.05)
    return reducer.snapshot().scans[0]


def test_the_end_of_a_scan_brings_slices_in_another_process(
    reducer: TomographyReducer, tmp_path: Path
) -> None:
    *collecting, end = scan()
    for message in collecting:
        reducer.add(message)
    view = reducer.snapshot().scans[0]
    assert (view.status, view.n_images, view.n_expected) == ("collecting", 64, 64)
    reducer.add(end)
    view = outcome(reducer)
    assert view.status == "done", view.note
    assert (view.state, view.started_s) == (3, 1234.5)
    assert view.xy.shape == (COLUMNS, COLUMNS)
    middle = (COLUMNS - 1) / 2
    row, column = np.unravel_index(np.argmax(view.xy), view.xy.shape)
    assert np.hypot(row - middle, column - middle) == pytest.approx(8, abs=6)
    assert view.xy.max() == pytest.approx(0.05, rel=0.5)
    assert (tmp_path / "run_scan_0001.nxs").exists()
    assert (tmp_path / "run_scan_0001_volume.nxs").exists()


def test_a_scan_that_lost_images_is_reconstructed_and_says_so(reducer: TomographyReducer) -> None:
    messages = list(scan())
    del messages[3]
    for message in messages:
        reducer.add(message)
    view = outcome(reducer)
    assert view.status == "done", view.note
    assert "16 of 64 images" in view.note


def test_a_worker_that_dies_is_replaced_and_the_scan_tried_again(
    reducer: TomographyReducer,
) -> None:
    for message in scan():
        reducer.add(message)
    for child in multiprocessing.active_children():
        child.kill()
    assert outcome(reducer).status == "done"


def test_a_scan_that_cannot_be_reconstructed_fails_with_a_sentence(
    reducer: TomographyReducer,
) -> None:
    start, *_, end = scan()
    for message in (start, end):
        reducer.add(message)
    view = outcome(reducer)
    assert view.status == "failed"
    assert view.note.endswith(".")


def test_projections_of_an_unknown_scan_are_left_alone(reducer: TomographyReducer) -> None:
    start, projections, *_ = scan()
    reducer.add(projections)
    reducer.add(start)
    reducer.add(msgspec.structs.replace(projections, scan=7))
    assert reducer.snapshot().scans[0].n_images == 0


def test_a_scan_that_never_ends_keeps_its_images(
    reducer: TomographyReducer, tmp_path: Path
) -> None:
    for message in list(scan())[:3]:
        reducer.add(message)
    reducer.finish()
    view = reducer.snapshot().scans[0]
    assert view.status == "failed"
    assert "32 images are in run_scan_0001.nxs" in view.note
    assert [path.name for path in tmp_path.iterdir()] == ["run_scan_0001.nxs"]


def test_a_worker_that_dies_during_the_scan_does_not_harm_it(reducer: TomographyReducer) -> None:
    messages = scan()
    reducer.add(next(messages))
    deadline = time.monotonic() + PATIENCE_S
    while not multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    time.sleep(0.2)
    for message in messages:
        reducer.add(message)
    assert outcome(reducer).status == "done"


def test_a_reconstruction_can_be_given_up(reducer: TomographyReducer) -> None:
    for message in scan():
        reducer.add(message)
    reducer.clear()
    assert not reducer.busy
    assert reducer.snapshot().scans[0].status == "failed"


def test_a_full_disk_costs_the_scan_and_not_the_run(
    reducer: TomographyReducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ScanGroup, *arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ScanGroup, "append", full)
    for message in scan():
        reducer.add(message)
    view = reducer.snapshot().scans[0]
    assert view.status == "failed"
    assert "No space left" in view.note
