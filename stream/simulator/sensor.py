"""The simulated CdZnTe sensor: one photon becomes charge on a few pixels, photons become frames.

Every frame has its own random numbers, from the seed and the frame number alone, so a frame is
the same whatever is rendered before or with it. One file, because numba's cache does not notice a
change in a function that was imported from another.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled
from hexlive.stream.simulator.sensor_tables import (
    CLOUD_LEVELS,
    DIRECTIONS,
    NORMAL_LEVELS,
    TAIL_LENGTH,
    Charge,
    Electronics,
    Photons,
    Tables,
)

# Electron-hole pairs in CdZnTe: energy per pair, and the Fano factor of their number.
PAIR_KEV: Final = 4.64e-3
FANO: Final = 0.10

# Fraction of the charge that is lost in the gap when a cloud is halved between two pixels.
GAP_LOSS: Final = 0.005

# K fluorescence of Te and Cd: energy, mean range, and fraction of the absorbed photons that cause
# it (xraylib 4.3, Cd0.9Zn0.1Te at 5.78 g/cm3, absorption at 94 keV).
TE_KEV: Final = 27.38
TE_RANGE_MM: Final = 0.0657
TE_FRACTION: Final = 0.40
CD_KEV: Final = 23.11
CD_RANGE_MM: Final = 0.1164
CD_FRACTION: Final = 0.26
TE_EDGE_KEV: Final = 31.81
PITCH_MM: Final = 0.25

ADC_MAX: Final = 16383

# SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 16.
SPLITMIX_INCREMENT: Final = np.uint64(0x9E3779B97F4A7C15)
SPLITMIX_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SPLITMIX_SECOND: Final = np.uint64(0x94D049BB133111EB)
BITS_11, BITS_27, BITS_30, BITS_31 = (np.uint64(bits) for bits in (11, 27, 30, 31))
UNIT: Final = 2.0**-53

# Compiled into the caller: passing named arrays costs more than what these functions do.
inlined = compiled(inline="always")


@compiled()
def random_bits(state: NDArray[np.uint64]) -> np.uint64:
    """Next 64 random bits of ``state``, ``(1,)``."""
    state[0] += SPLITMIX_INCREMENT
    z: np.uint64 = state[0]
    z = (z ^ (z >> BITS_30)) * SPLITMIX_FIRST
    z = (z ^ (z >> BITS_27)) * SPLITMIX_SECOND
    return z ^ (z >> BITS_31)


@compiled()
def start_random(state: NDArray[np.uint64], seed: int, number: int) -> None:
    """Start the random numbers of one frame or photon."""
    state[0] = np.uint64(seed)
    state[0] = random_bits(state) ^ np.uint64(number)
    state[0] = random_bits(state)


@compiled()
def uniform(state: NDArray[np.uint64]) -> float:
    """Uniform in (0, 1)."""
    return (np.float64(random_bits(state) >> BITS_11) + 0.5) * UNIT


@inlined
def pick(values: NDArray[np.float32], levels: int, state: NDArray[np.uint64]) -> float:
    """One of ``levels`` values, a power of two."""
    return np.float64(values[random_bits(state) & np.uint64(levels - 1)])


@inlined
def draw_index(photons: Photons, state: NDArray[np.uint64]) -> int:
    """Class and pixel of a photon, as one number: Walker's alias method."""
    position = uniform(state) * photons.keep.size
    index = int(position)
    return index if position - index < photons.keep[index] else photons.other[index]


@inlined
def draw_kev(photons: Photons, kind: int, pixel: int, state: NDArray[np.uint64]) -> float:
    """Energy of a photon of this class at the angle of this pixel, from its inverse cumulative."""
    position = uniform(state) * (photons.quantile_kev.shape[2] - 1)
    step = int(position)
    angle, blend = photons.angle[pixel], photons.blend[pixel]
    low = photons.quantile_kev[kind, angle]
    high = photons.quantile_kev[kind, angle + 1]
    at_step = (1.0 - blend) * low[step] + blend * high[step]
    at_next = (1.0 - blend) * low[step + 1] + blend * high[step + 1]
    energy_kev: float = at_step + (position - step) * (at_next - at_step)
    return energy_kev


@compiled()
def empty_charge(rows: int, columns: int) -> Charge:
    """No charge on a sensor of this size."""
    kev = np.zeros((rows, columns), np.float32)
    return Charge(kev, np.empty(rows * columns, np.int64), np.zeros(1, np.int64))


@inlined
def add_charge(charge: Charge, row: int, column: int, energy_kev: float) -> None:
    """Add charge to one pixel; beside the sensor it is lost."""
    rows, columns = charge.kev.shape
    if energy_kev <= 0.0 or row < 0 or column < 0 or row >= rows or column >= columns:
        return
    if charge.kev[row, column] == 0.0:
        charge.touched[charge.n_touched[0]] = row * columns + column
        charge.n_touched[0] += 1
    charge.kev[row, column] += energy_kev


@inlined
def share_charge(
    charge: Charge, y: float, x: float, energy_kev: float, tables: Tables, state: NDArray[np.uint64]
) -> None:
    """Share a cloud centred at (y, x), in pitches, with the nearest neighbour on each axis."""
    row, column = math.floor(y), math.floor(x)
    y, x = y - row, x - column
    steps = pick(tables.tail_steps, CLOUD_LEVELS, state)
    over_y = tables.tail[int(min(min(y, 1.0 - y) * steps, TAIL_LENGTH - 1.0))]
    over_x = tables.tail[int(min(min(x, 1.0 - x) * steps, TAIL_LENGTH - 1.0))]
    if over_y == 0.0 and over_x == 0.0:
        add_charge(charge, row, column, energy_kev)
        return
    next_row = row - 1 if y < 0.5 else row + 1
    next_column = column - 1 if x < 0.5 else column + 1
    lost = 4.0 * GAP_LOSS * (over_y * (1.0 - over_y) + over_x * (1.0 - over_x))
    energy_kev *= 1.0 - lost
    add_charge(charge, row, column, energy_kev * (1.0 - over_y) * (1.0 - over_x))
    add_charge(charge, row, next_column, energy_kev * (1.0 - over_y) * over_x)
    add_charge(charge, next_row, column, energy_kev * over_y * (1.0 - over_x))
    add_charge(charge, next_row, next_column, energy_kev * over_y * over_x)


@compiled()
def absorb(
    charge: Charge,
    row: int,
    column: int,
    energy_kev: float,
    tables: Tables,
    state: NDArray[np.uint64],
) -> None:
    """Absorb one photon anywhere in a pixel: one cloud, or two where Cd or Te fluoresces."""
    y, x = row + uniform(state), column + uniform(state)
    energy_kev += math.sqrt(FANO * PAIR_KEV * energy_kev) * pick(
        tables.normal, NORMAL_LEVELS, state
    )
    kind, line_kev, range_mm = uniform(state), 0.0, 0.0
    if energy_kev > TE_EDGE_KEV and kind < TE_FRACTION:
        line_kev, range_mm = TE_KEV, TE_RANGE_MM
    elif energy_kev > TE_EDGE_KEV and kind < TE_FRACTION + CD_FRACTION:
        line_kev, range_mm = CD_KEV, CD_RANGE_MM
    share_charge(charge, y, x, energy_kev - line_kev, tables, state)
    if line_kev == 0.0:
        return
    flight_mm = -range_mm * math.log(uniform(state))
    upwards = 2.0 * uniform(state) - 1.0
    if uniform(state) < flight_mm * upwards * tables.escape_per_mm[int(energy_kev)]:
        return
    sideways = flight_mm * math.sqrt(1.0 - upwards * upwards) / PITCH_MM
    direction = random_bits(state) & np.uint64(DIRECTIONS - 1)
    y, x = y + sideways * tables.sine[direction], x + sideways * tables.cosine[direction]
    share_charge(charge, y, x, line_kev, tables, state)


@inlined
def digitise(
    frame: NDArray[np.uint16], number: int, charge: Charge, electronics: Electronics
) -> None:
    """Add the signal of the charge to a frame of noise, ``(pixels,)``, and clear the charge."""
    gain = 1.0 + electronics.drift_per_frame * number
    charge_kev, adu_per_kev = charge.kev.ravel(), electronics.adu_per_kev.ravel()
    intercept_kev = electronics.intercept_kev.ravel()
    for pixel in charge.touched[: charge.n_touched[0]]:
        signal_kev = max(charge_kev[pixel] - intercept_kev[pixel], 0.0)
        adu = frame[pixel] + int(signal_kev * gain * adu_per_kev[pixel] + 0.5)
        frame[pixel] = min(adu, ADC_MAX)
        charge_kev[pixel] = 0.0
    charge.n_touched[0] = 0


@compiled()
def render(
    frames: NDArray[np.uint16],
    first_frame: int,
    seed: int,
    photons: Photons,
    tables: Tables,
    electronics: Electronics,
) -> None:
    """Fill ``(frames, rows, columns) uint16, ADU``; photons arrive with exponential gaps."""
    n_frames, rows, columns = frames.shape
    pixels = rows * columns
    state = np.empty(1, np.uint64)
    charge = empty_charge(rows, columns)
    for i in range(n_frames):
        start_random(state, seed, first_frame + i)
        pool = electronics.noise_pool
        frames[i] = pool[int(uniform(state) * len(pool))]
        time = -math.log(uniform(state))
        while time < photons.per_frame:
            index = draw_index(photons, state)
            pixel = index % pixels
            energy_kev = draw_kev(photons, index // pixels, pixel, state)
            absorb(charge, pixel // columns, pixel % columns, energy_kev, tables, state)
            time -= math.log(uniform(state))
        digitise(frames[i].ravel(), first_frame + i, charge, electronics)
