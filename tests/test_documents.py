"""The documents are true: examples run, links lead somewhere, commands and options exist."""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import h5py
import numpy as np
import pytest
import typer

from hexlive.benchmarks.app import SUITES
from hexlive.monitor.app import app as monitor_app
from hexlive.stream.calibration import Calibration
from hexlive.stream.cli import app
from hexlive.stream.config import Config, load_config

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\[(.+?)\](.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
KEY = re.compile(r"^(?:# )?(\w+) = ", re.MULTILINE)
COMMAND = re.compile(r"^hexlive +([^#\n]+)", re.MULTILINE)
EXAMPLE = re.compile(r"^Example: hexlive[ -](.+)", re.MULTILINE)
SPAN = re.compile(r"(?<!`)`hexlive ([^`]+)`")
COMMANDS = typer.main.get_command(app).commands
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def example(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout


def test_the_example_of_a_source_counts_all_its_frames(tmp_path):
    frames = np.zeros((600, 8, 8), np.uint16)
    frames[::2, 3, 4] = 500
    np.save(tmp_path / "frames.npy", frames)
    maps = {name: np.zeros((8, 8), np.float32) for name in ("pedestal_adu", "intercept_kev")}
    Calibration(
        **maps,
        noise_adu=np.full((8, 8), 2, np.float32),
        gradient_kev_per_adu=np.full((8, 8), 0.2, np.float32),
        mask=np.zeros((8, 8), np.uint8),
    ).save(tmp_path / "calibration.h5")
    said = example(
        "numpy_source.py", *(tmp_path / n for n in ("frames.npy", "calibration.h5", "result.nxs"))
    )
    assert said == "600 frames counted\n"
    with h5py.File(tmp_path / "result.nxs") as file:
        assert file["entry/segment_0001/counts"][()].sum() == 300


def test_the_example_of_an_engine_agrees_with_the_one_of_the_house():
    values = [float(line.split()[1]) for line in example("nearest_engine.py").splitlines()]
    assert values == pytest.approx([1.0, 1.0], abs=0.01)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(path):
    places = [place for place in LINK.findall(path.read_text()) if "://" not in place]
    absent = [place for place in places if not (path.parent / place).exists()]
    assert not absent


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_exist(path):
    text = path.read_text()
    said = COMMAND.findall("\n".join(BLOCK.findall(text))) + SPAN.findall(BLOCK.sub("", text))
    assert not [line for line in said if not exists(line.split())]


def test_configurations_can_be_loaded(tmp_path):
    texts = [text for path in DOCUMENTS for text in TOML.findall(path.read_text())]
    assert len(texts) > 1
    for text in texts:
        (tmp_path / "config.toml").write_text(text)
        load_config(tmp_path / "config.toml")


def test_the_quick_start_says_what_every_extra_is_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = re.findall(
        r"^\| `.*?` \|", (ROOT / "docs" / "quick-start.md").read_text(), re.MULTILINE
    )
    assert set(re.findall(r"\w+", " ".join(table))) == set(project["optional-dependencies"])


def test_every_key_of_the_configuration_is_in_the_formats():
    (text,) = TOML.findall((ROOT / "docs" / "formats.md").read_text())
    said = [f"{table}.{key}" for table, lines in TABLE.findall(text) for key in KEY.findall(lines)]
    assert sorted(said) == sorted(keys(Config))


@pytest.mark.parametrize("program", [app, monitor_app])
def test_every_command_has_an_example_of_what_exists(program):
    commands = [c for c in leaves(typer.main.get_command(program)) if not hasattr(c, "commands")]
    examples = {command.name: EXAMPLE.findall(command.help) for command in commands}
    assert not [name for name, found in examples.items() if not found]
    said = "; hexlive ".join(text for found in examples.values() for text in found)
    assert not [line for line in said.split("; hexlive ") if not exists(line.split())]


@pytest.mark.parametrize("program", [app, monitor_app])
def test_every_option_says_what_it_is(program):
    commands = leaves(typer.main.get_command(program))
    assert not [
        (command.name, p.name) for command in commands for p in command.params if not p.help
    ]


def test_every_option_of_the_benchmarks_says_what_it_is():
    parser = argparse.ArgumentParser()
    for name in SUITES.values():
        import_module(name).add_options(parser)
    assert not [action.dest for action in parser._actions if not action.help]


def keys(settings: type, *tables: str) -> Iterator[str]:
    """Those of a configuration, with their tables before them."""
    kinds = get_type_hints(settings)
    for field in fields(settings):
        if is_dataclass(kind := kinds[field.name]):
            yield from keys(kind, *tables, field.name)
        else:
            yield ".".join([*tables, field.name])


def leaves(command) -> Iterator:
    """The command, or those that it has."""
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from leaves(each)


def exists(words: list[str]) -> bool:
    """Whether there is such a command, and it has these options."""
    command = COMMANDS.get(words[0])
    if command is None:
        return words[0].startswith("-") or words == ["index", "1"]  # the name of a file format
    if hasattr(command, "commands") and len(words) > 1:
        command = command.commands.get(words[1], command)
    return options(command).issuperset(OPTION.findall(" ".join(words)))


def options(command) -> set[str]:
    """Those of a command; two are programs of their own."""
    own = parameters(command)
    if command is COMMANDS["bench"]:
        own |= set(OPTION.findall(bench_help()))
    if command is COMMANDS["monitor"]:
        own |= parameters(typer.main.get_command(monitor_app))
    return {"--help", *own}


def parameters(command) -> set[str]:
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts)}


@cache
def bench_help() -> str:
    asked = [sys.executable, "-m", "hexlive.benchmarks.app", "--help"]
    return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout
