"""What is simulated: states, heights, frames and faults of the experiment, or a calibration."""

import math
from dataclasses import dataclass, field
from typing import Final

from hexlive.reconstruct.components import ComponentSettings
from hexlive.reconstruct.compton import ComptonSettings
from hexlive.stream.config import DetectorSettings
from hexlive.stream.simulator.phantom import ScanSettings
from hexlive.stream.simulator.scene import FLAT_COUNTS, LINES_COUNTS, REGIONS, STATES, Subject

MAX_OCCUPANCY: Final = 0.5
MAX_GAIN_DRIFT: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatorSettings:
    """What is simulated.

    Attributes
    ----------
    subject
        "cell", or for a calibration "dark", "am241", or "disk": one exposure of a homogeneous disk
        that fills the view. States, regions and CT scans are those of the cell.
    states, regions
        Electrochemical states (1 to 7) and heights (1 to 3), in this order.
    batch_frames
        Frames per message.
    occupancy
        Mean fraction of pixels hit per frame, over the three regions of the pristine cell; the
        beam is the same in every exposure. Of a calibration: over its only exposure.
    lines_counts, flat_counts
        W and Pb lines, and flat background, in counts per pixel where lithium has 70.
    gain_drift
        Relative change of the gain (ADU per keV) of all pixels, linear from the first frame of the
        series to the last.
    loss
        Fraction of the frames that never arrive, each by itself.
    ct_after_states
        States that end with a CT scan.
    """

    seed: int = 1
    subject: Subject = "cell"
    states: tuple[int, ...] = (1, 2, 3)
    regions: tuple[int, ...] = REGIONS
    frames_per_segment: int = 27_000
    batch_frames: int = 256
    occupancy: float = 0.01
    lines_counts: float = LINES_COUNTS
    flat_counts: float = FLAT_COUNTS
    gain_drift: float = 0.0
    loss: float = 0.0
    ct_after_states: tuple[int, ...] = ()
    scan: ScanSettings = field(default_factory=ScanSettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    compton: ComptonSettings = field(default_factory=ComptonSettings)
    components: ComponentSettings = field(default_factory=ComponentSettings)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be simulated.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        known = {"states": STATES, "regions": REGIONS, "ct_after_states": STATES}
        for name, numbers in known.items():
            if not getattr(self, name) and name != "ct_after_states":
                raise ValueError(f"simulate: {name} is empty; name at least one.")
            for number in getattr(self, name):
                if number not in numbers:
                    raise ValueError(f"simulate: {name} go from 1 to {len(numbers)}, not {number}.")
        if not 0 < self.occupancy <= MAX_OCCUPANCY:
            raise ValueError(
                f"simulate: occupancy must be above 0 and at most {MAX_OCCUPANCY}, "
                f"not {self.occupancy}."
            )
        if not 0 <= self.loss < 1:
            raise ValueError(f"simulate: loss must be at least 0 and below 1, not {self.loss}.")
        if not abs(self.gain_drift) <= MAX_GAIN_DRIFT:
            raise ValueError(
                f"simulate: gain_drift must be between -{MAX_GAIN_DRIFT} and {MAX_GAIN_DRIFT}, "
                f"not {self.gain_drift}."
            )
        if not (0 <= self.lines_counts < math.inf and 0 <= self.flat_counts < math.inf):
            raise ValueError("simulate: lines_counts and flat_counts must not be negative.")
        if min(self.frames_per_segment, self.batch_frames) < 1 or self.seed < 0:
            raise ValueError(
                "simulate: frames_per_segment and batch_frames must be positive, seed not negative."
            )

    @property
    def exposures(self) -> list[tuple[int, int]]:
        """(state, region) of each segment of the cell, in order."""
        if self.subject != "cell":
            return []
        return [(state, region) for state in self.states for region in self.regions]

    @property
    def n_segments(self) -> int:
        """Exposures of whatever subject."""
        return len(self.exposures) or 1

    @property
    def n_frames(self) -> int:
        """Frames of the whole series, lost ones included."""
        return self.n_segments * self.frames_per_segment
