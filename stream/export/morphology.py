"""Pictures of how the anode changed: stages in colours, growth and loss; Fig. 4 of the paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.volumes.overview import Overview
from hexlive.stream.export.figures import BLUE, DIVERGING, GREY, ORANGE, require_plotting, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Huang et al. (2024) for I to V; then two more that can be told from them.
STAGE_COLOURS: Final = ("gray", "gold", "darkblue", "green", "red", "purple", "deepskyblue")
PANEL_INCHES: Final = 3.2
PERCENTILE: Final = 99.5  # of the changes, where the colour scale ends


def draw_morphology(seen: Overview, voxel_um: float, out: Path) -> list[Path]:
    """Draw ``stages.png`` and ``changes.png``; returns the files.

    Raises
    ------
    PlottingUnavailableError
        matplotlib is not installed.
    """
    require_plotting()
    plots = {"stages.png": _stages(seen, voxel_um), "changes.png": _changes(seen, voxel_um)}
    return [save(figure, out / name) for name, figure in plots.items()]


def _stages(seen: Overview, voxel_um: float) -> "Figure":
    """Which stage each voxel appeared in: maximum projections and slices."""
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    names = [change.name for change in seen.changes]
    colours = STAGE_COLOURS[: len(names)]
    style = {
        "cmap": ListedColormap(["white", *colours]),
        "norm": BoundaryNorm(np.arange(len(names) + 2) - 0.5, len(names) + 1),
    }
    figure, axes = _grid(2, seen)
    panels = [
        (seen.from_above, "maximum projection from above"),
        (seen.xy.stage, f"slice at z = {seen.xy_slice * voxel_um:.0f} µm"),
        (seen.from_aside, "maximum projection from aside"),
        (seen.xz.stage, "slice through the middle"),
    ]
    for axis, (picture, title) in zip(axes.T.ravel(order="F"), panels, strict=True):
        _show(axis, picture, voxel_um, title, style)
    patches = [Patch(color=c, label=n) for c, n in zip(colours, names, strict=True)]
    figure.legend(
        handles=patches, title="anode since", loc="outside right center", fontsize="small"
    )
    return figure


def _changes(seen: Overview, voxel_um: float) -> "Figure":
    """Growth and loss of each stage against the first."""
    from matplotlib.colors import ListedColormap

    later = seen.changes[1:]
    signs = {"cmap": ListedColormap([BLUE, "white", ORANGE]), "vmin": -1.5, "vmax": 1.5}
    reach_um = float(np.percentile(np.abs(seen.columns_um), PERCENTILE)) or voxel_um
    thickness = {"cmap": DIVERGING, "vmin": -reach_um, "vmax": reach_um}
    figure, axes = _grid(len(later), seen)
    for column, change in enumerate(later):
        title = f"{change.name} − {seen.changes[0].name}: {_percent(change, seen.changes[0])}"
        above, aside = axes[:, column]
        image = _show(above, seen.columns_um[column], voxel_um, title, thickness)
        _show(aside, seen.xz.changes[column], voxel_um, "grown orange, gone blue", signs)
    figure.colorbar(image, ax=list(axes[0]), label="thickness gained (µm)", shrink=0.8)
    return figure


def _percent(change: Any, first: Any) -> str:
    gained, sigma = change.change_um3, change.change_sigma_um3
    return f"{gained / first.volume_um3:+.2%} ± {sigma / first.volume_um3:.2%}"


def _grid(columns: int, seen: Overview) -> "tuple[Figure, Any]":
    """A figure without a screen: views from above over views from aside."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    depth, width = seen.from_aside.shape
    height = seen.from_above.shape[0]
    share = max(depth / width, 0.15)
    size = (PANEL_INCHES * columns + 1.6, PANEL_INCHES * (height / width + share) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        2, columns, squeeze=False, gridspec_kw={"height_ratios": [height / width, share]}
    )
    return figure, axes


def _show(
    axis: Any, picture: NDArray[Any], voxel_um: float, title: str, style: dict[str, Any]
) -> Any:
    rows, columns = picture.shape
    extent = (0, columns * voxel_um, rows * voxel_um, 0)
    axis.set_title(title, fontsize="small")
    axis.set_xlabel("µm", fontsize="small")
    axis.tick_params(labelsize="x-small")
    axis.spines[:].set_color(GREY)
    return axis.imshow(picture, extent=extent, interpolation="nearest", **style)


def morphology_rows(seen: Overview) -> Sequence[dict[str, Any]]:
    """One row per stage, for a table."""
    rows = []
    for change in seen.changes:
        first = seen.changes[0].volume_um3
        down, y, x = change.shift_um
        rows.append(
            {
                "stage": change.name,
                "anode_volume_um3": change.volume_um3,
                "anode_volume_um3_sigma": change.volume_sigma_um3,
                "change_um3": change.change_um3,
                "change_um3_sigma": change.change_sigma_um3,
                "change_percent": 100 * change.change_um3 / first,
                "change_percent_sigma": 100 * change.change_sigma_um3 / first,
                "grown_um3": change.grown_um3,
                "removed_um3": change.removed_um3,
                "shift_z_um": down,
                "shift_y_um": y,
                "shift_x_um": x,
                "rotation_deg": change.rotation_deg,
                "residual_um": change.residual_um,
            }
        )
    return rows
