"""Try hexlive as it is installed without extras; ends with 1 at the first claim that fails.

Run by .ci/package with the Python of an empty environment, in an empty folder.
"""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path

import typer

from hexlive.stream.cli import app

DEVELOPED_WITH = re.compile(r"""extra == ["'](test|check)["']""")
HEXLIVE = Path(sys.executable).parent / "hexlive"
SIMULATE = "simulate --states 1 --ct-after 1 --seconds 0.2 --out sim.h5 --calibration cal.h5"
WORKS = [
    "doctor",
    SIMULATE,
    "process sim.h5 --calibration cal.h5 --out result.nxs",
    "export result.nxs --out tables --no-plots",
    "reconstruct result_scan_0001.nxs --out volume.nxs",
]
NEEDS = {
    "monitor tcp://127.0.0.1:1": "monitor",
    "campaign sim.h5 --calibration cal.h5 --out results": "campaign",
    "reconstruct result_scan_0001.nxs --out other.nxs --engine fourier": "ct",
    "reconstruct result_scan_0001.nxs --out other.nxs --engine astra-cpu": "ct",
    "process sim.h5 --calibration cal.h5 --out other.nxs --backend cuda": "cuda",
    "run --config facility.toml": "facility",
    "export result.nxs --out plots": "export",
}
FACILITY = """[detector]
calibration = "cal.h5"
[stream]
input = "tcp://127.0.0.1:*"
publish = "tcp://127.0.0.1:*"
[facility]
metrics_port = 0
"""


def main() -> None:
    """All claims in turn; each says what it saw."""
    nothing_of_an_extra_is_installed()
    for words in [*commands(typer.main.get_command(app)), *WORKS]:
        code, said = hexlive(*words.split())
        check(code == 0 and "Traceback" not in said, words, said)
    Path("facility.toml").write_text(FACILITY)
    for words, extra in NEEDS.items():
        code, said = hexlive(*words.split())
        sentences = [line for line in said.splitlines() if "pip install" in line]
        named = len(sentences) == 1 and f"pip install 'hexlive[{extra}]'" in sentences[0]
        check(code == 1 and named and "Traceback" not in said, words, said)
        print(f"        {sentences[0]}")


def nothing_of_an_extra_is_installed() -> None:
    """What only an extra needs is not here; so the core cannot import it."""
    names = {
        re.split(r"[^\w.-]", line)[0]
        for line in requires("hexlive") or ()
        if "extra ==" in line and not DEVELOPED_WITH.search(line)
    }
    found = [name for name in sorted(names) if installed(name)]
    check(not found, f"hexlive {version('hexlive')} without {', '.join(sorted(names))}", str(found))


def installed(name: str) -> bool:
    """Whether there is a distribution of that name."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def commands(command, *words: str):
    """The help of a command, and of all below it."""
    yield " ".join([*words, "--help"])
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *words, name)


def hexlive(*words: str) -> tuple[int, str]:
    """Run the command that pip installed; its exit code, and what it said."""
    ran = subprocess.run([HEXLIVE, *words], capture_output=True, text=True, timeout=300)
    return ran.returncode, ran.stdout + ran.stderr


def check(claim: bool, subject: str, said: str) -> None:
    """Say it, or end with what was said instead."""
    if not claim:
        sys.exit(f"FAILED  {subject}\n{said}")
    print(f"ok      {subject}", flush=True)


if __name__ == "__main__":
    main()
