"""Energies of pixels and clusters, in strict float32: no operation is fused or reordered."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled, step
from hexlive.kernels.state import Count, Kit

# SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 16.
SPLITMIX_INCREMENT: Final = np.uint64(0x9E3779B97F4A7C15)
SPLITMIX_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SPLITMIX_SECOND: Final = np.uint64(0x94D049BB133111EB)


@step
def add_pair(adu: NDArray[np.uint16], number: int, kit: Kit) -> tuple[np.uint64, np.float32]:
    """Pixel of the larger energy, the first of equals, and the sum."""
    p, q = kit.work.member[0], kit.work.member[1]
    p_kev, q_kev = energy_kev(np.float32(adu[p]), p, kit), energy_kev(np.float32(adu[q]), q, kit)
    larger = kit.work.member[np.uint64(q_kev > p_kev)]  # a look-up, as the branch is a coin toss
    if kit.rules.dither:
        p_kev, q_kev = booked_kev(adu[p], number, p, kit), booked_kev(adu[q], number, q, kit)
    kev = p_kev + q_kev
    if len(kit.tables.charge_loss):
        kev *= charge_loss_factor(p_kev - q_kev, kev, kit.tables.charge_loss)
    return larger, kev


@step
def add_members(
    adu: NDArray[np.uint16], number: int, size: Count, kit: Kit
) -> tuple[np.uint64, np.float32]:
    """Pixel of the largest energy, the first of equals, and the sum in row-major order."""
    largest = kit.work.member[0]
    largest_kev = energy_kev(np.float32(adu[largest]), largest, kit)
    sum_kev = booked_kev(adu[largest], number, largest, kit)
    for i in range(1, size):
        p = kit.work.member[i]
        kev = energy_kev(np.float32(adu[p]), p, kit)
        if kev > largest_kev:
            largest, largest_kev = p, kev
        sum_kev += booked_kev(adu[p], number, p, kit)
    return largest, sum_kev


# As NumPy: a sum of 0 gives NaN or infinity, not an exception.
@compiled(error_model="numpy", _nrt=False, forceinline=True)
def charge_loss_factor(
    difference_kev: np.float32, sum_kev: np.float32, curve: NDArray[np.float32]
) -> np.float32:
    """Factor at R = difference / sum, between nodes from -1 to 1; NaN is taken as -1."""
    last = len(curve) - 1
    ratio = difference_kev / sum_kev
    position = (ratio + np.float32(1)) * (np.float32(last) * np.float32(0.5))
    position = min(position, np.float32(last)) if position > 0 else np.float32(0)
    node = min(int(position), last - 1)
    part = position - np.float32(node)
    factor: np.float32 = curve[node] + part * (curve[node + 1] - curve[node])
    return factor


@step
def energy_kev(adu: np.float32, pixel: np.uint64, kit: Kit) -> np.float32:
    """Energy of a pixel, each operation rounded to float32, left to right."""
    constants = kit.tables.calibration
    kev: np.float32 = (adu - constants[pixel, 0]) * constants[pixel, 1] + constants[pixel, 2]
    return kev


@step
def booked_kev(adu: np.uint16, number: int, pixel: np.uint64, kit: Kit) -> np.float32:
    """Energy to book for a pixel: with dither, that of up to half an ADU more or less."""
    value = np.float32(adu)
    if kit.rules.dither:
        value += dither_adu(kit.rules.dither_seed, number, pixel)
    return energy_kev(value, pixel, kit)


@step
def dither_adu(seed: np.uint64, frame_number: int, pixel: int | np.uint64) -> np.float32:
    """Offset in [-0.5, 0.5) ADU, a pure function of its arguments, exact in float32."""
    bits = mix(mix(mix(seed) + np.uint64(frame_number)) + np.uint64(pixel))
    return np.float32(bits >> np.uint64(40)) * np.float32(2**-24) - np.float32(0.5)


@step
def mix(z: np.uint64) -> np.uint64:
    """Scramble 64 bits: the output of SplitMix64 in state ``z``, modulo 2^64."""
    z = z + SPLITMIX_INCREMENT
    z = (z ^ (z >> np.uint64(30))) * SPLITMIX_FIRST
    z = (z ^ (z >> np.uint64(27))) * SPLITMIX_SECOND
    return z ^ (z >> np.uint64(31))
