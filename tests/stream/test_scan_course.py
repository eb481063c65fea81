"""A scan goes through its stages whatever its process does; a large one has a coarse preview."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexlive.benchmarks.ellipses import Ellipse, Ellipses
from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream import reconstruction
from hexlive.stream.nxtomo import write_scan
from hexlive.stream.reconstruction import preview_file, reconstruct_file
from hexlive.stream.scan_course import ScanCourse
from hexlive.stream.views import CtView
from hexlive.stream.worker import Progress

COLUMNS, ROWS, N_ANGLES, CENTRE_PX, SIDE = 120, 24, 90, 61.5, 3
DISKS = Ellipses(Ellipse(2, -3, 38, 38, 0.0, 0.01), Ellipse(14, 8, 12, 8, 0.6, 0.02))
SETTINGS = TomographySettings(engine="numba", rings="none", centre=CENTRE_PX)


class Here:
    """A worker without a process; ``wrong`` says how calls of a function end."""

    progress = Progress(None, None)

    def __init__(self, **wrong: Exception) -> None:
        self.wrong, self.calls = wrong, []

    def submit(self, function: Callable[..., Any], *arguments: object) -> "Future[Any]":
        name = getattr(function, "func", function).__name__
        self.calls.append(name)
        done: Future[Any] = Future()
        if name in self.wrong:
            done.set_exception(self.wrong[name])
        else:
            done.set_result(function(*arguments))
        return done


@pytest.fixture
def path(tmp_path: Path) -> Path:
    angles_deg = np.arange(N_ANGLES) * 180 / N_ANGLES
    lines = DISKS.sinogram(np.deg2rad(angles_deg), CENTRE_PX, COLUMNS).transpose(1, 0, 2)
    counts = np.rint(40_000 * np.exp(-lines * np.linspace(0.5, 1.5, ROWS)[:, None]))
    beam = np.full((2, ROWS, COLUMNS), 40_000, np.uint16)
    write_scan(
        tmp_path / "scan.nxs",
        Scan(
            projections=counts.astype(np.uint16),
            flats=beam,
            darks=np.zeros_like(beam),
            angles_deg=angles_deg,
            pixel_um=3.0,
        ),
    )
    return tmp_path / "scan.nxs"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "PREVIEW_COLUMNS", COLUMNS // SIDE)
    monkeypatch.setattr(reconstruction, "PREVIEW_VOXELS", ROWS * COLUMNS**2)


def course(path: Path, worker: Here, **known: Any) -> list[CtView]:
    """What is published of a scan, from its file to its end."""
    view = CtView(
        scan=1, state=None, status="reconstructing", note="", n_images=1, n_expected=1,
        pixel_um=3.0, **known,
    )  # fmt: skip
    scan = ScanCourse(view, path, path.with_name("volume.nxs"), SETTINGS, worker)
    seen = []
    while not scan.settled:
        scan.advance(first=True)
        seen.append(scan.view)
    return seen


@pytest.mark.parametrize(("centre", "previous_px"), [(CENTRE_PX, 70.0), ("auto", None)])
@pytest.mark.usefixtures("large")
def test_the_preview_has_the_slices_of_the_volume_on_its_pixels(
    path: Path, centre, previous_px
) -> None:
    settings = TomographySettings(engine="numba", rings="none", centre=centre)
    coarse = preview_file(path, settings, previous_centre_px=previous_px)
    fine = reconstruct_file(path, settings, path.with_name("volume.nxs"))
    assert coarse["centre_px"] == pytest.approx(CENTRE_PX, abs=0.5)
    for name in ("xy", "xz", "yz"):
        assert coarse[name].shape == fine[name].shape
        smooth = fine[name] - coarse[name]
        assert np.sqrt(np.mean(smooth**2)) < 0.35 * fine[name].std()
        assert coarse[name].mean() == pytest.approx(fine[name].mean(), rel=0.06)


@pytest.mark.usefixtures("large")
def test_it_is_published_before_the_volume_with_its_delay(path: Path) -> None:
    seen = course(path, Here())
    first = next(view for view in seen if view.xz is not None)
    assert first.volume_file is None
    assert set(first.delays_s) == {"preview"}
    assert first.xy.shape == (COLUMNS, COLUMNS)
    assert list(seen[-1].delays_s) == ["preview", "volume", "metrics"]


@pytest.mark.usefixtures("large")
def test_a_slice_that_grew_with_the_scan_stays_as_it_is_sharper(path: Path) -> None:
    live = np.zeros((COLUMNS, COLUMNS), np.float32)
    first = next(view for view in course(path, Here(), xy=live) if view.xz is not None)
    assert first.xy is live


def test_a_scan_whose_volume_is_there_as_soon_has_none(
    path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "PREVIEW_VOXELS", ROWS * COLUMNS**2 + 1)
    last = course(path, Here())[-1]
    assert list(last.delays_s) == ["volume", "metrics"]
    assert "preview" not in last.durations_s


@pytest.mark.parametrize("error", [ValueError("No."), BrokenProcessPool()])
def test_without_it_the_volume_is_made_all_the_same(path: Path, error: Exception) -> None:
    worker = Here(preview_file=error)
    last = course(path, worker)[-1]
    assert (last.status, last.volume_file) == ("done", "volume.nxs")
    assert worker.calls == ["preview_file", "reconstruct_file", "measure_volume"]


def test_a_process_that_dies_at_every_attempt_fails_the_scan_with_a_sentence(path: Path) -> None:
    worker = Here(reconstruct_file=BrokenProcessPool("The process died."))
    last = course(path, worker)[-1]
    assert last.status == "failed"
    assert last.note == "Its process died and was replaced. The process died."
    assert worker.calls == ["preview_file", "reconstruct_file", "reconstruct_file"]


def test_a_volume_whose_metrics_fail_is_kept(path: Path) -> None:
    last = course(path, Here(measure_volume=ValueError("The disk is full.")))[-1]
    assert (last.status, last.volume_file, last.note) == (
        "failed", "volume.nxs", "The disk is full.",
    )  # fmt: skip
