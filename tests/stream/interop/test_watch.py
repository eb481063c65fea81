"""A scan file in the watched folder is reconstructed when it is whole, once; nothing else is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import TomographySettings
from hexlive.stream.files import FileError
from hexlive.stream.interop import watch as watching
from hexlive.stream.interop.watch import FolderWatch
from hexlive.stream.model import End
from hexlive.stream.nxtomo import write_scan
from hexlive.stream.session import Outputs, run_session

ROWS, COLUMNS, ANGLES, CENTRE_PX = 4, 48, 60, 24.5
PATIENCE_S = 60.0


def rod() -> Scan:
    """A rod off the axis, in counts."""
    angles_deg = np.arange(ANGLES) * 180 / ANGLES
    x = np.arange(COLUMNS) - CENTRE_PX - 8 * np.cos(np.deg2rad(angles_deg[:, None]))
    chord = 2 * np.sqrt(np.clip(6.0**2 - x**2, 0, None))
    counts = (20_000 * np.exp(-0.05 * chord)).astype("<u2")
    projections = np.repeat(counts[:, None], ROWS, axis=1)
    flats = np.full((4, ROWS, COLUMNS), 20_000, "<u2")
    return Scan(
        projections=projections, flats=flats, darks=None, angles_deg=angles_deg, pixel_um=5.0
    )


def names(watch: FolderWatch) -> list[str]:
    return [found.path.name for found in watch.look()]


def finished(watch: FolderWatch) -> list[str]:
    """What two looks give: after the first, a file is not known to be quiet."""
    return names(watch) + names(watch)


def test_a_finished_scan_is_given_once(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    write_scan(tmp_path / "scan.nxs", rod())
    assert names(watch) == []
    (found,) = watch.look()
    assert found == (tmp_path / "scan.nxs", ANGLES + 4)
    (tmp_path / "scan.nxs").touch()
    assert finished(watch) == []


def test_files_that_were_there_are_left_alone_unless_they_grow(tmp_path: Path) -> None:
    for name in ("old.nxs", "growing.nxs"):
        write_scan(tmp_path / name, rod())
    watch = FolderWatch(tmp_path)
    with h5py.File(tmp_path / "growing.nxs", "r+") as file:
        file["more"] = 1
    os.utime(tmp_path / "growing.nxs", ns=(0, 10**9))
    assert finished(watch) == ["growing.nxs"]


def test_scans_are_given_in_the_order_in_which_they_were_finished(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    for second, name in enumerate(["b.nxs", "a.h5", "c.nxs"]):
        write_scan(tmp_path / name, rod())
        os.utime(tmp_path / name, ns=(0, second * 10**9))
    assert finished(watch) == ["b.nxs", "a.h5", "c.nxs"]


WRITER = """
import sys
import numpy as np
import h5py
with h5py.File(sys.argv[1], "w") as file:
    scan, n_images = file.create_group("entry1/tomo_entry"), 0
    scan["definition"] = "NXtomo"
    columns = {
        name: scan.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape))
        for name, dtype, shape in (
            ("instrument/detector/data", "<u2", (4, 8)),
            ("instrument/detector/image_key", "u1", ()),
            ("sample/rotation_angle", "<f8", ()),
        )
    }
    for line in sys.stdin:
        begin, n_images = n_images, n_images + int(line)
        for column in columns.values():
            column.resize(n_images, axis=0)
            column[begin:] = np.zeros(column[begin:].shape)
        file.flush()
        print("written", flush=True)
print("closed", flush=True)
"""


@contextmanager
def writer(path: Path) -> Iterator[Callable[[str], None]]:
    """Another process that writes a scan, a few images whenever it is told to."""
    command = [sys.executable, "-c", WRITER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:

        def write(line: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            if line:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            else:
                process.stdin.close()
            assert process.stdout.readline().strip() == ("written" if line else "closed")

        try:
            yield write
        finally:
            process.kill()


def test_a_file_that_another_process_writes_is_left_alone_until_it_is_closed(
    tmp_path: Path,
) -> None:
    watch = FolderWatch(tmp_path)
    with writer(tmp_path / "scan.nxs") as write:
        for _ in range(3):
            write("5")
            assert finished(watch) == []
        watch.announce("scan.nxs")
        assert finished(watch) == []
        write("")
    assert names(watch) == ["scan.nxs"]


def test_a_writer_is_never_disturbed_by_the_looking(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    with writer(tmp_path / "scan.nxs") as write:
        for _ in range(20):
            write("1")
            assert names(watch) == []
        write("")
    with h5py.File(tmp_path / "scan.nxs") as file:
        assert len(file["entry1/tomo_entry/instrument/detector/data"]) == 20


def preallocated(path: Path, n_written: int) -> None:
    """A scan of 10 images, as a program that writes without locks leaves it half-way."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry")
        data = entry.create_dataset("data/data", (10, 4, 8), "<u2", chunks=(1, 4, 8))
        data[:n_written] = 1
        entry["data/image_key"] = np.zeros(10, np.uint8)
        entry["data/rotation_angle"] = np.arange(10.0)


def test_a_scan_that_lacks_images_waits_until_they_come_or_it_is_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watch = FolderWatch(tmp_path)
    preallocated(tmp_path / "slow.nxs", 7)
    preallocated(tmp_path / "aborted.nxs", 7)
    assert finished(watch) + finished(watch) == []
    assert caplog.text.count("7 images, 10 image keys, 10 angles, of 10") == 2
    preallocated(tmp_path / "slow.nxs", 10)
    watch.announce("aborted.nxs")
    assert sorted(finished(watch)) == ["aborted.nxs", "slow.nxs"]


def test_a_plan_that_stopped_leaves_its_writer_time(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    preallocated(tmp_path / "aborted.nxs", 7)
    watch.announce("aborted.nxs", looks=3)
    assert [names(watch) for _ in range(3)] == [[], [], []]
    os.utime(tmp_path / "aborted.nxs", ns=(0, 10**9))
    assert [names(watch) for _ in range(4)] == [[], [], [], ["aborted.nxs"]]


def test_images_in_another_file_are_waited_for(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    (tmp_path / "raw").mkdir()
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["entry/imaging/data"] = h5py.ExternalLink("raw/images.h5", "raw")
        file["entry/instrument/imaging/image_key"] = np.zeros(6, np.uint8)
        file["entry/imaging_sum/gts_cs_theta"] = np.arange(6.0)
    assert finished(watch) == []
    with h5py.File(tmp_path / "raw" / "images.h5", "w") as file:
        file["raw"] = np.ones((6, 4, 8), "<u2")
    assert names(watch) == ["scan.nxs"]


def test_data_exchange_is_found(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"], file["exchange/theta"] = np.ones((6, 4, 8), "<u2"), np.arange(6.0)
    assert finished(watch) == ["scan.h5"]


def test_real_scans_are_whole(shared_data: Path, tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    for name in ("tooth.nxs", "k11_diad.nxs", "dendrite.nxs"):
        (tmp_path / name).symlink_to(shared_data / "tomography" / name)
    assert sorted(finished(watch)) == ["dendrite.nxs", "k11_diad.nxs", "tooth.nxs"]


def test_what_is_no_scan_is_passed_over(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    (tmp_path / "junk.nxs").write_bytes(b"junk" * 1000)
    (tmp_path / "empty.h5").touch()
    (tmp_path / "folder.nxs").mkdir()
    (tmp_path / "gone.nxs").symlink_to(tmp_path / "nowhere")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros((3, 4, 8))
    with h5py.File(tmp_path / "a_scalar.h5", "w") as file:
        file["exchange/data"], file["exchange/theta"] = np.ones((6, 4, 8), "<u2"), 1.0
    with h5py.File(tmp_path / "a_group.h5", "w") as file:
        file.create_group("exchange/data")
        file["exchange/theta"] = np.arange(6.0)
    with h5py.File(tmp_path / "a_text.h5", "w") as file:
        file["exchange/data"], file["exchange/theta"] = "images", "angles"
    write_scan(tmp_path / "scan.txt", rod())
    write_scan(tmp_path / "scan.nxs", rod())
    assert finished(watch) == ["scan.nxs"]


@pytest.mark.parametrize(
    "name", ["../outside.nxs", "{outside}/outside.nxs", "inside/../../outside.nxs", "", "*.nxs"]
)
def test_an_announcement_opens_nothing_outside_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write_scan(tmp_path / "outside.nxs", rod())
    watch = FolderWatch(inside)
    watch.announce(name.format(outside=tmp_path))
    assert finished(watch) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no folder .*nowhere to watch"):
        FolderWatch(tmp_path / "nowhere")


def test_a_file_that_appears_during_a_run_is_in_its_result(
    tmp_path: Path, config, calibration, source, make_source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INTERVAL_S", 0.05)
    folder = tmp_path / "scans"
    folder.mkdir()
    write_scan(folder / "old.nxs", rod())
    config = replace(config, tomography=TomographySettings(centre=CENTRE_PX, watch=str(folder)))
    outputs = Outputs(result=tmp_path / "result.nxs")

    def messages():
        *frames, end = source._messages
        yield from frames
        write_scan(folder / "new.nxs", rod())
        deadline_s = time.monotonic() + PATIENCE_S
        while not caught and time.monotonic() < deadline_s:
            time.sleep(0.02)
            yield None
        assert isinstance(end, End)
        yield end

    caught: list[object] = []

    class Progress:
        def put(self, report) -> None:
            caught.extend(result for result in report.results if getattr(result, "scans", ()))

        def close(self) -> None:
            """Nothing to close."""

    live = make_source(messages())
    live.live = True
    outcome = run_session(live, config, calibration, outputs, progress=Progress())
    assert not outcome.faults
    with h5py.File(outputs.result) as file:
        assert list(file["entry/ct"]) == ["scan_1001"]
        scan = file["entry/ct/scan_1001"]
        assert scan.attrs["note"].startswith("From new.nxs.")
        assert scan.attrs["status"] == "done"
        assert scan.attrs["state"] == 2
        assert scan.attrs["pixel_um"] == 5.0
        assert scan["orthoslices/xy"].shape == (COLUMNS, COLUMNS)
        assert scan["volume"].shape == (ROWS, COLUMNS, COLUMNS)
    assert sorted(path.name for path in folder.iterdir()) == ["new.nxs", "old.nxs"]
