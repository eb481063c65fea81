"""A CT scan in the stream ends as slices, whatever happens to the worker or to some images."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.live_slice import LiveScanSettings
from hexlive.stream.model import AnyMessage, Projections, ScanEnd, ScanStart, Start
from hexlive.stream.nxtomo import ScanGroup
from hexlive.stream.scan_course import ScanCourse
from hexlive.stream.views import CtView
from hexlive.stream.volumes import opened_volume
from hexlive.stream.worker import Progress, Worker

COLUMNS, ROWS, ANGLES, CENTRE_PX = 48, 8, 60, 24.5
FLATS = 4
PATIENCE_S = 60.0
# One engine: "auto" may choose another for a slice than for a volume, and they differ by 1 %.
ENGINE = "numba"  # "auto" times engines, so that two slices may come from two
SETTINGS = TomographySettings(centre=CENTRE_PX, rings="none", engine=ENGINE)


def batches(number: int = 1, n_images: int = 16, late: bool = False) -> Iterator[Projections]:
    """A rod off the axis, as line integrals of a disk, in counts; flats before or after."""
    angles = np.arange(ANGLES) * 180 / ANGLES
    x = np.arange(COLUMNS) - CENTRE_PX - 8 * np.cos(np.deg2rad(angles[:, None]))
    chord = 2 * np.sqrt(np.clip(6.0**2 - x**2, 0, None))
    flats = np.zeros((FLATS, COLUMNS)), np.ones(FLATS), np.zeros(FLATS)
    projections = chord, np.zeros(ANGLES), angles
    parts = (projections, flats) if late else (flats, projections)
    chord, key, angles = (np.concatenate(each) for each in zip(*parts, strict=True))
    counts = np.broadcast_to(20_000 * np.exp(-0.05 * chord)[:, None], (len(key), ROWS, COLUMNS))
    for first in range(0, len(key), n_images):
        part = slice(first, first + n_images)
        yield Projections(
            series="s", scan=number, first_image=first, angles_deg=angles[part],
            image_key=key[part].astype(np.uint8), images=counts[part].astype("<u2"),
        )  # fmt: skip


def begin(number: int = 1) -> ScanStart:
    return ScanStart(
        series="s", scan=number, rows=ROWS, columns=COLUMNS, n_images=FLATS + ANGLES, pixel_um=5.0,
        state=3,
    )  # fmt: skip


def scan(number: int = 1) -> Iterator[AnyMessage]:
    yield begin(number)
    yield from batches(number)
    yield ScanEnd(series="s", scan=number, n_images=FLATS + ANGLES)


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Worker, Worker]]:
    """For all scans here; processes take long to start."""
    made = Worker(0), Worker(0)
    yield made
    for worker in made:
        worker.close()


@pytest.fixture
def open_reducer(
    tmp_path: Path, workers: tuple[Worker, Worker]
) -> Iterator[Callable[..., TomographyReducer]]:
    with ExitStack() as stack:

        def make(settings: TomographySettings = SETTINGS, **live: Any) -> TomographyReducer:
            out, chosen = tmp_path / "run.nxs", LiveScanSettings(**live)
            reducer = TomographyReducer(settings, out, chosen, workers)
            stack.callback(reducer.close)
            return reducer

        yield make


@pytest.fixture
def reducer(open_reducer: Callable[..., TomographyReducer]) -> TomographyReducer:
    return open_reducer()


def poll(reducer: TomographyReducer, until: Callable[[CtView], bool], number: int = 1) -> CtView:
    """The view of a scan as soon as it is as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while not until(view := reducer.snapshot().scans[number - 1]):
        assert time.monotonic() < deadline, (view.status, view.note)
        time.sleep(0.01)
    return view


def outcome(reducer: TomographyReducer, number: int = 1) -> CtView:
    return poll(reducer, lambda view: view.status in ("done", "failed"), number)


def volume_slice(tmp_path: Path, row: int = ROWS // 2) -> Any:
    with opened_volume(tmp_path / "run_scan_0001_volume.nxs") as (volume, _):
        return volume[row]


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
    assert "16 of 64 images did not arrive" in view.note
    assert "About 16 projections are missing (at 84 to 129 degrees)" in view.note


def test_images_that_come_after_the_end_are_waited_for(reducer: TomographyReducer) -> None:
    *others, last, end = scan()
    for message in (*others, end):
        reducer.add(message)
    reducer.add(last)
    view = outcome(reducer)
    assert (view.status, view.n_images, view.note.count("arrive")) == ("done", 64, 0)


def test_images_marked_invalid_are_left_out_of_slice_and_volume(
    open_reducer: Callable[..., TomographyReducer], tmp_path: Path
) -> None:
    start, *parts, end = scan()
    images, key = parts[2].images.copy(), parts[2].image_key.copy()
    images[3:5], key[3:5] = 7, 3
    parts[2] = msgspec.structs.replace(parts[2], images=images, image_key=key)
    reducer = open_reducer()
    for message in (start, *parts, end):
        reducer.add(message)
    sliced = poll(reducer, lambda view: "slice" in view.delays_s)
    view = outcome(reducer)
    assert "2 of 64 images are marked invalid" in view.note
    np.testing.assert_allclose(sliced.xy, volume_slice(tmp_path), atol=1e-4)


@pytest.mark.parametrize("late", [False, True], ids=["flats first", "flats last"])
def test_the_live_slice_at_the_end_is_that_of_the_volume(
    open_reducer: Callable[..., TomographyReducer], tmp_path: Path, late: bool
) -> None:
    reducer = open_reducer(row=2, interval_s=0.0)
    reducer.add(begin())
    for message in batches(late=late):
        reducer.add(message)
    reducer.add(ScanEnd(series="s", scan=1, n_images=FLATS + ANGLES))
    view = poll(reducer, lambda view: "slice" in view.delays_s)
    assert (view.status, view.volume_file) == ("reconstructing", None)
    assert outcome(reducer).status == "done"
    np.testing.assert_allclose(view.xy, volume_slice(tmp_path, row=2), atol=1e-4)


def test_a_known_axis_shows_the_slice_while_the_scan_runs(
    open_reducer: Callable[..., TomographyReducer],
) -> None:
    reducer = open_reducer(interval_s=0.0)
    start, *parts = list(scan())[:4]
    for message in (start, *parts):
        reducer.add(message)
    view = poll(reducer, lambda view: view.xy is not None)
    assert (view.status, view.centre_px, view.delays_s) == ("collecting", CENTRE_PX, {})


def test_stages_are_published_in_order_each_with_its_delay(reducer: TomographyReducer) -> None:
    for message in scan():
        reducer.add(message)
    seen: list[str] = []

    def done(view: CtView) -> bool:
        seen.extend([view.stage] if view.stage not in seen else [])
        return view.status == "done"

    view = poll(reducer, done)
    # The preview of a scan as small as this one is over at once.
    assert [stage for stage in seen if stage not in ("", "preview")] == [
        "slice", "volume", "metrics",
    ]  # fmt: skip
    delays_s = [view.delays_s[stage] for stage in ("slice", "volume", "metrics")]
    assert delays_s == sorted(delays_s)
    assert view.progress is None


def test_scans_queue_up_and_the_axis_of_one_serves_the_next(
    open_reducer: Callable[..., TomographyReducer],
) -> None:
    reducer = open_reducer(TomographySettings(engine=ENGINE, rings="none"), interval_s=0.0)
    for message in (*scan(1), *scan(2)):
        reducer.add(message)
    assert [outcome(reducer, number).status for number in (1, 2)] == ["done", "done"]
    start, *parts = list(scan(3))[:4]
    for message in (start, *parts):
        reducer.add(message)
    view = poll(reducer, lambda view: view.xy is not None, 3)
    assert view.status == "collecting"


def test_a_volume_knows_the_axis_of_the_scan_before(
    open_reducer: Callable[..., TomographyReducer],
    workers: tuple[Worker, Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reducer = open_reducer(TomographySettings(engine=ENGINE, rings="none"))
    for message in scan(1):
        reducer.add(message)
    found_px = outcome(reducer).centre_px
    submit, told_px = workers[1].submit, []

    def listen(function: Any, *arguments: object) -> Any:
        told_px.append(getattr(function, "keywords", {}).get("previous_centre_px"))
        return submit(function, *arguments)

    monkeypatch.setattr(workers[1], "submit", listen)
    for message in scan(2):
        reducer.add(message)
    assert outcome(reducer, 2).status == "done"
    assert found_px in told_px


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


def test_too_little_of_a_scan_that_never_ends_is_kept_as_images(
    reducer: TomographyReducer, tmp_path: Path
) -> None:
    for message in list(scan())[:3]:
        reducer.add(message)
    reducer.close()
    view = reducer.snapshot().scans[0]
    assert view.status == "failed"
    assert "Its 32 images are in run_scan_0001.nxs" in view.note
    assert [path.name for path in tmp_path.iterdir()] == ["run_scan_0001.nxs"]


def end_of_run(reducer: TomographyReducer) -> None:
    reducer.finish()


def another_scan(reducer: TomographyReducer) -> None:
    reducer.add(begin(2))


def another_series(reducer: TomographyReducer) -> None:
    reducer.add(
        Start(series="t", rows=80, columns=80, frame_rate_hz=9000.0, started_s=0.0),
    )


def silence(reducer: TomographyReducer) -> None:
    poll(reducer, lambda view: view.status != "collecting")


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        (end_of_run, "The run ended before the scan did."),
        (another_scan, "Another scan began before this one ended."),
        (another_series, "Another series began before this scan ended."),
        (silence, "The scan stopped without an end: no image for 0.3 s."),
    ],
)
def test_enough_of_a_scan_that_never_ends_is_reconstructed_and_says_so(
    open_reducer: Callable[..., TomographyReducer],
    ending: Callable[[TomographyReducer], None],
    sentence: str,
) -> None:
    reducer = open_reducer(idle_timeout_s=0.3)
    for message in list(scan())[:4]:
        reducer.add(message)
    ending(reducer)
    view = outcome(reducer)
    assert view.status == "done", view.note
    assert view.note.startswith(f"{sentence} 16 of 64 images did not arrive.")


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
    view = outcome(reducer)
    assert view.status == "done"
    assert "There is no live slice: its process died." in view.note


def test_a_scan_too_large_for_the_memory_is_said_at_its_beginning(
    open_reducer: Callable[..., TomographyReducer],
) -> None:
    reducer = open_reducer()
    reducer.add(msgspec.structs.replace(begin(), rows=1, columns=40_000, n_images=2**62))
    view = poll(reducer, lambda view: view.note != "")
    assert view.note.startswith("There is no live slice: tomography.memory_mb = 4000 is too")


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
    view = outcome(reducer)
    assert view.status == "failed"
    assert "No space left" in view.note


class Instant:
    """A worker whose calls are done at once; each kind brings what it would."""

    progress = Progress(None, None)

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        name = getattr(function, "func", function).__name__
        self.calls.append((name, arguments))
        stages = np.ones((2, 2), np.uint8)
        known = {
            "measure_volume": {"ra_um": 1.0},
            "compare_stages": {"stages_xy": stages, "stage_names": ["I", "II"]},
        }
        call: Future = Future()
        call.set_result({"note": "", "durations_s": {}, **known.get(name, {})})
        return call


def course(worker: Instant, tmp_path: Path, earlier: list[Path]) -> CtView:
    """What a finished scan file comes to."""
    view = CtView(
        scan=2, state=2, status="reconstructing", note="", n_images=9, n_expected=9, pixel_um=5.0
    )
    scan = ScanCourse(
        view, tmp_path / "s.nxs", tmp_path / "v.nxs", SETTINGS, worker, lambda: earlier
    )
    while not scan.settled:
        scan.advance(first=True)
    return scan.view


def test_an_anode_is_laid_on_those_of_the_scans_before(tmp_path: Path) -> None:
    worker, earlier = Instant(), [tmp_path / f"{n}.nxs" for n in range(9)]
    view = course(worker, tmp_path, earlier)
    assert (view.status, view.stage_names) == ("done", ["I", "II"])
    name, (paths,) = worker.calls[-1]
    assert name == "compare_stages"
    assert paths == [earlier[0], *earlier[4:], tmp_path / "v.nxs"]


def test_a_first_scan_is_compared_with_nothing(tmp_path: Path) -> None:
    worker = Instant()
    view = course(worker, tmp_path, [])
    assert (view.status, view.stage) == ("done", "metrics")
    assert "compare_stages" not in [name for name, _ in worker.calls]
