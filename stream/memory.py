"""Refusing spectra that would not fit into memory, before anything is allocated."""

import os
from pathlib import Path
from typing import Final

import numpy as np

from hexlive.kernels.cpu import usable_threads
from hexlive.stream.config import Config, ConfigError

# Counters of one thread, a snapshot of them, and what is worked out: measured 4.6 to 5.1 times.
COPIES: Final = 5
CONTAINER_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
GIB: Final = 2**30


def require_memory(config: Config) -> None:
    """Refuse more spectra than this machine can hold.

    Raises
    ------
    ConfigError
        They take more than all of its memory; the sentence says how much.
    """
    n_spectra = config.detector.rows * config.detector.columns
    n_spectra *= 2 if config.events.keep_multiplicity else 1
    spectra_bytes = n_spectra * config.spectrum.n_bins * np.dtype(np.uint32).itemsize
    n_bytes = (COPIES + usable_threads(spectra_bytes) - 1) * spectra_bytes
    if n_bytes > (limit := memory_bytes()):
        raise ConfigError(
            f"{n_spectra} spectra of {config.spectrum.n_bins} bins and their analysis take "
            f"{n_bytes / GIB:.1f} GiB, more than the {limit / GIB:.1f} GiB of this machine; "
            "use wider bins."
        )


def memory_bytes() -> int:
    """Memory of this machine, or of the container that this runs in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else "max"
    return min(total, int(limit)) if limit.isdecimal() else total
