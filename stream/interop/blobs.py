"""Frames packed by odin: LZ4, BSLZ4 (bitshuffle and LZ4) and blosc.

What odin sends is the chunk that its file writer stores as it is, so HDF5 itself unpacks it, by the
filters of ``hdf5plugin``, in a file that is only in memory: about 30 us for 80 x 80 pixels. The
filters trust the lengths inside a chunk, and bytes from a network are not to be trusted; so those
are checked before.
"""

import math
import struct
import uuid
from collections.abc import Callable
from typing import Any, Final

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.wire import Buffer, WireError

Shape = tuple[int, int]

CHUNK: Final = struct.Struct(">QI")  # bytes when unpacked, and of one block
BLOCK: Final = struct.Struct(">I")  # bytes of a packed block
BLOSC: Final = struct.Struct("<4x3I")  # bytes when unpacked, of one block, and packed
SHUFFLED: Final = 8  # bitshuffle takes groups of so many elements, and leaves the rest as it is


class Unpacker:
    """Unpacks one frame after the other, fastest where they are all of one kind."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, Shape] | None = None
        self._dataset: h5py.Dataset | None = None

    def unpack(
        self, blob: Buffer, compression: str, dtype: np.dtype[Any], shape: Shape
    ) -> NDArray[Any]:
        """The frame in ``blob``, ``(rows, columns)``.

        Raises
        ------
        WireError
            An unknown compression, or bytes that are no such frame.
        """
        n_bytes = math.prod(shape) * dtype.itemsize
        if compression == "none":
            if len(blob) != n_bytes:
                raise WireError(f"length: {len(blob)} bytes for {shape} {dtype}.")
            return np.frombuffer(blob, dtype).reshape(shape)
        if compression not in PACKINGS:
            raise WireError(f"compression: {compression!r} is not none, {', '.join(PACKINGS)}.")
        require, packing = PACKINGS[compression]
        try:
            require(blob, n_bytes, dtype.itemsize)
            dataset = self._opened((compression, dtype.str, shape), packing)
            dataset.id.write_direct_chunk((0, 0), bytes(blob))
            return np.asarray(dataset[()])
        except (OSError, struct.error) as error:
            raise WireError(f"blob: {error}") from error

    def _opened(self, kind: tuple[str, str, Shape], packing: dict[str, Any]) -> h5py.Dataset:
        """A dataset of one chunk, which is one frame of this kind."""
        if self._dataset is None or kind != self._kind:
            self.close()
            _, dtype, shape = kind
            file = h5py.File(f"{uuid.uuid4()}", "w", driver="core", backing_store=False)
            self._dataset = file.create_dataset("frame", shape, dtype, chunks=shape, **packing)
            self._kind = kind
        return self._dataset

    def close(self) -> None:
        """Let the memory go."""
        if self._dataset is not None:
            self._dataset.file.close()
            self._dataset = None


def _require_lz4(blob: Buffer, n_bytes: int, itemsize: int) -> None:
    stated, block = CHUNK.unpack_from(blob)
    if stated != n_bytes or block == 0:
        raise WireError(f"blob: {stated} bytes in blocks of {block}, expected {n_bytes}.")
    _require_blocks(blob, -(-n_bytes // min(block, n_bytes)), rest=0)


def _require_bslz4(blob: Buffer, n_bytes: int, itemsize: int) -> None:
    stated, block = CHUNK.unpack_from(blob)
    in_block = block // itemsize
    if stated != n_bytes or in_block == 0 or block % (SHUFFLED * itemsize):
        raise WireError(f"blob: {stated} bytes in blocks of {block}, expected {n_bytes}.")
    n_elements = n_bytes // itemsize
    whole, last = divmod(n_elements, in_block)
    rest = n_elements % SHUFFLED * itemsize
    _require_blocks(blob, whole + (last >= SHUFFLED), rest)


def _require_blocks(blob: Buffer, n_blocks: int, rest: int) -> None:
    """Refuse blocks that do not end where the blob does, up to ``rest`` bytes."""
    offset = CHUNK.size
    for _ in range(n_blocks):
        offset += BLOCK.size + BLOCK.unpack_from(blob, offset)[0]
    if offset + rest != len(blob):
        raise WireError(f"blob: {n_blocks} blocks take {offset + rest} of {len(blob)} bytes.")


def _require_blosc(blob: Buffer, n_bytes: int, itemsize: int) -> None:
    stated, _, packed = BLOSC.unpack_from(blob)
    if stated != n_bytes or packed != len(blob):
        raise WireError(f"blob: {stated} bytes in {packed}, expected {n_bytes} in {len(blob)}.")


PACKINGS: Final[dict[str, tuple[Callable[[Buffer, int, int], None], dict[str, Any]]]] = {
    "LZ4": (_require_lz4, dict(hdf5plugin.LZ4())),
    "BSLZ4": (_require_bslz4, dict(hdf5plugin.Bitshuffle(cname="lz4"))),
    "blosc": (_require_blosc, dict(hdf5plugin.Blosc())),
}
