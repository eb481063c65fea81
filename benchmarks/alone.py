"""One command in a process of its own, so that its time and its memory are its own.

Run: python -m hexlive.benchmarks.alone WORDS..., those of the command line of hexlive. Prints one
JSON line: its peak memory.
"""

import json
import subprocess
import sys

from hexlive.benchmarks.machine import resident_mb


def peak_mb(*words: object) -> float | None:
    """Peak memory of a command, MB; None where the system tells not.

    Raises
    ------
    RuntimeError
        It failed; the sentence has its last words.
    """
    command = [sys.executable, "-m", "hexlive.benchmarks.alone", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(f"A command of the measurement failed; its last words: {said[-1]}")
    found: float | None = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the command line."""
    if len(sys.argv) > 1:
        from hexlive.stream.cli import main as run

        try:
            run()
        except SystemExit as ended:
            if ended.code:
                raise
    print(json.dumps(resident_mb(peak=True)))


if __name__ == "__main__":
    main()
