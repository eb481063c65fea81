"""Regions and components through the states, with what the cycler read meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hexlive.reconstruct.charge import (
    CyclerLog,
    during_exposures,
    require_cover,
    state_of_charge,
)
from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import EmfResult, pool
from hexlive.reconstruct.profile import Profile
from hexlive.stream.export.measured import Exposed, Measured


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracked:
    """One region or component through the states.

    Attributes
    ----------
    state, begin_s, end_s, emf, emf_sigma
        ``(states,)``, in the order of time.
    soc
        ``(states,)``: as counted by the cycler where that was possible, else as announced.
    maps
        L and H of every pixel, one per state.
    read
        What the cycler read, ``(states,)`` each; see `Electrochemistry.readings`.
    """

    name: str
    state: list[int]
    begin_s: FloatArray
    end_s: FloatArray
    soc: FloatArray
    emf: FloatArray
    emf_sigma: FloatArray
    maps: list[EmfResult]
    read: dict[str, FloatArray]

    @property
    def middle_s(self) -> FloatArray:
        """Middle of the exposures of each state."""
        return (self.begin_s + self.end_s) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Electrochemistry:
    """Readings of the cycler, on the clock of the run, and how to count the charge.

    Attributes
    ----------
    capacity_ah
        Of the cell, stated by the user; None: the charge is not counted.
    initial_soc
        Of the first row.
    """

    log: CyclerLog
    capacity_ah: float | None = None
    initial_soc: float = 0.0

    def quantities(self) -> dict[str, FloatArray]:
        """``(rows,)`` of everything that can be read at an exposure.

        Raises
        ------
        ValueError
            The charge cannot be counted.
        """
        found = {
            "voltage_volt": self.log.voltage_volt,
            "current_ampere": self.log.current_ampere,
        }
        if self.capacity_ah is not None:
            counted = state_of_charge(self.log, self.capacity_ah, self.initial_soc)
            found["soc_counted"] = counted
        return found

    def readings(self, begin_s: FloatArray, end_s: FloatArray) -> dict[str, FloatArray]:
        """At the middle of each exposure, and the span meanwhile as ``NAME_span``.

        Raises
        ------
        ValueError
            The charge cannot be counted.
        """
        found: dict[str, FloatArray] = {}
        for name, values in self.quantities().items():
            middle, span = during_exposures(self.log, values, begin_s, end_s)
            found |= {name: middle, f"{name}_span": span}
        return found


def tracked(measured: Measured, chemistry: Electrochemistry | None = None) -> list[Tracked]:
    """Every region and component that was measured, through its states.

    Raises
    ------
    ValueError
        The log of the cycler covers none of the exposures, or cannot be used.
    """
    if chemistry is not None:
        times_s = [(each.begin_s, each.end_s) for each in measured.exposures.values()]
        require_cover(chemistry.log, *np.array(times_s).T)
    found = []
    for region in sorted({region for _, region in measured.exposures}):
        exposed = [[each] for (_, of), each in measured.exposures.items() if of == region]
        maps = [each.windows for [each] in exposed]
        whole = [pool(one, np.ones(measured.shape, bool)) for one in maps]
        emfs = [(float(one.emf), float(one.sigma)) for one in whole]
        found.append(_tracked(f"region_{region}", exposed, emfs, maps, chemistry))
    for name, regions in measured.config.components.mixing.items():
        parts = [part for part in measured.components if part.name == name]
        if not parts:
            continue
        exposed = [[measured.exposures[part.state, one] for one in regions] for part in parts]
        maps = [measured.component_maps(part.state)[name] for part in parts]
        emfs = [(part.emf, part.emf_sigma) for part in parts]
        found.append(_tracked(name, exposed, emfs, maps, chemistry))
    return found


def _tracked(
    name: str,
    exposed: list[list[Exposed]],
    emfs: list[tuple[float, float]],
    maps: list[EmfResult],
    chemistry: Electrochemistry | None,
) -> Tracked:
    """In the order of time; ``exposed`` has the exposures behind each value."""
    begin_s = np.array([min(each.begin_s for each in group) for group in exposed])
    end_s = np.array([max(each.end_s for each in group) for group in exposed])
    announced, values = np.array([group[0].soc for group in exposed]), np.array(emfs)
    order = np.argsort(begin_s, kind="stable")
    read = chemistry.readings(begin_s[order], end_s[order]) if chemistry else {}
    return Tracked(
        name=name,
        state=[exposed[i][0].state for i in order],
        begin_s=begin_s[order],
        end_s=end_s[order],
        soc=read.get("soc_counted", announced[order]),
        emf=values[order, 0],
        emf_sigma=values[order, 1],
        maps=[maps[i] for i in order],
        read=read,
    )


def profiles(measured: Measured) -> Iterator[tuple[str, int, Profile]]:
    """Name, state and profile of area 1 between the outer limits, of regions and components."""
    outer_au = measured.config.compton.outer_au
    for (state, region), each in sorted(measured.exposures.items()):
        yield f"region_{region}", state, each.profile.unit_area(outer_au)
    for part in measured.components:
        yield part.name, part.state, part.profile.unit_area(outer_au)
