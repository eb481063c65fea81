"""The files of a checkpoint: one exposure with its counts, or what is known of one CT scan.

Every file is whole or absent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts
from hexlive.stream.disk import new_hdf5
from hexlive.stream.exposure import Range, Totals
from hexlive.stream.files import FileError, opened, whole_or_absent
from hexlive.stream.ledger import LedgerState
from hexlive.stream.model import Frames, Message, Segment
from hexlive.stream.views import CtView, MarkView

REMEDY: Final = "hexlive run --fresh keeps it aside and starts anew"
Arrays = dict[str, NDArray[Any]]


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a recording: so many frames, and so many messages that are not frames, before."""

    recording: str
    n_messages: int = 0
    n_frames: int = 0

    def after(self, message: Message) -> "Position":
        """The place behind a message that stands here."""
        if isinstance(message, Frames):
            return msgspec.structs.replace(self, n_frames=self.n_frames + len(message.frames))
        return msgspec.structs.replace(self, n_messages=self.n_messages + 1)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What a run knew at one moment, but for arrays.

    Attributes
    ----------
    final
        The exposure is over.
    segment, totals
        Of the exposure.
    missing, unlisted
        Of one that is over; those of the present one are the ledger's.
    rejected
        Of the run so far.
    position
        In the recordings; None: nothing has been recorded.
    scan_position
        Where the CT scan that is under way begins in them.
    numbers, dropped_hits
        The counts that are no arrays.
    marks
        What people noted so far.
    """

    final: bool
    segment: Segment
    totals: Totals
    missing: list[Range]
    unlisted: int
    frame_rate_hz: float
    ledger: LedgerState
    rejected: dict[str, int]
    position: Position | None
    scan_position: Position | None
    numbers: dict[str, int]
    dropped_hits: dict[str, int]
    marks: list[MarkView] = []


NUMBERS: Final = ("booked_hits", "under_hits", "over_hits", "n_frames")
MAPS: Final = tuple(
    field.name for field in fields(Counts) if field.name not in (*NUMBERS, "dropped_hits")
)
VIEW: Final = "view"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One exposure file: what the run knew, the counts, further arrays by group."""

    moment: Moment
    counts: Counts
    cycler: NDArray[np.float64]
    drift: Arrays


def write_exposure(path: Path, kept: Kept) -> None:
    """Write one exposure file, whole or not at all.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full.
    """
    maps = {name: getattr(kept.counts, name) for name in MAPS}
    with whole_or_absent(path) as part, new_hdf5(part) as file:
        file["moment"] = np.void(msgspec.json.encode(kept.moment))
        file["cycler"] = kept.cycler
        for name, array in maps.items():
            if array is not None:
                packing = hdf5plugin.Bitshuffle(cname="lz4") if array.ndim == 3 else {}
                file.create_dataset(f"counts/{name}", data=array, **packing)
        for name, array in kept.drift.items():
            file[f"drift/{name}"] = array


def read_exposure(path: Path) -> Kept:
    """Read one exposure file.

    Raises
    ------
    FileError
        It is damaged.
    """
    with _sound(path) as file:
        moment = msgspec.json.decode(file["moment"][()].tobytes(), type=Moment)
        parts: dict[str, Any] = {"single_spectra": None, **moment.numbers}
        parts |= {name: values[()] for name, values in file["counts"].items()}
        return Kept(
            moment=moment,
            counts=Counts(**parts, dropped_hits=moment.dropped_hits),
            cycler=file["cycler"][()],
            drift={name: values[()] for name, values in file["drift"].items()},
        )


def write_scan_view(path: Path, view: CtView) -> None:
    """Write what is known of a CT scan, whole or not at all.

    Raises
    ------
    FileError
        The folder cannot be written to, or the disk is full.
    """
    values = {name: getattr(view, name) for name in view.__struct_fields__}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = msgspec.structs.replace(view, **dict.fromkeys(arrays))
    with whole_or_absent(path) as part, new_hdf5(part) as file:
        file[VIEW] = np.void(msgspec.json.encode(plain))
        for name, array in arrays.items():
            file[name] = array


def read_scan_view(path: Path) -> CtView:
    """Read what was known of a CT scan.

    Raises
    ------
    FileError
        It is damaged.
    """
    with _sound(path) as file:
        view = msgspec.json.decode(file[VIEW][()].tobytes(), type=CtView)
        arrays = {name: values[()] for name, values in file.items() if name != VIEW}
        return msgspec.structs.replace(view, **arrays)


@contextmanager
def _sound(path: Path) -> Iterator[h5py.File]:
    """A file to read; whatever is wrong with it is said as damage of the checkpoint."""
    try:
        with opened(path) as file:
            yield file
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> FileError:
    """The sentence for a part of a checkpoint that cannot be used."""
    return FileError(f"The checkpoint {path} is damaged ({error}); {REMEDY}.")
