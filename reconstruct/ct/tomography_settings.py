"""How a CT scan becomes a volume."""

from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from hexlive.reconstruct.ct.engines import EngineName
from hexlive.reconstruct.ct.rings import WIDTH_PX, RingMethod
from hexlive.reconstruct.volumes.surface_settings import FluxSettings, SurfaceSettings

MEMORY_MB: Final = 4000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TomographySettings:
    """How a CT scan becomes a volume.

    Attributes
    ----------
    engine
        Back-projection engine; "auto" takes the fastest one present.
    centre
        Column of the rotation axis, or "auto".
    rings, ring_width_px
        Ring removal by name, and the width in columns below which still detail is a stripe.
    zinger_ratio
        A pixel brighter than its neighbours' median by this ratio is replaced; None: off.
    pixel_um
        Pixel size at the sample, where the scan does not say it.
    memory_mb
        What a reconstruction may take, MB, besides flats, darks and a volume that is kept whole.
    surface
        How the anode's surface is found in the volume.
    flux
        What flux is simulated in the anode.
    watch
        Folder in which other programs leave finished scan files; a live run takes them. None: none.
    """

    engine: EngineName = "auto"
    centre: Literal["auto"] | float = "auto"
    rings: RingMethod = "mean"
    ring_width_px: int = WIDTH_PX
    zinger_ratio: float | None = None
    pixel_um: float = 3.24
    memory_mb: float = MEMORY_MB
    surface: SurfaceSettings = field(default_factory=SurfaceSettings)
    flux: FluxSettings = field(default_factory=FluxSettings)
    watch: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot mean anything.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        if not 0 < self.pixel_um < inf:
            raise ValueError(f"tomography.pixel_um must be a length above 0, not {self.pixel_um}.")
        if not 0 < self.memory_mb < inf:
            raise ValueError(
                f"tomography.memory_mb must be a number above 0, not {self.memory_mb}."
            )
        if self.ring_width_px < 3 or self.ring_width_px % 2 == 0:
            raise ValueError(
                f"tomography.ring_width_px must be odd and at least 3, not {self.ring_width_px}."
            )
        if self.centre != "auto" and not self.centre > 0:
            raise ValueError(f"tomography.centre must be 'auto' or above 0, not {self.centre}.")
        if self.zinger_ratio is not None and not self.zinger_ratio > 0:
            raise ValueError(f"tomography.zinger_ratio must be above 0, not {self.zinger_ratio}.")
