"""odin-data's LiveView as a source: each frame is a JSON header and a blob, published newest-wins.

PUB drops what a subscriber does not take in time. Frame numbers show it: what was dropped is
missing, as on any other way in.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from hexlive.stream.interop.blobs import Shape, Unpacker
from hexlive.stream.interop.energies import MAX_ADU, as_adu
from hexlive.stream.model import AnyMessage, Count, Frames, Segment, Side, Start
from hexlive.stream.sockets import MB, POLL_MS, Endpoint
from hexlive.stream.wire import Buffer, WireError

BATCH_FRAMES: Final = 256
MAX_HEADER_BYTES: Final = 16 << 10
UNNAMED: Final = "unnamed"  # the series of an acquisition whose name was never set
DATASETS: Final = {False: "raw_frames", True: "processed_frames"}  # by whether in keV
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "uint8": np.dtype("|u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
    "float": np.dtype("<f4"),
}
LOG: Final = logging.getLogger(__name__)

Name = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class _Header(msgspec.Struct):
    """What comes with each frame; odin may add fields, and writes the shape as strings."""

    frame_num: Count
    acquisition_id: Name
    dtype: Name
    dsize: Count
    dataset: Name
    compression: Name
    shape: Annotated[list[Side], msgspec.Meta(min_length=2, max_length=3)]


class _Frame(NamedTuple):
    """One frame, ``(rows, columns) uint16``."""

    series: str
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

    def read(self, parts: Sequence[Buffer]) -> _Frame:
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
        return _Frame(header.acquisition_id or UNNAMED, header.frame_num, self._adu(frame))

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


class OdinSource:
    """Frames of a LiveView publisher as messages, in batches.

    Each acquisition is a series and one exposure. The first is taken from the first frame seen, as
    nobody knows how much of it came before; later ones from frame 0.

    Parameters
    ----------
    address
        Of the publisher, connected to; ``@`` in front binds.
    frame_bytes
        Typical size of a message, for the bound on what is queued.
    dataset, calibrated
        See `FrameReader`.

    Raises
    ------
    AddressError
        The address cannot be used.
    """

    live = True

    def __init__(
        self,
        address: str,
        *,
        frame_rate_hz: float,
        high_water_mark_mb: float = 64.0,
        frame_bytes: int = 1,
        dataset: str | None = None,
        calibrated: bool = False,
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self._rate_hz = frame_rate_hz
        self._reader = FrameReader(dataset, calibrated=calibrated)
        self._series: str | None = None
        # odin sends no times. What is read now came after the queue was last seen empty.
        self._empty_s = time.time()
        limit = max(2, int(high_water_mark_mb * MB / frame_bytes))
        self._endpoint = Endpoint(zmq.SUB, address, bind=False, high_water_mark=limit)
        self._endpoint.socket.subscribe(b"")

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self._endpoint.address

    def __iter__(self) -> Iterator[AnyMessage | None]:
        while True:
            frames = self._receive()
            if not frames:
                yield None
            yield from self._messages(frames)

    def _receive(self) -> list[_Frame]:
        """Frames of the next moment, at most a batch."""
        socket, frames = self._endpoint.socket, list[_Frame]()
        deadline_s = time.monotonic() + POLL_MS / 1e3
        while len(frames) < BATCH_FRAMES and (left_s := deadline_s - time.monotonic()) > 0:
            if not socket.poll(0):
                self._empty_s = time.time()
                if not socket.poll(math.ceil(1e3 * left_s)):
                    break
            parts = socket.recv_multipart(copy=False)
            try:
                frames.append(self._reader.read([part.buffer for part in parts]))
            except WireError as error:
                self._reject(error)
        return frames

    def _reject(self, error: WireError) -> None:
        reason = str(error).split(":", 1)[0]
        if not self.rejected[reason]:
            LOG.warning("a LiveView message was not taken: %s", error)
        self.rejected[reason] += 1

    def _messages(self, frames: list[_Frame]) -> Iterator[AnyMessage]:
        """The same frames in messages of consecutive ones; a new acquisition is announced."""
        for _, together in groupby(enumerate(frames), key=_belongs):
            run = [frame for _, frame in together]
            first = run[0]
            if first.series != self._series:
                yield from self._announce(first)
            yield Frames(
                series=first.series,
                first_frame=first.number,
                timestamp_s=self._empty_s,
                frames=np.stack([frame.pixels for frame in run]),
            )

    def _announce(self, frame: _Frame) -> Iterator[AnyMessage]:
        first_frame = frame.number if self._series is None else 0
        rows, columns = frame.pixels.shape
        self._series = frame.series
        yield Start(
            series=frame.series,
            rows=rows,
            columns=columns,
            frame_rate_hz=self._rate_hz,
            started_s=time.time(),
            first_frame=first_frame,
            detector="odin LiveView",
        )
        yield Segment(series=frame.series, number=1, first_frame=first_frame)

    def close(self) -> None:
        """Close the socket; what was not read yet is lost to this receiver."""
        self._endpoint.close()
        self._reader.close()


def _belongs(numbered: tuple[int, _Frame]) -> tuple[str, int, Shape]:
    """What consecutive frames of one acquisition have in common."""
    place, frame = numbered
    rows, columns = frame.pixels.shape
    return frame.series, frame.number - place, (rows, columns)
