"""``hexlive bench [SUITE] [--json [FILE]] [--compare OLD.json]``, as a program of its own.

Run: python -m hexlive.benchmarks.app. A suite is one file with ``add_options(parser)`` and
``run(options) -> Table``, named in ``SUITES``; ``QUICK`` has the options that make it short.
"""

import argparse
import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, cast

from hexlive.benchmarks.comparator import compiler_version, find_compiler
from hexlive.benchmarks.compare import compared
from hexlive.benchmarks.gpu import describe_gpu
from hexlive.benchmarks.machine import describe_machine
from hexlive.benchmarks.table import Table
from hexlive.kernels.backend import BackendUnavailableError

SUITES: Final = {
    "kernels": "hexlive.benchmarks.kernels",
    "throughput": "hexlive.benchmarks.throughput",
    "latency": "hexlive.benchmarks.latency",
    "memory": "hexlive.benchmarks.memory",
    "startup": "hexlive.benchmarks.startup",
    "modules": "hexlive.benchmarks.modules",
    "reconstruct": "hexlive.benchmarks.reconstruct",
    "ct": "hexlive.benchmarks.ct",
    "monitor": "hexlive.benchmarks.monitor",
    "soak": "hexlive.benchmarks.soak",
    "campaign": "hexlive.benchmarks.campaign",
}
ALIASES: Final = {"reconstruction": "reconstruct"}
JSON_FILE: Final = Path("bench.json")
# What can be wrong with one suite, or with the machine; the others are measured all the same.
FAULTS: Final = (ValueError, RuntimeError, OSError, subprocess.SubprocessError)
EPILOG: Final = "Example: hexlive bench kernels --json kernels.json --compare before.json"


class Suite(Protocol):
    """What the module of a suite offers."""

    QUICK: dict[str, Any]

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
    except FAULTS as error:
        sys.exit(f"hexlive: {error}")


def _run(words: list[str]) -> None:
    words = [ALIASES.get(word, word) for word in words]
    # Only the chosen suites are imported: the kernels are measured where ZeroMQ is not installed.
    named = [word for word in words if word in SUITES]
    suites, absent = _found(named[:1] or list(SUITES), needed=bool(named))
    parser = _parser()
    for name, suite in suites.items():
        suite.add_options(cast(argparse.ArgumentParser, parser.add_argument_group(name)))
        if "--quick" in words or not (named or "--full" in words):
            parser.set_defaults(**suite.QUICK)
    options = parser.parse_args(words)
    before = json.loads(options.compare.read_text()) if options.compare else None
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.touch()  # a place that cannot be written to is said before the measurement
    records, failed = _measured(suites, options)
    for sentence in absent:
        print(sentence)
    document = _document(records)
    if before is not None:
        print(compared(before, document).text())
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if failed:
        raise RuntimeError(" ".join(failed))


def _measured(
    suites: dict[str, Suite], options: argparse.Namespace
) -> tuple[dict[str, Any], list[str]]:
    """The records of the suites, whose tables are printed; and a sentence on each that failed."""
    records, failed = {}, []
    for name, suite in suites.items():
        began_s = time.monotonic()
        try:
            table = suite.run(options)
        except FAULTS as error:
            if len(suites) == 1:
                raise
            failed.append(f"The suite {name} failed: {error}")
            continue
        records[name] = table.record() | {"seconds": round(time.monotonic() - began_s, 1)}
        print(table.text(), end="\n\n", flush=True)
    return records, failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hexlive bench",
        description="Measure what this machine sustains, beside its limits.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "suite", nargs="?", choices=tuple(SUITES), help="default: all in turn, each in short"
    )
    parser.add_argument(
        "--json", type=Path, nargs="?", const=JSON_FILE, metavar="FILE",
        help=f"write everything to this file; default: {JSON_FILE}",
    )  # fmt: skip
    parser.add_argument(
        "--compare", type=Path, metavar="OLD.json", help="show each figure beside that of before"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="the suite that is named, in short")
    length.add_argument("--full", action="store_true", help="all suites at their full length")
    return parser


def _found(names: list[str], *, needed: bool) -> tuple[dict[str, Suite], list[str]]:
    """The suites that can run here, and a sentence on each that cannot."""
    suites, absent = {}, []
    for name in names:
        try:
            suites[name] = _load(name)
        except RuntimeError as error:
            if needed:
                raise
            absent.append(str(error))
    return suites, absent


def _load(name: str) -> Suite:
    try:
        return cast(Suite, import_module(SUITES[name]))
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"The suite {name} needs {error.name}, which is not installed."
        ) from None


def _document(records: dict[str, Any]) -> dict[str, Any]:
    """Figures with their provenance."""
    compiler = find_compiler()
    return {
        "machine": describe_machine(),
        "compiler": compiler_version(compiler) if compiler else None,
        "gpu": _gpu(),
        "suites": records,
    }


def _gpu() -> dict[str, str] | None:
    try:
        return describe_gpu()
    except BackendUnavailableError:
        return None


if __name__ == "__main__":
    main()
