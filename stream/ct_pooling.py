"""What a registered CT adds to an exposure: its masks, and fractions and volumes of components."""

from functools import reduce
from operator import add
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.pooling import pool_weighted
from hexlive.reconstruct.registration.registration_settings import RegistrationError
from hexlive.stream.config import Config
from hexlive.stream.model import Segment
from hexlive.stream.regions import Regions
from hexlive.stream.registered import Registered, StateOnGrid, load_registered

ANODE_REGION: Final = 3


class CtPooling:
    """Knows the CT of the present exposure, if a file of registered CT is configured.

    Attributes
    ----------
    doubt
        Why the CT of the present exposure is not used, a sentence; None: it is, or there is none.

    Raises
    ------
    FileError
        The file cannot be used, or is of another detector.
    """

    def __init__(self, config: Config, regions: Regions) -> None:
        self._regions = regions
        self._registered: Registered | None = None
        self._found: StateOnGrid | None = None
        self.doubt: str | None = None
        self._kept: dict[int, dict[tuple[str, int], dict[str, EmfResult]]] = {}
        if config.components.from_ct is not None:
            self._registered = load_registered(Path(config.components.from_ct))
            self._registered.require_shape(config.detector.shape)

    def begin(self, segment: Segment) -> None:
        """Look for the CT of a new exposure."""
        self._found, self.doubt = None, None
        if self._registered is None:
            return
        try:
            self._found = self._registered.state_of(segment)
        except RegistrationError as error:
            self.doubt = str(error)
        if self._found is not None and segment.state is not None and self._found.fractions:
            self._regions.mix_by_ct(segment.state, self._found.fractions)

    def masks(self, windows: EmfResult, valid: NDArray[np.bool_]) -> dict[str, EmfResult]:
        """L and H pooled over each mask, by area fraction."""
        masks = self._found.masks if self._found is not None else {}
        return {name: pool_weighted(windows, mask, valid) for name, mask in masks.items()}

    def keep(self, segment: Segment, pooled: dict[str, EmfResult]) -> None:
        """Remember the masks of an exposure of the anode; the masks are all of the anode."""
        if pooled and segment.state is not None and segment.region == ANODE_REGION:
            of_state = self._kept.setdefault(segment.state, {})
            of_state[segment.series, segment.number] = pooled

    def of_states(self) -> dict[int, dict[str, EmfResult]]:
        """L and H of each mask in each state so far, all exposures of the anode together."""
        return {
            state: {
                name: reduce(add, (pooled[name] for pooled in exposures.values()))
                for name in next(iter(exposures.values()))
            }
            for state, exposures in self._kept.items()
        }

    @property
    def source(self) -> str:
        """Where the masks are from."""
        if self._registered is None or self._found is None:
            return ""
        return f"{self._registered.path}: {self._found.volume}"
