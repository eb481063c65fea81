"""The one way from Python to machine code: numba, typed, with what all kernels here need."""

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

prange: Final = numba.prange


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function on its first call; it frees the GIL, and is kept on disk.

    Parameters
    ----------
    options
        Of ``numba.njit``, in addition or instead.
    """
    chosen = {"nogil": True, "cache": True} | options

    def compile_one(function: Function) -> Function:
        forget_stale(Path(function.__code__.co_filename).parent)
        return cast(Function, numba.njit(**chosen)(function))

    return compile_one


@cache
def forget_stale(folder: Path) -> None:
    """Remove what numba kept before any source in a folder changed.

    By itself numba notices a change in the file of a function, not in those it calls.
    """
    kept = list(folder.glob("__pycache__/*.nb[ci]"))
    newest_s = max(source.stat().st_mtime for source in folder.glob("*.py"))
    with contextlib.suppress(OSError):  # another process did it, or nobody may
        for file in kept:
            if file.stat().st_mtime < newest_s:
                file.unlink()


# A part of a kernel. Counting the references to arrays took five times as long as the work itself,
# so it is off: what is compiled so must not make or return arrays.
step: Final = compiled(_nrt=False, forceinline=True)
