"""A run that died goes on from its checkpoint as if it had never died; one that cannot says why."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest

from hexlive.kernels.backend import EventSettings
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.reconstruct.drift import DriftSettings
from hexlive.stream.calibration import Calibration
from hexlive.stream.checkpoint import CheckpointFolder
from hexlive.stream.config import AdviceSettings, Config, MonitorSettings, StreamSettings
from hexlive.stream.files import FileError, index_of
from hexlive.stream.inbox import Queued
from hexlive.stream.model import AnyMessage, Frames, Mark, Projections, ScanEnd, ScanStart
from hexlive.stream.pipeline import GapError, Report
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import RecordingSource, open_file
from hexlive.stream.recovery import excerpt
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sinks import ResultFile
from hexlive.stream.wire import encode

VOLATILE = ("date", "command", "notes")


class CrashError(Exception):
    """Whatever ends a process at once."""


@pytest.fixture
def messages(make_source, lossy_source) -> list[AnyMessage]:
    return list(lossy_source._messages)


@pytest.fixture
def start(make_source, config, calibration, tmp_path, monkeypatch) -> Callable[..., None]:
    """Start the run and give it messages; ``crash``: it dies behind the last of them."""
    monkeypatch.setattr("hexlive.stream.session.INTERVAL_S", 0.0)  # a checkpoint per message

    def go(
        given: list[AnyMessage],
        *,
        crash: bool = False,
        recording: Path | None = None,
        config: Config = config,
        calibration: Calibration = calibration,
        queued: property | None = None,
        **options: object,
    ) -> None:
        class Dying(make_source):
            live = True

            def __iter__(self) -> Iterator[AnyMessage | None]:
                yield from self._messages
                if crash:
                    raise CrashError
                while True:
                    yield None

        if queued is not None:
            Dying.queued = queued
        result = tmp_path / "result.nxs"
        run_session(
            Dying(given), config, calibration, Outputs(result=result, recording=recording),
            checkpoint=CheckpointFolder(result), **options,
        )  # fmt: skip

    return go


def contents(path: Path) -> dict[str, object]:
    """Every dataset and attribute of a result, but for when and how often the run was started."""
    found: dict[str, object] = {}

    def keep(name: str, node: h5py.Group | h5py.Dataset) -> None:
        found.update({f"{name}@{key}": value for key, value in node.attrs.items()})
        if isinstance(node, h5py.Dataset) and name.rpartition("/")[2] not in VOLATILE:
            found[name] = node[()]

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def assert_same(found: dict[str, object], expected: dict[str, object]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture
def unbroken(start, messages, tmp_path) -> dict[str, object]:
    """The result of a run that does not die."""
    start(messages)
    found = contents(tmp_path / "result.nxs")
    assert not (tmp_path / "result.nxs.checkpoint").exists()
    return found


MOMENTS = {
    "before any frame": 3,
    "in the first exposure": 5,
    "at the end of an exposure": 6,
    "behind a segment": 7,
    "in a lossy exposure": 10,
    "in the last exposure": 27,
    "before the end": 28,
}


@pytest.mark.parametrize("behind", MOMENTS.values(), ids=MOMENTS)
def test_a_run_that_dies_has_the_result_of_one_that_does_not(
    start, messages, unbroken, tmp_path, behind: int
) -> None:
    with pytest.raises(CrashError):
        start(messages[:behind], crash=True)
    start(messages[behind:])
    assert_same(contents(tmp_path / "result.nxs"), unbroken)
    assert not list(tmp_path.glob("*checkpoint*"))


def test_a_run_may_die_again_and_again(start, messages, unbroken, tmp_path) -> None:
    for begin in range(0, 28, 4):
        with pytest.raises(CrashError):
            start(messages[begin : begin + 4], crash=True)
    start(messages[28:])
    assert_same(contents(tmp_path / "result.nxs"), unbroken)


def test_a_mark_of_before_the_crash_is_in_the_result_once(start, messages, tmp_path) -> None:
    mark = Mark(series="series", label="cell opened", time_s=1.7e9)
    marked = [*messages[:9], mark, *messages[9:]]
    start(marked)
    unbroken = contents(tmp_path / "result.nxs")
    assert unbroken["entry/marks/label"].tolist() == [b"cell opened"]
    with pytest.raises(CrashError):
        start(marked[:13], crash=True)
    start(marked[13:])
    assert_same(contents(tmp_path / "result.nxs"), unbroken)


@pytest.fixture
def drifting(config) -> Config:
    """With a drift monitor that sees a line in every batch."""
    return replace(config, drift=DriftSettings(lines=("93.9",), interval_s=0.005, correct=True))


@pytest.fixture
def sharp(messages) -> list[AnyMessage]:
    """The same messages with frames that hold a sharp line."""
    rng = np.random.default_rng(8)

    def line(message: AnyMessage) -> AnyMessage:
        if not isinstance(message, Frames):
            return message
        adu = rng.normal(1000, 8, message.frames.shape)
        hit = rng.random(adu.shape) < 0.05
        adu[hit] += rng.normal(93.9, 0.3, hit.sum()) / 0.029
        return msgspec.structs.replace(message, frames=adu.astype("<u2"))

    return [line(message) for message in messages]


@pytest.mark.parametrize("behind", [5, 6, 7, 10, 28])
def test_the_drift_monitor_goes_on_where_it_was(
    start, sharp, drifting, tmp_path, behind: int
) -> None:
    start(sharp, config=drifting)
    unbroken = contents(tmp_path / "result.nxs")
    assert len(unbroken["entry/drift/time"]) > 10
    with pytest.raises(CrashError):
        start(sharp[:behind], crash=True, config=drifting)
    start(sharp[behind:], config=drifting)
    assert_same(contents(tmp_path / "result.nxs"), unbroken)


def test_a_segment_may_be_named_after_a_restart(start, sharp, drifting, tmp_path) -> None:
    begin, segment, *rest = sharp
    late = [begin, *rest[:2], segment, *rest[2:]]
    start(late, config=drifting)
    unbroken = contents(tmp_path / "result.nxs")
    with pytest.raises(CrashError):
        start(late[:3], crash=True, config=drifting)
    start(late[3:], config=drifting)
    assert_same(contents(tmp_path / "result.nxs"), unbroken)
    assert unbroken["entry/segment_0001@region"] == segment.region


def test_frames_missing_in_ranges_that_are_not_kept_stay_counted(
    start, messages, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("hexlive.stream.exposure.MAX_RANGES", 4)
    cut = [
        message.cut(n, n + 1) for message in messages if isinstance(message, Frames)
        for n in range(message.first_frame, message.end_frame, 8)
    ]  # fmt: skip
    given = [messages[0], messages[1], *cut[:40], messages[-1]]
    start(given)
    unbroken = contents(tmp_path / "result.nxs")
    assert unbroken["entry/segment_0001@frames_unlisted"] > 0
    with pytest.raises(CrashError):
        start(given[:30], crash=True)
    start(given[30:])
    assert_same(contents(tmp_path / "result.nxs"), unbroken)


def test_what_waits_in_the_source_is_seen_through_the_continuation(
    start, messages, monkeypatch
) -> None:
    seen: list[int] = []

    class Watch:
        def put(self, report: Report) -> None:
            seen.append(report.queued.most_bytes)

        def close(self) -> None: ...

    queued = property(lambda self: Queued(3, 7))
    start(messages, queued=queued, progress=Watch())
    assert seen[-1] == 7


def test_what_comes_again_is_counted_as_duplicate_and_booked_once(
    start, messages, unbroken, tmp_path
) -> None:
    with pytest.raises(CrashError):
        start(messages[:10], crash=True)
    again = [message for message in messages[7:10] if isinstance(message, Frames)]
    start(again + messages[10:])
    found = contents(tmp_path / "result.nxs")
    n_again = sum(len(message.frames) for message in again)
    assert found.pop("entry/rejected@duplicate") == n_again > 0
    assert_same(found, unbroken)


def test_what_is_lost_is_missing_with_its_range(
    start, messages, tmp_path, make_source, config, calibration
) -> None:
    with pytest.raises(CrashError):
        start(messages[:9], crash=True)
    lost, after = messages[9], messages[10:]
    assert isinstance(lost, Frames)
    start(after)
    found = contents(tmp_path / "result.nxs")
    begin, end = found["entry/segment_0002/missing_frames"].tolist()[-1]
    assert begin <= lost.first_frame < lost.end_frame == end
    run_session(
        make_source(messages[:9] + after), config, calibration, Outputs(result=tmp_path / "x.nxs")
    )
    assert_same(found, contents(tmp_path / "x.nxs"))


def test_a_run_that_dies_with_all_frames_in_only_writes_its_result(
    start, messages, unbroken, tmp_path, monkeypatch
) -> None:
    def die(self: ResultFile) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(ResultFile, "close", die)
        with pytest.raises(CrashError):
            start(messages)
    start([])  # would wait for ever for a message
    assert_same(contents(tmp_path / "result.nxs"), unbroken)


def test_a_series_that_had_ended_but_for_lost_frames_is_not_waited_for(
    start, messages, tmp_path
) -> None:
    *_, last, end = messages
    assert isinstance(last, Frames)
    with pytest.raises(CrashError):
        start([*messages[:-2], end], crash=True)
    start([])
    with h5py.File(tmp_path / "result.nxs") as file:
        missing = file["entry/segment_0006/missing_frames"][()]
    assert missing.tolist() == [[last.first_frame, last.end_frame]]


def test_a_recording_gives_back_what_came_after_the_checkpoint(
    start, messages, unbroken, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("hexlive.stream.session.INTERVAL_S", 3600.0)  # only at the end of exposures
    recording = tmp_path / "recording.h5"
    for begin, end in ((0, 9), (9, 10), (10, 20)):
        with pytest.raises(CrashError):
            start(messages[begin:end], crash=True, recording=recording)
    start(messages[20:], recording=recording)
    assert_same(contents(tmp_path / "result.nxs"), unbroken)
    names = ["recording.h5", *(f"recording_{n:04d}.h5" for n in (2, 3, 4))]
    assert sorted(path.name for path in tmp_path.glob("recording*")) == names
    sent = [(m.first_frame, m.end_frame) for m in messages if isinstance(m, Frames)]
    recorded = [m for name in names for m in open_file(tmp_path / name) if isinstance(m, Frames)]
    assert [(m.first_frame, m.end_frame) for m in recorded] == sent


def test_a_recording_that_is_gone_costs_what_it_had(
    start, messages, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr("hexlive.stream.session.INTERVAL_S", 3600.0)
    recording = tmp_path / "recording.h5"
    with pytest.raises(CrashError):
        start(messages[:9], crash=True, recording=recording)
    recording.unlink()
    start(messages[9:], recording=recording)
    assert "There is no file" in caplog.text
    with h5py.File(tmp_path / "result.nxs") as file:
        first = file["entry/segment_0002"].attrs
        assert first["frames_received"] + first["frames_lost"] == first["frames_expected"] == 192


@pytest.fixture
def ct_scan(messages) -> list[AnyMessage]:
    """64 images of next to nothing, in four parts."""
    series, shape = messages[0].series, (8, 48)
    angles, key = np.r_[np.zeros(4), np.arange(60) * 3.0], np.repeat([1, 0], [4, 60])
    images = np.random.default_rng(5).poisson(10_000, (64, *shape)).astype("<u2")
    parts = [
        Projections(
            series=series, scan=1, first_image=at, angles_deg=angles[at : at + 16],
            image_key=key[at : at + 16].astype(np.uint8), images=images[at : at + 16],
        )
        for at in range(0, 64, 16)
    ]  # fmt: skip
    begin = ScanStart(series=series, scan=1, rows=8, columns=48, n_images=64, pixel_um=5.0)
    return [begin, *parts, ScanEnd(series=series, scan=1, n_images=64)]


def with_scan(messages: list[AnyMessage], scan: list[AnyMessage]) -> list[AnyMessage]:
    """The images of a scan between the frames of the second exposure."""
    return messages[:8] + scan[:3] + messages[8:9] + scan[3:] + messages[9:]


def test_a_scan_under_way_is_regained_from_the_recording(
    start, messages, ct_scan, tmp_path, config
) -> None:
    given = with_scan(messages, ct_scan)
    config = replace(config, tomography=TomographySettings(centre=24.5))
    for begin, end in ((0, 10), (10, 13)):
        with pytest.raises(CrashError):
            start(given[begin:end], crash=True, recording=tmp_path / "recording.h5", config=config)
    start(given[13:], recording=tmp_path / "recording.h5", config=config)
    with h5py.File(tmp_path / "result.nxs") as file:
        scan = file["entry/ct/scan_0001"].attrs
        assert (scan["status"], scan["n_images"]) == ("done", 64), scan["note"]
        assert len(file["entry/ct"]) == 1
        assert set(file["entry/rejected"].attrs) == {"NX_class"}


def test_a_scan_under_way_is_lost_without_a_recording(start, messages, ct_scan, tmp_path) -> None:
    given = with_scan(messages, ct_scan)
    with pytest.raises(CrashError):
        start(given[:10], crash=True)
    start(given[10:])
    with h5py.File(tmp_path / "result.nxs") as file:
        scan = file["entry/ct/scan_0001"].attrs
        assert scan["status"] == "failed"
        assert "interrupted" in scan["note"]
        assert file["entry/rejected"].attrs["unknown_scan"] > 0


def test_a_reconstruction_that_was_not_done_is_done_again(
    start, messages, ct_scan, tmp_path, config
) -> None:
    config = replace(config, tomography=TomographySettings(centre=24.5))
    given = with_scan(messages, ct_scan)
    cut = given.index(ct_scan[-1]) + 1
    with pytest.raises(CrashError):
        start(given[:cut], crash=True, config=config)
    start(given[cut:], config=config)
    with h5py.File(tmp_path / "result.nxs") as file:
        scan = file["entry/ct/scan_0001"]
        assert scan.attrs["status"] == "done"
        assert scan["orthoslices/xy"].shape == (48, 48)


@pytest.mark.parametrize("n_frames", [0, 64, 200, 512])
@pytest.mark.parametrize("next_scan", [1, 2])
@pytest.mark.parametrize("listing", [None, 1010.0], ids=["frames", "events"])
def test_an_excerpt_of_a_recording_has_all_that_came_last(
    messages, ct_scan, tmp_path, n_frames: int, next_scan: int, listing: float | None
) -> None:
    path, killed, out = tmp_path / "r.h5", tmp_path / "killed.h5", tmp_path / "out.h5"
    given = with_scan(messages, ct_scan)
    writer = RecordingWriter(path, listing)
    for message in given:
        writer.append(message)
    writer.flush()
    shutil.copy(path, killed)
    shutil.copy(index_of(path), index_of(killed))
    writer.close()
    excerpt(killed, out, n_frames, next_scan)
    n_before = sum(not isinstance(message, Frames) for message in given[:7])
    one, other = (list(RecordingSource(p).after(n_before, n_frames)) for p in (path, out))
    assert len(one) == len(other)
    for message, again in zip(one, other, strict=True):
        same = encode(message), encode(again)
        if not isinstance(message, Projections) or next_scan == 1:
            assert [bytes(part) for part in same[0]] == [bytes(part) for part in same[1]]
    assert index_of(killed).exists()


@pytest.fixture
def died(start, messages, tmp_path) -> CheckpointFolder:
    """The checkpoint of a run that died in its third exposure."""
    with pytest.raises(CrashError):
        start(messages[:12], crash=True)
    return CheckpointFolder(tmp_path / "result.nxs")


def test_another_configuration_is_refused_by_name_and_loses_nothing(
    start, died, messages, config
) -> None:
    before = {path: path.read_bytes() for path in died.path.iterdir()}
    other = replace(config, events=EventSettings(threshold_kev=4.0))
    with pytest.raises(FileError, match=r"events\.threshold_kev = 3\.0, not 4\.0.*--fresh"):
        start(messages[12:], config=other)
    assert {path: path.read_bytes() for path in died.path.iterdir()} == before


def test_what_is_told_and_how_often_may_change(start, died, messages, config, tmp_path) -> None:
    told = {"monitor": MonitorSettings(rate_hz=0.1), "advice": AdviceSettings(loss_percent=5.0)}
    start(messages[12:], config=replace(config, **told))
    assert (tmp_path / "result.nxs").exists()


def test_another_calibration_is_refused(start, died, messages, calibration) -> None:
    other = replace(calibration, id="another")
    with pytest.raises(FileError, match=f"calibration_id {calibration.id}, not another"):
        start(messages[12:], calibration=other)


def test_another_version_is_refused(start, died, messages, monkeypatch) -> None:
    monkeypatch.setattr("hexlive.stream.provenance.version", lambda name: "99.0")
    with pytest.raises(FileError, match=r"version .*, not 99\.0"):
        start(messages[12:])


def test_another_way_to_count_is_refused(start, died, messages) -> None:
    with pytest.raises(FileError, match="chain hexlive, not odin"):
        start(messages[12:], device="odin")


@pytest.mark.parametrize("name", ["run.json", "exposure_0001.h5", "exposure_0002.h5"])
def test_a_damaged_file_is_refused_by_name(start, died, messages, name: str) -> None:
    path = died.path / name
    path.write_bytes(path.read_bytes()[:-2000] if name != "run.json" else b"{")
    with pytest.raises(FileError, match=f"{name}.*damaged.*--fresh"):
        start(messages[12:])
    assert path.exists()


def test_counts_that_were_changed_are_refused(start, died, messages) -> None:
    with h5py.File(died.exposure(1), "r+") as file:
        file["counts/hits"][0, 0] += 1
    with pytest.raises(FileError, match=r"exposure_0001\.h5 is damaged.*hits"):
        start(messages[12:])


def test_an_exposure_that_is_gone_is_refused(start, died, messages) -> None:
    died.exposure(1).unlink()
    with pytest.raises(FileError, match=r"lacks .*exposure_000"):
        start(messages[12:])


def test_a_checkpoint_kept_aside_is_not_gone_on_with(start, died, messages, tmp_path) -> None:
    aside = died.move_aside()
    assert aside == tmp_path / "result.nxs.checkpoint_1"
    start(messages[12:])
    with h5py.File(tmp_path / "result.nxs") as file:
        assert "segment_0006" not in file["entry"]
    assert (aside / "exposure_0001.h5").exists()


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(
    start, messages, unbroken, tmp_path, monkeypatch, caplog
) -> None:
    def full(*arguments: object) -> None:
        raise FileError("The disk is full.")

    monkeypatch.setattr("hexlive.stream.checkpointing.write_exposure", full)
    start(messages)
    assert_same(contents(tmp_path / "result.nxs"), unbroken)
    assert caplog.text.count("The disk is full.") == 1


def test_the_result_says_when_the_run_was_started(start, died, messages, tmp_path) -> None:
    start(messages[12:])
    with h5py.File(tmp_path / "result.nxs") as file:
        assert "interrupted" in file["entry/process/notes"].asstr()[()]


def test_gaps_that_end_a_run_leave_no_checkpoint(start, messages, config, tmp_path) -> None:
    config = replace(config, stream=StreamSettings(on_gap="fail"))
    with pytest.raises(GapError):
        start(messages, config=config)
    assert not list(tmp_path.glob("*checkpoint*"))
