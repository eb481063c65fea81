"""Peak memory of this process, where Linux tells it."""

from pathlib import Path
from typing import Final

STATUS: Final = Path("/proc/self/status")
RESET: Final = Path("/proc/self/clear_refs")
RESET_PEAK: Final = "5"


def reset_peak() -> int | None:
    """Forget the peak so far; resident bytes now, or None where the system has no such figures."""
    try:
        RESET.write_text(RESET_PEAK)
        return _bytes("VmRSS")
    except OSError:
        return None


def peak_bytes() -> int | None:
    """Most resident bytes since the last reset, or None."""
    return _bytes("VmHWM") if STATUS.exists() else None


def _bytes(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])
