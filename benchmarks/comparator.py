"""The facility's algorithm in C++ (``facility_chain.cpp``), compiled on the spot."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.frames import (
    GRADIENT_KEV_PER_ADU,
    INTERCEPT_KEV,
    SHAPE,
    SPECTRUM,
    THRESHOLD_ADU,
)

SOURCE: Final = Path(__file__).with_name("facility_chain.cpp")
COMPILERS: Final = ("g++", "clang++", "c++")
FLAGS: Final = {
    "facility": ("-O3",),  # CMake's release build, which runs on any processor
    "native": ("-O3", "-march=native"),  # the same source for this very processor, as numba does
}
SHARING: Final = {"none": 0, "add": 1, "discriminate": 2}


def find_compiler() -> str | None:
    """A C++ compiler, or None."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def compiler_version(compiler: str) -> str:
    """First line of what the compiler says about itself."""
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def compile_chains(folder: Path) -> dict[str, ctypes.CDLL]:
    """Compile the chain into a folder, once for each of ``FLAGS``, and load it.

    Returns
    -------
    Nothing where there is no compiler.

    Raises
    ------
    subprocess.CalledProcessError
        The compiler refused.
    """
    compiler = find_compiler()
    return {name: _compile(compiler, name, folder) for name in FLAGS} if compiler else {}


def _compile(compiler: str, name: str, folder: Path) -> ctypes.CDLL:
    library = folder / f"{name}.so"
    command = [compiler, *FLAGS[name], "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


class FacilityChain:
    """The chain with its counters, for frames of ``SHAPE``; see the C++ file for what it does.

    Attributes
    ----------
    spectra
        ``(rows, columns, bins) float32``, counts.
    summed
        ``(bins,) uint64``, counts of all pixels.
    """

    def __init__(self, library: ctypes.CDLL, policy: str) -> None:
        self.spectra = np.zeros((*SHAPE, SPECTRUM.n_bins), np.float32)
        self.summed = np.zeros(SPECTRUM.n_bins, np.uint64)
        self._library = library
        self._sharing = SHARING[policy]
        self._gradient = np.full(SHAPE, GRADIENT_KEV_PER_ADU, np.float32)
        self._intercept = np.full(SHAPE, INTERCEPT_KEV, np.float32)

    def add(self, frames: NDArray[np.uint16]) -> None:
        """Count ``(frames, rows, columns) uint16, ADU``, contiguous."""
        self._library.count_frames(
            _pointer(frames),
            ctypes.c_size_t(len(frames)),
            *SHAPE,
            THRESHOLD_ADU,
            _pointer(self._gradient),
            _pointer(self._intercept),
            self._sharing,
            SPECTRUM.n_bins,
            ctypes.c_double(SPECTRUM.bin_kev),
            _pointer(self.spectra),
            _pointer(self.summed),
        )


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
