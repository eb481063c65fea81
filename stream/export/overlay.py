"""The CT's outline on the intensity map that it was registered to, for a human to judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hexlive.reconstruct.registration.register import Registration
from hexlive.reconstruct.registration.similarity import Grid
from hexlive.stream.export.figures import BLUE, ORANGE, SEQUENTIAL, panels, require_plotting, save
from hexlive.stream.registering import Exposure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_INCHES: Final = 4.2
EXAGGERATION: Final = 10.0  # of the distances between the outlines


def draw_overlay(exposure: Exposure, found: Registration, grid: Grid, path: Path) -> Path:
    """Draw the map with the outline, the same by the mask alone, and their distance.

    Raises
    ------
    PlottingUnavailableError
        matplotlib is not installed.
    """
    require_plotting()
    return save(_overlay(exposure, found, grid), path)


def _overlay(exposure: Exposure, found: Registration, grid: Grid) -> "Figure":
    figure, axes = panels(1, 2, PANEL_INCHES, PANEL_INCHES)
    counts = np.where(exposure.valid, exposure.counts, np.nan)
    down, across = grid.position_mm
    half = grid.pixel_mm / 2
    extent = (across[0, 0] - half, across[0, -1] + half, down[-1, 0] + half, down[0, 0] - half)
    pictures = ((counts, "Compton events"), (found.model, "fraction of anode (CT)"))
    for axis, (picture, title) in zip(axes[0], pictures, strict=True):
        image = axis.imshow(picture, extent=extent, cmap=SEQUENTIAL)
        figure.colorbar(image, ax=axis, shrink=0.7)
        axis.contour(across[0], down[:, 0], found.model, [0.5], colors=ORANGE, linewidths=1.0)
        axis.set_title(title, fontsize="small")
        axis.set_xlabel("mm along columns, in the sheet beam", fontsize="small")
    _arrows(axes[0, 0], found, grid)
    place = found.place
    figure.suptitle(
        f"State {exposure.state}, {exposure.name}: residual {found.residual_mm:.3f} mm (counts "
        f"{found.noise_mm:.3f}), offset {place.offset_mm[0]:+.3f}, {place.offset_mm[1]:+.3f} mm, "
        f"scale {place.scale:.4f}, rotation {np.degrees(place.rotation_rad):.2f}°",
        fontsize="small",
    )
    return figure


def _arrows(axis: Any, found: Registration, grid: Grid) -> None:
    """From the CT's outline to that of the map in each sector, ten times as long."""
    down, across = (place[found.model >= 0.5] for place in grid.position_mm)
    middle_down, middle_across = down.mean(), across.mean()
    radius = np.sqrt(len(down) * grid.pixel_mm**2 / np.pi)
    angle = (np.arange(len(found.sector_mm)) + 0.5) * 2 * np.pi / len(found.sector_mm)
    length = EXAGGERATION * np.nan_to_num(found.sector_mm)
    axis.quiver(
        middle_across + radius * np.cos(angle), middle_down + radius * np.sin(angle),
        length * np.cos(angle), length * np.sin(angle),
        angles="xy", scale_units="xy", scale=1, color=BLUE, width=0.004,
    )  # fmt: skip
