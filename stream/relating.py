"""EMF relative to a reference: of the calibration, or the first state at the same height."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.emf import EmfResult, each, pool, relative_emf
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config
from hexlive.stream.model import Segment
from hexlive.stream.results import Relative


@dataclass(frozen=True, kw_only=True, eq=False)
class _First:
    """The first state at one height."""

    state: int
    exposures: dict[tuple[str, int], EmfResult]

    @property
    def windows(self) -> EmfResult:
        """All its exposures together."""
        return reduce(add, self.exposures.values())


class Relating:
    """Knows what the present exposure is relative to.

    Raises
    ------
    ConfigError
        The reference of the calibration was made with another camera, calibration or setting.
    """

    def __init__(self, config: Config, calibration: Calibration) -> None:
        self._wanted = config.compton.reference
        self._reference = calibration.reference if self._wanted == "calibration" else None
        if self._reference is not None:
            self._reference.require_match(config, calibration.id)
        self._first: dict[int, _First] = {}

    def keep(self, segment: Segment, windows: EmfResult) -> None:
        """Take the sums of an exposure; those of the first state at its height are kept."""
        if self._wanted != "first_state" or segment.region is None or segment.state is None:
            return
        first = self._first.setdefault(segment.region, _First(state=segment.state, exposures={}))
        if first.state == segment.state:
            first.exposures[segment.series, segment.number] = windows

    def relative(
        self, segment: Segment | None, windows: EmfResult, valid: NDArray[np.bool_]
    ) -> Relative | None:
        """Relative EMF of the present exposure; None without a reference, and of that itself."""
        if self._reference is not None:
            same = self._reference.is_exposure(segment)
            source = f"{self._reference.source}, segment {self._reference.segment}"
            return _relative(windows, self._reference.windows, valid, source, nested=same)
        if segment is None or segment.region is None:
            return None
        first = self._first.get(segment.region)
        if first is None or first.state == segment.state:
            return None
        return _relative(windows, first.windows, valid, f"state {first.state}, same region")


def _relative(
    windows: EmfResult,
    reference: EmfResult,
    valid: NDArray[np.bool_],
    source: str,
    *,
    nested: bool = False,
) -> Relative:
    emf, sigma = relative_emf(windows, reference, nested=nested)
    # Pixels without counts in the reference add nothing to it, so they must not to the other.
    both = valid & ((reference.var_low + reference.var_high) > 0)
    pooled = (each(np.asarray, pool(result, both)) for result in (windows, reference))
    mean, mean_sigma = relative_emf(*pooled, nested=nested)
    return Relative(
        emf=emf, sigma=sigma, mean=float(mean), mean_sigma=float(mean_sigma), source=source
    )
