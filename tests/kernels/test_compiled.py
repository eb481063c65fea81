"""Machine code that is kept on disk is never that of other sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hexlive.kernels.compiled as compiled_file

PART = "from compiled import compiled\n\n@compiled()\ndef part(x):\n    return x * {factor}\n"
WHOLE = """from compiled import compiled
from part import part

@compiled()
def whole(x):
    return part(x) + 0

print(whole(10))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(compiled_file.__file__, tmp_path / "compiled.py")
    (tmp_path / "part.py").write_text(PART.format(factor=2))
    (tmp_path / "whole.py").write_text(WHOLE)
    return tmp_path


def run(folder: Path, **environment: str) -> str:
    finished = subprocess.run(
        [sys.executable, "whole.py"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_change_in_a_called_function_is_noticed(folder: Path, elsewhere: bool) -> None:
    environment = {"NUMBA_CACHE_DIR": str(folder / "kept")} if elsewhere else {}
    assert run(folder, **environment) == "20"
    assert list(folder.rglob("whole.*.nbc"))
    (folder / "part.py").write_text(PART.format(factor=3))
    os.utime(folder / "part.py", (0, 0))  # as of a copy that keeps old times
    assert run(folder, **environment) == "30"


def test_what_did_not_change_is_kept(folder: Path) -> None:
    run(folder)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.nbc")}
    assert run(folder) == "20"
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.nbc")} == before


def test_an_editors_lock_file_and_a_place_that_cannot_be_written_do_no_harm(folder: Path) -> None:
    (folder / ".#part.py").symlink_to("nowhere")
    (folder / "file").write_text("")
    assert run(folder, NUMBA_CACHE_DIR=str(folder / "file" / "below")) == "20"


def test_without_compilation_the_functions_are_plain_ones(folder: Path) -> None:
    assert run(folder, NUMBA_DISABLE_JIT="1") == "20"
