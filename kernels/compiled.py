"""The one way from Python to machine code: numba, typed, with what all kernels here need."""

import contextlib
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

MARK: Final = "sources.sha256"
prange: Final = numba.prange


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function on its first call; it frees the GIL, and is kept on disk if that can be.

    Parameters
    ----------
    options
        Of ``numba.njit``, in addition or instead.
    """
    chosen = {"nogil": True, "cache": True} | options

    def compile_one(function: Function) -> Function:
        try:
            made = numba.njit(**chosen)(function)
        except RuntimeError:  # nowhere to keep it
            made = numba.njit(**chosen | {"cache": False})(function)
        kept = getattr(getattr(made, "stats", None), "cache_path", None)
        if kept:
            forget_stale(Path(function.__code__.co_filename).parent, Path(kept))
        return cast(Function, made)

    return compile_one


@cache
def forget_stale(sources: Path, kept: Path) -> None:
    """Remove the machine code that numba kept of other sources than those in a folder now.

    By itself numba notices a change in the file of a function, not in those that it calls. Two
    processes at once only compile twice; one that still runs old sources may leave their code
    behind a new mark, until the next change.
    """
    digest = hashlib.sha256()
    for source in sorted(sources.glob("[!.]*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    with contextlib.suppress(OSError):
        if (kept / MARK).read_text() == digest.hexdigest():
            return
    for file in kept.glob("*.nb[ci]"):
        with contextlib.suppress(OSError):
            file.unlink()
    with contextlib.suppress(OSError):
        kept.mkdir(parents=True, exist_ok=True)
        (kept / MARK).write_text(digest.hexdigest())


# A part of a kernel. Counting the references to arrays took most of the time (decision 0004), so it
# is off: what is compiled so must not make or return arrays.
step: Final = compiled(_nrt=False, forceinline=True)
