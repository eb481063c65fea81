"""Where figures come from: processor, memory, versions. No date and no host name."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from hexlive.kernels.cpu import available_cores

PACKAGES: Final = (
    "hexlive", "numpy", "numba", "llvmlite", "scipy", "h5py", "cupy",
    "finufft", "astra-toolbox", "algotom", "scikit-image",
)  # fmt: skip
CPUINFO: Final = Path("/proc/cpuinfo")
LAST_LEVEL_CACHE: Final = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
KB_PER_MB: Final = 1024
UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def describe_machine() -> dict[str, Any]:
    """What a reader needs to judge the figures; None where the system does not tell."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "cache_bytes": cache_bytes(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def processor() -> str:
    """The processor's name."""
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def cache_bytes() -> int | None:
    """Size of the last-level cache, from Linux."""
    size = re.match(r"(\d+)([KMG])", LAST_LEVEL_CACHE.read_text() if _has_cache() else "")
    return int(size[1]) * UNITS[size[2]] if size else None


def installed(package: str) -> str | None:
    """Version of a package, also where it has other names (CuPy's wheels carry CUDA's version)."""
    for name in (package, f"{package}-cuda12x", f"{package}-cuda13x"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def resident_mb(pid: int | str = "self", *, peak: bool = False) -> float | None:
    """Resident memory of a process, now or at most so far, MB; None where the system tells not.

    From Linux's own account: ``getrusage`` begins with what the parent had.
    """
    status = Path(f"/proc/{pid}/status")
    name = "VmHWM" if peak else "VmRSS"
    try:
        found = re.search(rf"^{name}:\s*(\d+)", status.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / KB_PER_MB if found else None


def _has_cache() -> bool:
    return LAST_LEVEL_CACHE.exists()
