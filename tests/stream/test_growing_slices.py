"""Slices along the axis grow with a scan where there is a GPU; without one nothing asks for it."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hexlive.benchmarks.ellipses import Ellipse, Ellipses
from hexlive.reconstruct.ct import live_volume
from hexlive.reconstruct.ct.live_volume import LiveVolume
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream import live_slice
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.live_slice import LiveLeg, LiveScanSettings
from hexlive.stream.model import AnyMessage, Projections, ScanEnd, ScanStart
from hexlive.stream.views import CtView
from hexlive.stream.volumes import opened_volume
from hexlive.stream.worker import Progress

COLUMNS, ROWS, ANGLES, CENTRE_PX, FLATS, BATCH = 64, 8, 90, 32.7, 16, 16
N_IMAGES = 2 * FLATS + ANGLES
DISKS = Ellipses(Ellipse(1, -2, 22, 22, 0.0, 0.02), Ellipse(8, 5, 7, 5, 0.6, 0.02))
SETTINGS = TomographySettings(centre=CENTRE_PX, rings="none", engine="fourier-gpu")


class Here:
    """A worker without a process."""

    progress = Progress(None, None)

    def __init__(self) -> None:
        self.calls: list[str] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        self.calls.append(getattr(function, "func", function).__name__)
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def kill(self) -> None:
        """There is nothing to end."""

    close = kill


def scan() -> Iterator[AnyMessage]:
    """Flats before and after; in between the beam moves, by a twentieth of itself."""
    none, half_turn = np.zeros(FLATS), np.arange(ANGLES) * 180 / ANGLES
    angles_deg = np.r_[none, half_turn, none]
    key = np.r_[none + 1, np.zeros(ANGLES), none + 1].astype(np.uint8)
    spot = 0.05 * np.exp(-(((np.arange(COLUMNS) - 24) / 4) ** 2))
    beam = 40_000 * (1 + spot * np.linspace(0, 1, N_IMAGES)[:, None, None])
    lines = DISKS.sinogram(np.deg2rad(angles_deg), CENTRE_PX, COLUMNS)[0] * (key == 0)[:, None]
    heights = np.linspace(0.8, 1.2, ROWS)[:, None]
    counts = np.rint(beam * np.exp(-lines[:, None] * heights)).astype(np.uint16)
    yield ScanStart(series="s", scan=1, rows=ROWS, columns=COLUMNS, n_images=N_IMAGES, pixel_um=5.0)
    for first in range(0, N_IMAGES, BATCH):
        part = slice(first, first + BATCH)
        yield Projections(
            series="s", scan=1, first_image=first, angles_deg=angles_deg[part],
            image_key=key[part], images=counts[part],
        )  # fmt: skip
    yield ScanEnd(series="s", scan=1, n_images=N_IMAGES)


@pytest.fixture
def workers() -> tuple[Here, Here]:
    return Here(), Here()


@pytest.fixture
def views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: tuple[Here, Here]
) -> Callable[..., list[CtView]]:
    """Where a scan stands after each message, and at its end."""
    monkeypatch.setattr(live_slice, "PAUSE", 0.0)

    def run(**settings: Any) -> list[CtView]:
        chosen = replace(SETTINGS, **settings)
        live = LiveScanSettings(interval_s=0.0)
        reducer = TomographyReducer(chosen, tmp_path / "run.nxs", live, workers)
        seen = []
        for message in scan():
            reducer.add(message)
            seen.append(reducer.snapshot().scans[0])
        while seen[-1].status not in ("done", "failed"):
            seen.append(reducer.snapshot().scans[0])
        reducer.close()
        return seen

    return run


def volume_slices(tmp_path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with opened_volume(tmp_path / "run_scan_0001_volume.nxs") as (volume, _):
        return volume[:, COLUMNS // 2], volume[:, :, COLUMNS // 2]


@pytest.mark.usefixtures("numpy_as_cupy")
def test_three_slices_are_shown_while_the_scan_runs_and_at_its_end(
    views: Callable[..., list[CtView]], workers: tuple[Here, Here], tmp_path: Path
) -> None:
    seen = views()
    assert "preview_file" not in workers[1].calls
    running = [view for view in seen if view.status == "collecting" and view.xz is not None]
    assert running
    assert running[0].xy is not None
    last = seen[-1]
    assert last.status == "done", last.note
    assert "live" not in last.note
    assert list(last.delays_s) == ["slice", "cuts", "volume", "metrics"]
    before = next(view for view in seen if "cuts" in view.delays_s)
    assert before.volume_file is None
    for live, fine in zip((before.xz, before.yz), volume_slices(tmp_path), strict=True):
        assert live is not None
        assert live.shape == fine.shape
        assert np.std(live - fine) < 0.35 * np.std(fine)
        assert live.mean() == pytest.approx(fine.mean(), rel=0.05)


def test_the_slice_at_the_end_rests_on_flats_before_and_after_as_the_volume_does(
    views: Callable[..., list[CtView]], tmp_path: Path
) -> None:
    seen = views(engine="numba")
    grown = next(view.xy for view in seen if "slice" in view.delays_s)
    with opened_volume(tmp_path / "run_scan_0001_volume.nxs") as (volume, _):
        fine = volume[ROWS // 2]
    np.testing.assert_allclose(grown, fine, atol=2e-4 * fine.max())


@pytest.mark.usefixtures("numpy_as_cupy")
def test_a_gpu_that_fills_up_costs_the_cuts_and_not_the_slice(
    views: Callable[..., list[CtView]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def full(self: LiveVolume, *, finish: bool) -> dict[str, Any]:
        tried.append(self)
        raise MemoryError("Out of memory allocating 1 byte.")

    monkeypatch.setattr(LiveVolume, "cuts", full)
    seen = views()
    assert len(tried) == 1
    assert "There are no live slices along the axis: Out of memory" in seen[-1].note
    assert list(seen[-1].delays_s) == ["slice", "volume", "metrics"]
    assert all(view.xz is None for view in seen if view.volume_file is None)


@pytest.mark.usefixtures("numpy_as_cupy")
def test_a_gpu_that_is_too_small_is_said(
    views: Callable[..., list[CtView]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_volume, "needed_bytes", lambda *_: 1 << 50)
    note = views()[-1].note
    assert "no live slices along the axis: It takes 1073741824 MiB of the GPU" in note


@pytest.mark.parametrize(
    ("settings", "there"),
    [({"engine": "numba"}, True), ({"engine": "auto"}, False)],
    ids=["engine for a CPU", "no CuPy"],
)
def test_without_a_gpu_images_are_not_even_halved(
    views: Callable[..., list[CtView]],
    workers: tuple[Here, Here],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    there: bool,
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("This costs a core.")

    monkeypatch.setattr(live_slice, "halved", never)
    monkeypatch.setattr(live_slice, "find_spec", lambda _: there or None)
    last = views(**settings)[-1]
    assert "preview_file" in workers[1].calls
    assert (last.status, list(last.delays_s)) == ("done", ["slice", "volume", "metrics"])


def test_nothing_is_asked_for_once_a_scan_is_over() -> None:
    start, batch, *_ = scan()
    assert isinstance(start, ScanStart)
    assert isinstance(batch, Projections)
    worker, settings = Here(), replace(SETTINGS, engine="numba")
    leg = LiveLeg(worker, start, settings, LiveScanSettings(interval_s=0.0), CENTRE_PX)
    leg.add(batch)
    leg.finish()
    while leg.busy:
        leg.advance()
    leg.advance()
    assert worker.calls == ["begin", "keep", "finish", "finish_cuts"]


def test_cupy_without_a_gpu_leaves_the_slice_of_the_row(
    views: Callable[..., list[CtView]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_slice, "find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "cupy", None)
    last = views(engine="auto")[-1]
    assert (last.status, list(last.delays_s)) == ("done", ["slice", "volume", "metrics"])
    assert "no live slices along" not in last.note
