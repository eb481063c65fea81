"""What the compiled sensor reads and writes: arrays with names."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hexlive.stream.simulator.atoms import absorbed_fraction

# Width of the charge cloud in pixel pitches: WIDEST_CLOUD * u^CLOUD_POWER with u uniform. Depth,
# field and range of the photoelectron all vary; this one curve gives the measured 55/31/6/7 % of
# clusters of one to four pixels at 59.5 keV.
WIDEST_CLOUD: Final = 0.32
CLOUD_POWER: Final = 4.0

# Lengths of the tables; those that are drawn from are powers of two.
CLOUD_LEVELS: Final = 256
NORMAL_LEVELS: Final = 4096
DIRECTIONS: Final = 1024

# Gaussian tail beyond z sigma, in steps of 1/256, up to z = 4, where it is cut to zero.
TAIL_STEPS: Final = 256
TAIL_LENGTH: Final = 1024

SENSOR_MM: Final = 2.0
LOWEST_KEV: Final = 40.0  # 2 mm stop everything below
HIGHEST_KEV: Final = 256


class Charge(NamedTuple):
    """Charge of one frame, and which pixels have any.

    Attributes
    ----------
    kev
        ``(rows, columns) float32``.
    touched, n_touched
        ``(pixels,)``: flat indices in order of touch, of which the first ``n_touched[0]`` count.
    """

    kev: NDArray[np.float32]
    touched: NDArray[np.int64]
    n_touched: NDArray[np.int64]


class Tables(NamedTuple):
    """What happens to a photon in the sensor, as tables of equally likely values.

    Attributes
    ----------
    tail_steps
        ``(CLOUD_LEVELS,)``: steps of ``tail`` per pitch, for each width of the charge cloud.
    tail
        ``(TAIL_LENGTH,)``: fraction of a Gaussian beyond ``index / TAIL_STEPS`` sigma.
    normal
        ``(NORMAL_LEVELS,)``: standard normal.
    cosine, sine
        ``(DIRECTIONS,)``: of a direction in the plane of the sensor.
    escape_per_mm
        ``(HIGHEST_KEV,)``, per keV: probability that a photon of this energy is absorbed in a mm
        below the entrance face, if it is absorbed: what flies so far up leaves.
    """

    tail_steps: NDArray[np.float32]
    tail: NDArray[np.float32]
    normal: NDArray[np.float32]
    cosine: NDArray[np.float32]
    sine: NDArray[np.float32]
    escape_per_mm: NDArray[np.float32]


class Photons(NamedTuple):
    """Where photons strike and with which energy.

    Attributes
    ----------
    keep, other
        ``(classes x pixels,)``: probability and alternative of Walker's alias method.
    quantile_kev
        ``(classes, angles, quantiles) float32``: energy at equal steps of probability.
    angle, blend
        ``(pixels,)``: index of the angle below that of the pixel, and how far it is to the next.
    per_frame
        Mean number of absorbed photons in a frame.
    """

    keep: NDArray[np.float32]
    other: NDArray[np.int32]
    quantile_kev: NDArray[np.float32]
    angle: NDArray[np.int32]
    blend: NDArray[np.float32]
    per_frame: float


class Electronics(NamedTuple):
    """What makes ADU of charge.

    Attributes
    ----------
    noise_pool
        ``(frames, rows, columns) uint16, ADU``: frames without photons, pedestal included.
    adu_per_kev
        ``(rows, columns)``; 0 is a dead pixel.
    intercept_kev
        ``(rows, columns)``. Charge below it gives no signal: this is what a camera whose lines
        lie on a straight line with that intercept does.
    drift_per_frame
        Relative change of ``adu_per_kev`` from one frame number to the next.
    """

    noise_pool: NDArray[np.uint16]
    adu_per_kev: NDArray[np.float64]
    intercept_kev: NDArray[np.float64]
    drift_per_frame: float


class EventRules(NamedTuple):
    """How the hits of a tagged photon become an event, and the mean pixel, as plain numbers."""

    threshold_kev: float
    low_threshold_kev: float
    every_hit: bool
    diagonals: bool
    noise_kev: float
    intercept_kev: float


@cache
def sensor_tables() -> Tables:
    """Tables of the sensor."""

    def middles(count: int) -> NDArray[np.float64]:
        return (np.arange(count) + 0.5) / count

    tail = ndtr(-np.arange(TAIL_LENGTH) / TAIL_STEPS)
    tail[-1] = 0.0
    sigma = WIDEST_CLOUD * middles(CLOUD_LEVELS) ** CLOUD_POWER
    angle = 2 * np.pi * middles(DIRECTIONS)
    absorbed = absorbed_fraction(np.maximum(np.arange(HIGHEST_KEV), LOWEST_KEV), SENSOR_MM)
    arrays = (
        TAIL_STEPS / sigma,
        tail,
        ndtri(middles(NORMAL_LEVELS)),
        np.cos(angle),
        np.sin(angle),
        -np.log1p(-absorbed) / SENSOR_MM / absorbed,
    )
    return Tables(*(array.astype(np.float32) for array in arrays))
