"""Plots of a result file as PNG: EMF against charge, maps, difference maps, profiles."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hexlive.reconstruct.profile import Profile
from hexlive.stream.ct_pooling import ANODE_REGION
from hexlive.stream.export.figures import (
    BLUE,
    GREY,
    ORANGE,
    SEQUENTIAL,
    TITLES,
    panels,
    require_plotting,
    save,
)
from hexlive.stream.export.maps import emf_differences, emf_maps
from hexlive.stream.export.measured import Measured
from hexlive.stream.export.tracking import Tracked, profiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROFILE_REACH_AU: Final = 7.0
COMPONENTS: Final = ("anode", "electrolyte", "cathode")
DODGE: Final = 0.06  # of a state, so that error bars stand beside each other


def draw_all(measured: Measured, series: Sequence[Tracked], out: Path) -> list[Path]:
    """Draw every plot that the result has the data for; returns the files.

    Raises
    ------
    PlottingUnavailableError
        matplotlib is not installed.
    """
    require_plotting()
    plots = {
        "emf_against_soc.png": emf_against_soc(series),
        "emf_maps.png": emf_maps(measured, series),
        "emf_differences.png": emf_differences(measured, series),
        "emf_of_masks.png": emf_of_masks(measured),
        "profiles.png": compton_profiles(measured),
    }
    return [save(figure, out / name) for name, figure in plots.items() if figure is not None]


def emf_against_soc(series: Sequence[Tracked]) -> "Figure | None":
    """EMF of each component against state of charge, one panel each; states are numbered."""
    shown = [each for each in series if each.name in COMPONENTS] or list(series)
    shown = [each for each in shown if np.isfinite(each.soc).any()]
    if not shown:
        return None
    figure, axes = panels(1, len(shown), 3.6, 3.4)
    for axis, each in zip(axes[0], shown, strict=True):
        _soc_panel(axis, each)
    axes[0, 0].set_ylabel("EMF = L/H")
    figure.supxlabel("state of charge (%)", fontsize="medium")
    return figure


def _soc_panel(axis: "Axes", each: Tracked) -> None:
    """The charge in full marks, the discharge in hollow ones, from state to state."""
    soc_percent = 100 * each.soc
    charging = np.concatenate([[True], np.diff(each.soc) >= 0])
    axis.plot(soc_percent, each.emf, color=GREY, linewidth=0.8, zorder=1)
    for mask, colour, fill, label in (
        (charging, BLUE, BLUE, "charge"),
        (~charging, ORANGE, "white", "discharge"),
    ):
        if mask.any():
            axis.errorbar(
                soc_percent[mask], each.emf[mask], each.emf_sigma[mask], fmt="o", color=colour,
                markerfacecolor=fill, capsize=2, markersize=5, label=label,
            )  # fmt: skip
    for state, x, y in zip(each.state, soc_percent, each.emf, strict=True):
        if np.isfinite(x) and np.isfinite(y):
            axis.annotate(str(state), (x, y), (5, 5), textcoords="offset points", fontsize=7)
    axis.set_title(TITLES.get(each.name, each.name), fontsize="medium")
    axis.margins(0.12)
    axis.legend(fontsize=7, title="number: state", title_fontsize=7)


def emf_of_masks(measured: Measured) -> "Figure | None":
    """EMF of the anode in each mask of the CT against the state; None without a mask."""
    exposed = {
        state: each.masks
        for (state, region), each in sorted(measured.exposures.items())
        if region == ANODE_REGION and each.masks
    }
    names = list(dict.fromkeys(name for masks in exposed.values() for name in masks))
    if not names:
        return None
    figure, axes = panels(1, 1, 4.6, 3.4)
    axis = axes[0, 0]
    for place, name in enumerate(names):
        states = [state for state, masks in exposed.items() if name in masks]
        emf, sigma = np.array([exposed[state][name] for state in states]).T
        at = np.array(states) + DODGE * (place - (len(names) - 1) / 2)
        axis.errorbar(at, emf, sigma, fmt="o-", capsize=2, markersize=4, linewidth=0.8, label=name)
    axis.set_xticks(list(exposed))
    axis.set_xlabel("state")
    axis.set_ylabel("EMF = L/H")
    axis.legend(fontsize=7, title="mask of the CT", title_fontsize=7)
    return figure


def compton_profiles(measured: Measured) -> "Figure | None":
    """J(pz) of the components, and its change from the first state, with the windows of EMF."""
    found: dict[str, dict[int, Profile]] = {}
    for name, state, profile in profiles(measured):
        if name in COMPONENTS:
            found.setdefault(name, {})[state] = profile
    names = [name for name in COMPONENTS if name in found]
    if not names:
        return None
    figure, axes = panels(2, len(names), 3.6, 2.8)
    colour = _state_colours(sorted({state for of_name in found.values() for state in of_name}))
    for (shape, change), name in zip(axes.T, names, strict=True):
        first, *later = sorted(found[name])
        for state, profile in found[name].items():
            _draw(shape, profile, colour(state), str(state))
        for state in later:
            difference = found[name][state] + found[name][first].scaled(-1.0)
            _draw(change, difference, colour(state), str(state))
        for axis in (shape, change):
            _shade_windows(axis, measured)
        shape.set_title(name, fontsize="medium")
        shape.set_xlim(-PROFILE_REACH_AU, PROFILE_REACH_AU)
    axes[0, -1].legend(title="state", fontsize=7, title_fontsize=7)
    axes[0, 0].set_ylabel(f"J (1/a.u.; area 1\nin |pz| < {measured.config.compton.outer_au:g})")
    axes[1, 0].set_ylabel("J − J of the first state\n(1/a.u.)")
    figure.supxlabel("pz (a.u.); pz > 0: energy above the Compton peak", fontsize="medium")
    return figure


def _draw(axis: "Axes", profile: Profile, colour: Any, label: str) -> None:
    """A line with a band of one sigma."""
    low, high = profile.j - profile.j_sigma, profile.j + profile.j_sigma
    axis.fill_between(profile.pz_au, low, high, color=colour, alpha=0.25, linewidth=0)
    axis.plot(profile.pz_au, profile.j, color=colour, linewidth=0.9, label=label)


def _shade_windows(axis: "Axes", measured: Measured) -> None:
    inner, outer = measured.config.compton.inner_au, measured.config.compton.outer_au
    axis.axvspan(-outer, outer, color=ORANGE, alpha=0.12, linewidth=0)
    axis.axvspan(-inner, inner, color=BLUE, alpha=0.18, linewidth=0)
    for where, text in ((0.0, "L"), (-(inner + outer) / 2, "H"), ((inner + outer) / 2, "H")):
        axis.text(where, 0.02, text, transform=axis.get_xaxis_transform(), ha="center", fontsize=8)


def _state_colours(states: Sequence[int]) -> Callable[[int], Any]:
    import matplotlib

    steps = matplotlib.colormaps[SEQUENTIAL].resampled(max(len(states), 2))
    return lambda state: steps(states.index(state))
