"""Bit operations that numba has no words for, as LLVM instructions.

A frame is kept as one bit per pixel, 64 to a word; ``words.py`` says where each pixel is. LLVM
turns a comparison of vectors and the bitcast of its result into the mask instructions of the
processor; the same written as a loop stays a loop.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from hexlive.kernels.words import AT_ONCE

WORD: Final = ir.IntType(64)
WORDS: Final = ir.VectorType(WORD, AT_ONCE)
ADU: Final = ir.IntType(16)
COUNT: Final = ir.IntType(8)
PIECE: Final = ir.IntType(16)
LINE: Final = 32  # pixels in a cache line


class _Code:
    """Writes the instructions of one function."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.builder = builder
        self._arrays = {
            i: context.make_array(kind)(context, builder, arguments[i])
            for i, kind in enumerate(signature.args)
            if isinstance(kind, types.Array)
        }

    def pointer(self, array: int, index: Any, kind: Any) -> Any:
        place = self.builder.gep(self._arrays[array].data, [index])
        return self.builder.bitcast(place, kind.as_pointer())

    def load(self, array: int, index: Any, kind: Any = WORDS) -> Any:
        return self.builder.load(self.pointer(array, index, kind), align=kind_align(kind))

    def store(self, value: Any, array: int, index: Any) -> None:
        pointer = self.pointer(array, index, value.type)
        self.builder.store(value, pointer, align=kind_align(value.type))

    def size(self, array: int) -> Any:
        return self.builder.extract_value(self._arrays[array].shape, 0)

    def fetch(self, array: int, index: Any, *, write: bool) -> None:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = self.builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        pointer = self.pointer(array, index, ir.IntType(8))
        near, data = 2 + int(write), 1
        self.builder.call(prefetch, [pointer, *map(number, (int(write), near, data))])

    def any_of(self, *values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = self.builder.or_(result, value)
        return result


def kind_align(kind: Any) -> int:
    """Arrays are aligned to their elements only."""
    return int(kind.element.width) // 8


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def compare(typing: Any, adu: Any, limit_adu: Any, n_hits: Any, begin: Any, lanes: Any) -> Any:
    """Compare ``lanes`` pixels from ``begin`` with their limits, and count the hits of each.

    Also ask for the same pixels of the next frame, which follows in memory: without this, half the
    time would be spent on waiting for frames.

    Returns
    -------
    word
        Bit ``i`` is ``adu > limit`` of pixel ``begin + i``.
    """
    kind, counts = (ir.VectorType(element, lanes.literal_value) for element in (ADU, COUNT))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code, begin = _Code(context, builder, signature, arguments), arguments[3]
        hit = builder.icmp_unsigned(">", code.load(0, begin, kind), code.load(1, begin, kind))
        for line in range(0, kind.count, LINE):
            code.fetch(0, builder.add(begin, builder.add(code.size(0), WORD(line))), write=False)
        counted = builder.add(code.load(2, begin, counts), builder.zext(hit, counts))
        code.store(counted, 2, begin)
        mask = builder.bitcast(hit, ir.IntType(kind.count))
        return mask if kind.count == WORD.width else builder.zext(mask, WORD)

    return types.uint64(adu, limit_adu, n_hits, types.intp, lanes), generate


Beside = Callable[[int], tuple[Any, Any, Any]]


def _rows(code: _Code, arguments: Any, array: int) -> Beside:
    """A function that loads, of the row above (-1), this (0) or below (1), three vectors.

    They are the pixels, and their left and right neighbours, at the places of the pixels.
    """
    builder, (index, stride) = code.builder, arguments[-3:-1]

    def shifted(down: int) -> tuple[Any, Any, Any]:
        at = builder.add(index, builder.mul(stride, WORD(down)))
        one, top = WORDS([WORD(1)] * AT_ONCE), WORDS([WORD(63)] * AT_ONCE)
        centre = code.load(array, at)
        before = code.load(array, builder.sub(at, WORD(1)))
        after = code.load(array, builder.add(at, WORD(1)))
        left = code.any_of(builder.shl(centre, one), builder.lshr(before, top))
        right = code.any_of(builder.lshr(centre, one), builder.shl(after, top))
        return centre, left, right

    return shifted


def _spread(builder: Any, word: Any) -> Any:
    """The same word in every lane."""
    first = builder.insert_element(ir.Constant(WORDS, ir.Undefined), word, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), AT_ONCE), [0] * AT_ONCE)
    return builder.shuffle_vector(first, ir.Constant(WORDS, ir.Undefined), lanes)


@intrinsic  # type: ignore[untyped-decorator]
def sort_words(
    typing: Any, hit: Any, alone: Any, one: Any, crowd: Any, w: Any, stride: Any, diagonal: Any
) -> Any:
    """Sort the hits of AT_ONCE words from ``w``: no neighbour, exactly one, one or more.

    ``stride`` is the words of a row; ``diagonal`` has all bits set or none.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        row, corners = _rows(code, arguments, 0), _spread(builder, arguments[-1])
        here, left, right = row(0)
        some, more = code.any_of(left, right), builder.and_(left, right)
        for down in (-1, 1):
            centre, left, right = row(down)
            for beside in (centre, builder.and_(left, corners), builder.and_(right, corners)):
                more = code.any_of(more, builder.and_(some, beside))
                some = code.any_of(some, beside)
        code.store(builder.and_(here, builder.not_(some)), 1, arguments[4])
        several = builder.and_(here, some)
        code.store(builder.and_(several, builder.not_(more)), 2, arguments[4])
        code.store(several, 3, arguments[4])
        return context.get_dummy_value()

    return types.void(hit, alone, one, crowd, types.uint64, types.intp, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def pair_words(
    typing: Any, one: Any, first: Any, crowd: Any, w: Any, stride: Any, diagonal: Any
) -> Any:
    """Find the first pixels of pairs in AT_ONCE words from ``w``; remove pairs from the crowd.

    Two neighbours without any other are a pair.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        row, corners = _rows(code, arguments, 0), _spread(builder, arguments[-1])
        here, left, right = row(0)
        sides = []
        for down, beside in ((-1, left), (1, right)):
            centre, *corner = row(down)
            cornered = builder.and_(code.any_of(*corner), corners)
            sides.append(builder.and_(here, code.any_of(beside, centre, cornered)))
        code.store(sides[1], 1, arguments[3])
        crowd_left = builder.and_(code.load(2, arguments[3]), builder.not_(code.any_of(*sides)))
        code.store(crowd_left, 2, arguments[3])
        return context.get_dummy_value()

    return types.void(one, first, crowd, types.uint64, types.intp, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def any_of_words(typing: Any, words: Any, w: Any) -> Any:
    """Bit ``i`` is set if word ``w + i`` has any bit, for AT_ONCE words."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        some = builder.icmp_unsigned("!=", code.load(0, arguments[1]), WORDS([WORD(0)] * AT_ONCE))
        return builder.zext(builder.bitcast(some, ir.IntType(AT_ONCE)), WORD)

    return types.uint64(words, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def bits_at(typing: Any, words: Any, place: Any) -> Any:
    """The bits from ``place`` on, nine of them at least.

    Two bytes, not a word: a wider load would wait for the last ``clear_at`` nearby.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, shift = _bytes_of(context, builder, signature, arguments)
        return builder.lshr(builder.zext(builder.load(pointer, align=1), WORD), shift)

    return types.uint64(words, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def clear_at(typing: Any, words: Any, place: Any, pattern: Any) -> Any:
    """Clear the bits of a pattern of up to nine bits that begins at ``place``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, shift = _bytes_of(context, builder, signature, arguments)
        kept = builder.trunc(builder.not_(builder.shl(arguments[2], shift)), PIECE)
        builder.store(builder.and_(builder.load(pointer, align=1), kept), pointer, align=1)
        return context.get_dummy_value()

    return types.void(words, types.uint64, types.uint64), generate


def _bytes_of(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any]:
    """Pointer to the two bytes from that of a bit on, and the bit's place in them."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    first = builder.bitcast(array.data, ir.IntType(8).as_pointer())
    byte = builder.gep(first, [builder.lshr(arguments[1], WORD(3))])
    return builder.bitcast(byte, PIECE.as_pointer()), builder.and_(arguments[1], WORD(7))


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(typing: Any, word: Any) -> Any:
    """Index of the lowest set bit; 64 if there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.uint64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(typing: Any, word: Any) -> Any:
    """Count the set bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def fetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of an element that will be written to."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _Code(context, builder, signature, arguments).fetch(0, arguments[1], write=True)
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate
