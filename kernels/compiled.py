"""The one way from Python to machine code: numba, typed, with what all kernels here need."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

prange: Final = numba.prange


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function on its first call; it frees the GIL, and is kept on disk.

    Parameters
    ----------
    options
        Of ``numba.njit``, in addition or instead. ``cache=False`` where a function calls compiled
        ones of another file, because numba's cache does not notice a change there.
    """
    chosen = {"nogil": True, "cache": True} | options

    def compile_one(function: Function) -> Function:
        return cast(Function, numba.njit(**chosen)(function))

    return compile_one
