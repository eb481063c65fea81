"""``hexlive bench [SUITE] [--json FILE]``, as a program of its own.

Run: python -m hexlive.benchmarks.app. A suite is one file with ``add_options(parser)`` and
``run(options) -> Table``, named in ``SUITES``.
"""

import argparse
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, cast

from hexlive.benchmarks.comparator import compiler_version, find_compiler
from hexlive.benchmarks.gpu import describe_gpu
from hexlive.benchmarks.machine import describe_machine
from hexlive.benchmarks.table import Table
from hexlive.kernels.backend import BackendUnavailableError

SUITES: Final = {
    "kernels": "hexlive.benchmarks.kernels",
    "monitor": "hexlive.benchmarks.monitor",
    "reconstruct": "hexlive.benchmarks.reconstruct",
    "throughput": "hexlive.benchmarks.throughput",
    "soak": "hexlive.benchmarks.soak",
    "ct": "hexlive.benchmarks.ct",
}
ALIASES: Final = {"reconstruction": "reconstruct"}
EPILOG: Final = "Example: hexlive bench kernels --json kernels.json"


class Suite(Protocol):
    """What the module of a suite offers."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options that only this suite has."""
        ...

    def run(self, options: argparse.Namespace) -> Table:
        """Measure."""
        ...


def main() -> None:
    """Print a table per suite; errors are one sentence and exit code 1 (2 for wrong use)."""
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("hexlive: Interrupted.")
    except (ValueError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"hexlive: {error}")


def _run(words: list[str]) -> None:
    words = [ALIASES.get(word, word) for word in words]
    # Only the chosen suites are imported: the kernels are measured where ZeroMQ is not installed.
    suites = {name: _load(name) for name in [w for w in words if w in SUITES] or SUITES}
    parser = _parser()
    for name, suite in suites.items():
        suite.add_options(cast(argparse.ArgumentParser, parser.add_argument_group(name)))
    options = parser.parse_args(words)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.touch()  # a place that cannot be written to is said before the measurement
    tables = {}
    for name, suite in suites.items():
        tables[name] = suite.run(options)
        print(tables[name].text(), end="\n\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(_document(tables), indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hexlive bench",
        description="Measure what this machine sustains, beside its limits.",
        epilog=EPILOG,
    )
    parser.add_argument("suite", nargs="?", choices=tuple(SUITES), help="default: all, in turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file")
    return parser


def _load(name: str) -> Suite:
    try:
        return cast(Suite, import_module(SUITES[name]))
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"The suite {name} needs {error.name}, which is not installed."
        ) from None


def _document(tables: dict[str, Table]) -> dict[str, Any]:
    """Figures with their provenance."""
    compiler = find_compiler()
    return {
        "machine": describe_machine(),
        "compiler": compiler_version(compiler) if compiler else None,
        "gpu": _gpu(),
        "suites": {name: table.record() for name, table in tables.items()},
    }


def _gpu() -> dict[str, str] | None:
    try:
        return describe_gpu()
    except BackendUnavailableError:
        return None


if __name__ == "__main__":
    main()
