"""How a CT volume is laid upon the EMF grid."""

from dataclasses import dataclass

import numpy as np

from hexlive.reconstruct.registration.similarity import Similarity


class RegistrationError(ValueError):
    """A registration that failed or is stale; no mask comes from it. The sentence says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationSettings:
    """Where the CT lies in the sheet beam; the ``[registration]`` table of the configuration.

    Attributes
    ----------
    offset_mm
        (down, across) of the rotation axis of the CT on the EMF map, from the optical axis.
    scale
        Length in the sheet beam per length in the CT.
    rotation_deg
        Angle of the CT's rotation at which the cell stood during the Compton exposures.
    mirrored
        The slices of the CT are seen from the other side than the sheet beam.
    search_mm, scale_search
        How far the outline may move the offset, and change the scale.
    pinhole_mm
        Diameter of the pinhole, which blurs the outline.
    region
        Whose exposure shows the outline.
    max_residual_mm
        The outline must lie so close, root mean square.
    max_age_s
        Between the CT scan and an exposure.
    sheet_mm, sheet_bottom_um
        Height of the sheet beam, and where it begins in regions 1, 2, 3, from the first slice of
        the volume. None: where cathode, electrolyte and anode begin in the CT.
    """

    offset_mm: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    rotation_deg: float = 0.0
    mirrored: bool = False
    search_mm: float = 2.0
    scale_search: float = 0.05
    pinhole_mm: float = 0.2
    region: int = 3
    max_residual_mm: float = 0.15
    max_age_s: float = 86_400.0
    sheet_mm: float = 0.268
    sheet_bottom_um: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot mean anything.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        for name in ("scale", "pinhole_mm", "max_residual_mm", "max_age_s", "sheet_mm"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(
                    f"registration.{name} must be positive, not {getattr(self, name)}."
                )
        if not self.search_mm >= 0:
            raise ValueError(f"registration.search_mm must not be negative, not {self.search_mm}.")
        if not 0 <= self.scale_search < 1:
            raise ValueError(
                f"registration.scale_search must be from 0 to 1, not {self.scale_search}."
            )

    @property
    def nominal(self) -> Similarity:
        """As the geometry has it."""
        return Similarity(
            offset_mm=self.offset_mm,
            scale=self.scale,
            rotation_rad=float(np.radians(self.rotation_deg)),
            mirrored=self.mirrored,
        )
