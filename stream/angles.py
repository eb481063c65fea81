"""Which scattering angle each pixel has: from the geometry, or from the measured peaks."""

import numpy as np

from hexlive.reconstruct.compton import FloatArray, peak_kev, theta_from_peak_rad, theta_map_rad
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, ConfigError


def angle_map_rad(config: Config, calibration: Calibration) -> tuple[FloatArray, list[str]]:
    """Angles ``(rows, columns) float64, rad``, and what the user should know of them.

    Pixels without a measured peak have the angle of the geometry.

    Raises
    ------
    ConfigError
        ``compton.angles`` is "peak_map" and the calibration has none.
    """
    compton = config.compton
    theta_rad = theta_map_rad(config.detector.shape, config.detector.pitch_mm, compton)
    if compton.angles == "geometry":
        return theta_rad, []
    if calibration.peak_kev is None:
        raise ConfigError(
            "compton.angles is 'peak_map', but the calibration has no peak_kev; make it with "
            "hexlive calibrate reference, or set compton.angles = 'geometry'."
        )
    peak = peak_kev(np.array([np.pi, 0.0]), compton.incident_kev)
    measured = calibration.peak_kev
    usable = (measured >= peak[0]) & (measured <= peak[1])
    from_peak = theta_from_peak_rad(np.where(usable, measured, peak[1]), compton.incident_kev)
    notes = []
    if missing := int((~usable & (calibration.mask == 0)).sum()):
        notes.append(f"{missing} pixels have no measured peak; their angle is the geometry's.")
    return np.where(usable, from_peak, theta_rad), notes
