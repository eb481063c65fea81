"""Frames that were calibrated elsewhere, float32 keV, for counters that take whole ADU.

Energies are rounded to steps of 1/256 keV, 4 eV, where a bin is 200 eV and the camera's own step
about 29 eV. The step is a power of two, so that the kernels turn a step number back into exactly
that energy, without any further rounding.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, ConfigError

STEP_KEV: Final = 1 / 256
MAX_ADU: Final = 65535
MAX_KEV: Final = MAX_ADU * STEP_KEV


def as_adu(frames_kev: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Energies as multiples of the step; below 0 and not a number is 0, which is never a hit."""
    possible = np.nan_to_num(np.clip(frames_kev, 0, MAX_KEV))
    steps: NDArray[np.uint16] = np.rint(possible * np.float32(1 / STEP_KEV)).astype(np.uint16)
    return steps


def step_calibration(config: Config) -> Calibration:
    """The calibration of such frames: the step everywhere, no pedestal, nothing masked.

    Raises
    ------
    ConfigError
        The spectrum goes beyond the largest energy that a step number can say.
    """
    if config.spectrum.max_kev > MAX_KEV:
        raise ConfigError(
            f"Calibrated frames are counted up to {MAX_KEV:.2f} keV; spectrum.max_kev is "
            f"{config.spectrum.max_kev}."
        )
    shape = config.detector.shape
    return Calibration(
        pedestal_adu=np.zeros(shape, np.float32),
        noise_adu=np.zeros(shape, np.float32),
        gradient_kev_per_adu=np.full(shape, STEP_KEV, np.float32),
        intercept_kev=np.zeros(shape, np.float32),
        mask=np.zeros(shape, np.uint8),
        id="frames in keV, rounded to 1/256 keV",
    )
