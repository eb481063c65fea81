"""The simulated camera: gain, intercept, pedestal and noise of each pixel, dead and hot ones."""

import uuid
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.stream.calibration import Calibration
from hexlive.stream.simulator.sensor_tables import Electronics

# Mean and relative (or, for the pedestal and intercept, absolute) spread between pixels, as in a
# measured HEXITEC camera.
GRADIENT_KEV_PER_ADU: Final = 0.029
GRADIENT_SPREAD: Final = 0.015
INTERCEPT_KEV: Final = 1.2
INTERCEPT_SPREAD_KEV: Final = 0.08
PEDESTAL_ADU: Final = 1005.0
PEDESTAL_SPREAD_ADU: Final = 25.0

ELECTRONIC_FWHM_KEV: Final = 0.686
FWHM_PER_SIGMA: Final = 2.3548
NOISE_KEV: Final = ELECTRONIC_FWHM_KEV / FWHM_PER_SIGMA
NOISE_SPREAD: Final = 0.05
HOT_NOISE_KEV: Final = 3.0

# One pixel in this many is dead, and as many are hot.
PIXELS_PER_FAULT: Final = 1000
POOL_FRAMES: Final = 2048

# Independent random numbers from one seed.
DARK_STREAM: Final = 0
POOL_STREAM: Final = 1
PIXEL_STREAM: Final = 2


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Constants of every pixel, ``(rows, columns)``; see `Calibration`. Dead pixels have no noise.

    Attributes
    ----------
    dead, hot
        ``(rows, columns) bool``.
    """

    seed: int
    pedestal_adu: FloatArray
    noise_adu: FloatArray
    gradient_kev_per_adu: FloatArray
    intercept_kev: FloatArray
    dead: NDArray[np.bool_]
    hot: NDArray[np.bool_]

    @property
    def faulty(self) -> NDArray[np.bool_]:
        """Pixels that a calibration should mask."""
        return self.dead | self.hot

    def dark_frames(self, n_frames: int, stream: int = DARK_STREAM) -> NDArray[np.uint16]:
        """Frames without photons, ``(frames, rows, columns) uint16, ADU``."""
        random = np.random.default_rng((self.seed, stream))
        shape = n_frames, *self.dead.shape
        noise = random.standard_normal(shape, np.float32) * self.noise_adu.astype(np.float32)
        noise += self.pedestal_adu.astype(np.float32)
        return np.rint(noise, out=noise).clip(min=0.0).astype(np.uint16)

    def electronics(self, drift_per_frame: float = 0.0) -> Electronics:
        """What the sensor needs, with a pool of noise frames that are drawn at random.

        Parameters
        ----------
        drift_per_frame
            Relative change of the gain of all pixels from one frame to the next.
        """
        return Electronics(
            noise_pool=self.dark_frames(POOL_FRAMES, POOL_STREAM),
            adu_per_kev=np.where(self.dead, 0.0, 1 / self.gradient_kev_per_adu),
            intercept_kev=self.intercept_kev,
            drift_per_frame=drift_per_frame,
        )

    def calibration(self) -> Calibration:
        """The true calibration, without errors of measurement."""
        return Calibration(
            pedestal_adu=self.pedestal_adu.astype(np.float32),
            noise_adu=self.noise_adu.astype(np.float32),
            gradient_kev_per_adu=self.gradient_kev_per_adu.astype(np.float32),
            intercept_kev=self.intercept_kev.astype(np.float32),
            mask=self.faulty.astype(np.uint8),
            sources=(f"simulated, seed {self.seed}",),
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"hexlive {self.dead.shape} {self.seed}")),
        )


def make_camera(shape: tuple[int, int], seed: int) -> Camera:
    """Build a camera: the same one for the same seed."""
    random = np.random.default_rng((seed, PIXEL_STREAM))

    def spread(mean: float, sigma: float) -> FloatArray:
        return random.normal(mean, sigma, shape)

    gradient = GRADIENT_KEV_PER_ADU * spread(1.0, GRADIENT_SPREAD)
    n_faults = -(-shape[0] * shape[1] // PIXELS_PER_FAULT)
    faults = random.choice(shape[0] * shape[1], 2 * n_faults, replace=False)
    dead, hot = np.zeros((2, *shape), np.bool_)
    dead.flat[faults[:n_faults]] = True
    hot.flat[faults[n_faults:]] = True
    noise_kev = NOISE_KEV * spread(1.0, NOISE_SPREAD)
    noise_kev[hot] = HOT_NOISE_KEV
    noise_kev[dead] = 0.0
    return Camera(
        seed=seed,
        pedestal_adu=spread(PEDESTAL_ADU, PEDESTAL_SPREAD_ADU),
        noise_adu=noise_kev / gradient,
        gradient_kev_per_adu=gradient,
        intercept_kev=spread(INTERCEPT_KEV, INTERCEPT_SPREAD_KEV),
        dead=dead,
        hot=hot,
    )
