"""What a killed run leaves of a CT scan is made whole, and replaces nothing."""

from pathlib import Path

import numpy as np
import pytest

from hexlive.stream.files import FileError, index_of
from hexlive.stream.nxtomo import ScanFile, read_scan
from hexlive.stream.recovery import recover


def killed_scan(path: Path, n_images: int) -> None:
    """Leave what a killed run leaves of a scan."""
    part = path.with_name(f"{path.name}.part")
    file, images = ScanFile(path, (5, 12)), np.arange(n_images * 60, dtype=np.uint16)
    file.append(
        images.reshape(n_images, 5, 12), np.arange(n_images, dtype=float),
        np.zeros(n_images, np.uint8),
    )  # fmt: skip
    kept = {each: each.read_bytes() for each in (part, index_of(part))}
    file.discard()
    for each, content in kept.items():
        each.write_bytes(content)


def test_a_scan_that_was_never_closed_is_recovered(hexlive, tmp_path: Path) -> None:
    path = tmp_path / "scan_0001.nxs"
    killed_scan(path, 7)
    part = tmp_path / "scan_0001.nxs.part"
    with pytest.raises(FileError, match=r"hexlive recover .*scan_0001\.nxs\.part"):
        read_scan(part)
    code, said = hexlive("recover", part)
    assert code == 0
    assert f"{path}: 0 frames, 0 messages and 7 images recovered" in said
    assert [each.name for each in tmp_path.iterdir()] == ["scan_0001.nxs"]
    scan = read_scan(path)
    assert scan.projections.ravel().tolist() == list(range(7 * 60))
    assert scan.angles_deg.tolist() == list(range(7))
    assert hexlive("recover", path) == (
        0, f"{path} is whole, with 0 frames, 0 messages and 7 images: nothing to recover.\n",
    )  # fmt: skip


def test_a_new_scan_puts_aside_what_an_earlier_run_left(tmp_path: Path, caplog) -> None:
    path = tmp_path / "scan_0001.nxs"
    for n_images in (3, 4):
        killed_scan(path, n_images)
        ScanFile(path, (5, 12)).close()
        assert "hexlive recover makes it whole" in caplog.text
    for number, n_images in ((1, 3), (2, 4)):
        left = recover(tmp_path / f"scan_0001_left_{number}.nxs.part")
        assert (left.path.name, left.images) == (f"scan_0001_left_{number}.nxs", n_images)


def test_a_recovered_scan_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "scan_0001.nxs"
    killed_scan(path, 3)
    path.write_bytes(b"another scan")
    with pytest.raises(FileError, match="give it another name"):
        recover(tmp_path / "scan_0001.nxs.part")
    assert path.read_bytes() == b"another scan"
