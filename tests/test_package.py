"""What is built is complete, the core stays light, and the shell completes its commands."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import typer

from hexlive.stream.cli import app

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("kernels", "reconstruct", "stream", "monitor", "benchmarks")
CARRIED = (".py", ".cu", ".cpp", ".json", "py.typed")
HEAVY = ("PySide6", "pyqtgraph", "cupy", "dask", "distributed", "astra", "matplotlib", "skimage")


def tree(*folders: str, endings: tuple[str, ...] = ("",)) -> set[str]:
    """Files of the checkout, relative to it."""
    files = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    named = (path for path in files if path.name.endswith(endings))
    return {str(path.relative_to(ROOT)) for path in named if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and of the sdist that it was made from, built without a network."""
    build = pytest.importorskip("build", reason="pip install build")
    pytest.importorskip("setuptools", minversion="77", reason="pip install 'setuptools>=77'")
    assert build.__version__
    out, copy = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("copy")
    for folder in (*FOLDERS, "docs", "tests", ".ci"):
        shutil.copytree(ROOT / folder, copy / folder)
    for path in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(path, copy)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return out


def test_the_wheel_has_every_module_and_data_file(built) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    modules = {name.removeprefix("hexlive/") for name in names if name.startswith("hexlive/")}
    assert modules == tree(*FOLDERS, endings=CARRIED)
    assert {f"{folder}/py.typed" for folder in FOLDERS} <= modules


def test_the_wheel_has_its_commands_licence_and_extras(built) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        said = {Path(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
        licence, points, metadata = (
            wheel.read(said[name]).decode() for name in ("LICENSE", "entry_points.txt", "METADATA")
        )
    assert licence == (ROOT / "LICENSE").read_text()
    for command, function in PROJECT["project"]["scripts"].items():
        assert f"{command} = {function}\n" in points
    for extra in PROJECT["project"]["optional-dependencies"]:
        assert f"Provides-Extra: {extra}\n" in metadata


def test_the_sdist_has_tests_and_documents_too(built) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = tree("docs", "tests", ".ci") | tree(*FOLDERS, endings=(*CARRIED, ".md"))
    assert not wanted - names
    assert {"README.md", "LICENSE", "Makefile", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_commands_load_nothing_of_an_extra() -> None:
    code = f"import sys, hexlive.stream.cli; print(*({set(HEAVY)} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stdout, said.stderr) == (0, "\n", "")


def test_the_shell_completes_the_commands() -> None:
    asked = {"_HEXLIVE_COMPLETE": "complete_bash", "COMP_WORDS": "hexlive ", "COMP_CWORD": "1"}
    code = "import sys; sys.argv[0] = 'hexlive'; from hexlive.stream.cli import main; main()"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | asked, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert set(said.stdout.split()) == set(typer.main.get_command(app).commands)
