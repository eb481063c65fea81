"""The two parts of a LiveView message of odin-data: a JSON header, and the pixels of one frame."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.interop.blobs import Shape, Unpacker
from hexlive.stream.interop.energies import MAX_ADU, as_adu
from hexlive.stream.scalars import Count, Side
from hexlive.stream.wire import Buffer, WireError

MAX_HEADER_BYTES: Final = 16 << 10
DATASETS: Final = {False: "raw_frames", True: "processed_frames"}  # by whether in keV
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "uint8": np.dtype("|u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
    "float": np.dtype("<f4"),
}

Name = Annotated[str, msgspec.Meta(max_length=180, pattern=r"^[^\x00-\x1f]*$")]


class _Header(msgspec.Struct):
    """What comes with each frame; odin may add fields, and writes the shape as strings."""

    frame_num: Count
    acquisition_id: Name
    dtype: Name
    dsize: Count
    dataset: Name
    compression: Name
    shape: Annotated[list[Side], msgspec.Meta(min_length=2, max_length=3)]


class LiveFrame(NamedTuple):
    """One frame, ``(rows, columns) uint16``."""

    acquisition: str
    number: int
    pixels: NDArray[np.uint16]


class FrameReader:
    """Turns the two parts of a LiveView message into a frame.

    Parameters
    ----------
    dataset
        Only its frames are taken; None: "raw_frames", or "processed_frames" of calibrated ones.
    calibrated
        Frames are float32, keV, instead of whole ADU.
    """

    def __init__(self, dataset: str | None = None, *, calibrated: bool = False) -> None:
        self._dataset, self._calibrated = dataset or DATASETS[calibrated], calibrated
        self._unpacker = Unpacker()

    def read(self, parts: Sequence[Buffer]) -> LiveFrame:
        """One frame.

        Raises
        ------
        WireError
            The parts are not a frame that can be counted, for whatever reason.
        """
        if len(parts) != 2:
            raise WireError(f"parts: a LiveView message has 2 parts, not {len(parts)}.")
        header = self._header(parts[0])
        if header.dataset != self._dataset:
            raise WireError(f"other_dataset: {header.dataset!r} is not {self._dataset!r}.")
        dtype = DTYPES.get(header.dtype)
        if dtype is None or self._calibrated != (header.dtype == "float"):
            wanted = "float, keV" if self._calibrated else "whole ADU; --calibrated takes float"
            raise WireError(f"dtype: frames are {header.dtype!r}, this run takes {wanted}.")
        if header.dsize != len(parts[1]):
            raise WireError(f"length: {len(parts[1])} bytes, the header says {header.dsize}.")
        frame = self._unpacker.unpack(parts[1], header.compression, dtype, _image(header.shape))
        return LiveFrame(header.acquisition_id, header.frame_num, self._adu(frame))

    def _header(self, part: Buffer) -> _Header:
        if len(part) > MAX_HEADER_BYTES:
            raise WireError(f"header: {len(part)} bytes, more than {MAX_HEADER_BYTES}.")
        try:
            return msgspec.json.decode(part, type=_Header, strict=False)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"header: {error}") from error

    def _adu(self, frame: NDArray[Any]) -> NDArray[np.uint16]:
        if self._calibrated:
            return as_adu(frame)
        if frame.dtype.itemsize > 2 and frame.max() > MAX_ADU:
            raise WireError(f"value: {frame.max()} ADU, more than {MAX_ADU}.")
        return frame.astype(np.uint16, copy=False)

    def close(self) -> None:
        """Let the memory go."""
        self._unpacker.close()


def _image(shape: list[int]) -> Shape:
    """(rows, columns) of a shape that may say that it is one frame."""
    if len(shape) == 3 and shape[0] != 1:
        raise WireError(f"shape: {shape} is not one frame.")
    return shape[-2], shape[-1]
