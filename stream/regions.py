"""What was seen of each region in each state, exposure by exposure."""

from functools import reduce
from operator import add

from hexlive.reconstruct.components import (
    Component,
    ComponentName,
    ComponentSettings,
    RegionSums,
    components,
)
from hexlive.stream.model import Segment


class Regions:
    """The exposures so far; those of one region in one state add up, in whatever series they come.

    So an exposure that is continued after a loss of the beam takes nothing away.

    Attributes
    ----------
    states
        The first exposure of each state.
    """

    def __init__(self, settings: ComponentSettings) -> None:
        self._settings = settings
        self._of_ct: dict[int, ComponentSettings] = {}
        self._sums: dict[int, dict[int, dict[tuple[str, int], RegionSums]]] = {}
        self._live_time_s: dict[int, dict[int, dict[tuple[str, int], float]]] = {}
        self.states: dict[int, Segment] = {}

    def keep(self, segment: Segment, sums: RegionSums, live_time_s: float) -> None:
        """Take what is known of an exposure now, instead of what was known of it before."""
        if segment.state is None or segment.region is None:
            return
        exposure = segment.series, segment.number
        self.states.setdefault(segment.state, segment)
        of_state = self._sums.setdefault(segment.state, {})
        of_state.setdefault(segment.region, {})[exposure] = sums
        times_s = self._live_time_s.setdefault(segment.state, {})
        times_s.setdefault(segment.region, {})[exposure] = live_time_s

    def mix_by_ct(self, state: int, settings: ComponentSettings) -> None:
        """Take fractions and volumes of a state from its CT."""
        self._of_ct[state] = settings

    def mixing(self) -> dict[int, ComponentSettings]:
        """With which the components of each state are made."""
        return {state: self._of_ct.get(state, self._settings) for state in self._sums}

    def sums(self, state: int | None) -> dict[int, RegionSums]:
        """Each region of a state, all its exposures together."""
        regions = {} if state is None else self._sums.get(state, {})
        return {region: reduce(add, sums.values()) for region, sums in regions.items()}

    def components(self) -> dict[int, dict[ComponentName, Component]]:
        """Components of each state, as far as its regions were seen."""
        return {
            state: components(self.sums(state), self._of_ct.get(state, self._settings))
            for state in self._sums
        }

    def live_time_s(self) -> dict[int, dict[ComponentName, float]]:
        """Live time of the regions that enter each component."""
        return {
            state: {
                name: sum(sum(exposed[region].values()) for region in factors)
                for name, factors in self._settings.mixing.items()
                if factors.keys() <= exposed.keys()
            }
            for state, exposed in self._live_time_s.items()
        }
