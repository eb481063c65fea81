"""Libraries that only some choices need."""

from importlib import import_module
from types import ModuleType
from typing import Final

EXTRAS: Final = {"cupy": "cuda", "taufactor": "flux", "torch": "flux"}  # others are in "ct"


class EngineUnavailableError(RuntimeError):
    """What was asked for cannot run on this machine."""


def library(name: str, user: str) -> ModuleType:
    """Import an optional library.

    Raises
    ------
    EngineUnavailableError
        It is not there; the sentence says what needs it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        extra = EXTRAS.get(name.partition(".")[0], "ct")
        raise EngineUnavailableError(
            f"{user} needs {name}: pip install 'hexlive[{extra}]'."
        ) from error


def gpu_cupy(user: str) -> ModuleType:
    """CuPy, where it reaches a GPU.

    Raises
    ------
    EngineUnavailableError
        It is not there, or no GPU is.
    """
    cupy = library("cupy", user)
    try:
        cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:  # CuPy's own errors are RuntimeErrors
        raise EngineUnavailableError(f"{user} needs an NVIDIA GPU that CuPy reaches.") from error
    return cupy


def free_bytes(cupy: ModuleType) -> int:
    """Memory of the GPU that is free, after what CuPy keeps for itself was given back."""
    cupy.get_default_memory_pool().free_all_blocks()
    return int(cupy.cuda.runtime.memGetInfo()[0])
