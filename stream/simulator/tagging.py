"""Photons followed one by one through the simulated sensor, to the event that each one makes."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled
from hexlive.stream.simulator.sensor import absorb, empty_charge, pick, start_random, uniform
from hexlive.stream.simulator.sensor_tables import NORMAL_LEVELS, Charge, EventRules, Tables

# A tagged photon strikes the middle of a patch; others up to REACH pixels away can join it.
REACH: Final = 3
PATCH: Final = 2 * REACH + 5

# Compiled anew in each process: numba's cache would not notice a change in the sensor.
compiled_here = compiled(cache=False)


@compiled_here
def tag_photons(
    true_kev: NDArray[np.float64],
    seed: int,
    per_pixel: float,
    others_kev: NDArray[np.float32],
    tables: Tables,
    rules: EventRules,
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Follow photons one by one, each among others of the same frame, and see the event it makes.

    Parameters
    ----------
    true_kev
        ``(photons,)``: energies of the tagged photons.
    per_pixel
        Mean number of other photons per pixel and frame; 0 for isolated photons.
    others_kev
        ``(quantiles,)``: energies of the others.

    Returns
    -------
    tuple
        Energy ``(photons,), keV``, and size ``(photons,)`` of the cluster that is booked on the
        photon's largest pixel; size 0 where there is none.
    """
    event_kev = np.zeros(true_kev.size, np.float32)
    event_pixels = np.zeros(true_kev.size, np.int8)
    state = np.empty(1, np.uint64)
    charge = empty_charge(PATCH, PATCH)
    for i in range(true_kev.size):
        start_random(state, seed, i)
        absorb(charge, PATCH // 2, PATCH // 2, true_kev[i], tables, state)
        own = charge.n_touched[0]
        time = -math.log(uniform(state))
        while time < per_pixel * (2 * REACH + 1) ** 2:
            row = int(PATCH // 2 - REACH + uniform(state) * (2 * REACH + 1))
            column = int(PATCH // 2 - REACH + uniform(state) * (2 * REACH + 1))
            other_kev = others_kev[int(uniform(state) * others_kev.size)]
            absorb(charge, row, column, other_kev, tables, state)
            time -= math.log(uniform(state))
        event_kev[i], event_pixels[i] = tagged_event(charge, own, tables, rules, state)
    return event_kev, event_pixels


@compiled_here
def tagged_event(
    charge: Charge, own: int, tables: Tables, rules: EventRules, state: NDArray[np.uint64]
) -> tuple[float, int]:
    """Energy and size of the event at the largest of the first ``own`` pixels; clear the charge."""
    pixels = charge.kev.ravel()
    largest = charge.touched[0]
    for i in range(charge.n_touched[0]):
        pixel = charge.touched[i]
        pixels[pixel] = max(pixels[pixel], rules.intercept_kev)
        pixels[pixel] += rules.noise_kev * pick(tables.normal, NORMAL_LEVELS, state)
        if i < own and pixels[pixel] > pixels[largest]:
            largest = pixel
    largest_kev, total_kev, size = pixels[largest], pixels[largest], 1
    if not rules.every_hit:
        total_kev, size = grow_cluster(pixels, largest, rules)
    if largest_kev < rules.threshold_kev:
        size = 0
    for pixel in charge.touched[: charge.n_touched[0]]:
        pixels[pixel] = 0.0
    charge.n_touched[0] = 0
    return total_kev, size


@compiled_here
def grow_cluster(pixels: NDArray[np.float32], start: int, rules: EventRules) -> tuple[float, int]:
    """Energy and size of the cluster around ``start``; size 0 where that is not its largest."""
    members = np.empty(pixels.size, np.int64)
    largest_kev = total_kev = pixels[start]
    members[0], size, done, booked_here = start, 1, 0, True
    pixels[start] = 0.0
    while done < size:
        for step in range(9):
            down, across = step // 3 - 1, step % 3 - 1
            pixel = members[done] + down * PATCH + across
            if not 0 <= pixel < pixels.size or pixels[pixel] < rules.low_threshold_kev:
                continue
            if rules.diagonals or down * across == 0:
                total_kev += pixels[pixel]
                booked_here = booked_here and pixels[pixel] <= largest_kev
                pixels[pixel] = 0.0
                members[size] = pixel
                size += 1
        done += 1
    return total_kev, size if booked_here else 0
