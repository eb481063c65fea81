"""What becomes of a run's data on its disks, for whoever watches."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from hexlive.stream.recorder import Written


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The products of a run at one moment.

    Attributes
    ----------
    recording
        What the recorder does: "off", "recording", or the sentence of its failure.
    written
        How recording goes.
    result_fault
        Why there will be no result; "": there will be one.
    free_bytes
        Room left where they go, on the fuller disk; None: unknown.
    """

    recording: str = "off"
    written: Written = field(default_factory=Written)
    result_fault: str = ""
    free_bytes: int | None = None


def free_bytes(*products: Path | None) -> int | None:
    """Room left on the disk of these files, or on the fuller of two; None where none says."""
    rooms = (_room(path.resolve().parent) for path in products if path is not None)
    return min((room for room in rooms if room is not None), default=None)


def _room(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
