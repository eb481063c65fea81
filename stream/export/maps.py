"""Maps of EMF, states side by side, and their differences from the first state."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.heterogeneity import DIAMETER_MM
from hexlive.reconstruct.pooling import superpixels
from hexlive.stream.export.figures import DIVERGING, SEQUENTIAL, TITLES, panels
from hexlive.stream.export.measured import Measured
from hexlive.stream.export.tracking import Tracked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_INCHES: Final = 2.2

# Maps are pooled until half of the blocks on the layer are known to this; 1 is a single pixel.
MAP_TARGET: Final = 0.015
BLOCKS: Final = (1, 2, 4, 8)
# A block whose EMF is known worse than this is left blank.
LEAST_KNOWN: Final = 0.10
# Colour scales reach from one to the other of these percentiles of the blocks on the layer.
PERCENTILES: Final = (2.0, 98.0)


def emf_maps(measured: Measured, series: Sequence[Tracked]) -> "Figure | None":
    """EMF maps of the regions, states side by side, one colour scale per region."""
    shown = [each for each in series if each.name in TITLES]
    columns = max(len(each.maps) for each in shown)
    figure, axes = panels(len(shown), columns, PANEL_INCHES, PANEL_INCHES)
    for row, each in zip(axes, shown, strict=True):
        block = _block(measured, each)
        values = [_pooled(one, block) for one in each.maps]
        style = SEQUENTIAL, *_limits(values, _on_layer(measured, each, block))
        titles = [_state(state, soc) for state, soc in zip(each.state, each.soc, strict=True)]
        _map_row(figure, row, measured, values, style, titles, f"EMF, {_label(each, block)}")
    _name_axes(figure)
    return figure


def emf_differences(measured: Measured, series: Sequence[Tracked]) -> "Figure | None":
    """EMF maps of the regions minus that of the first state."""
    shown = [each for each in series if each.name in TITLES and len(each.maps) > 1]
    if not shown:
        return None
    columns = max(len(each.maps) for each in shown) - 1
    figure, axes = panels(len(shown), columns, PANEL_INCHES, PANEL_INCHES)
    for row, each in zip(axes, shown, strict=True):
        block = _block(measured, each)
        first, *later = [_pooled(one, block) for one in each.maps]
        values = [one - first for one in later]
        reach = max(map(abs, _limits(values, _on_layer(measured, each, block))))
        titles = [f"state {state} − state {each.state[0]}" for state in each.state[1:]]
        style = DIVERGING, -reach, reach
        _map_row(figure, row, measured, values, style, titles, f"ΔEMF, {_label(each, block)}")
    _name_axes(figure)
    return figure


def _state(state: int, soc: float) -> str:
    return f"state {state}, {soc:.0%}" if np.isfinite(soc) else f"state {state}"


def _label(each: Tracked, block: int) -> str:
    return f"{TITLES[each.name]}\n{block} x {block} pixels"


def _block(measured: Measured, each: Tracked) -> int:
    """The smallest block of which half, on the layer, are known to the target in every state."""
    everywhere = np.ones(measured.shape, bool)
    for block in BLOCKS:
        on_layer = _on_layer(measured, each, block)
        sigmas = [superpixels(one, block, everywhere).relative_sigma[on_layer] for one in each.maps]
        known = np.nan_to_num(np.array(sigmas), nan=np.inf)
        if known.size and np.median(known) <= MAP_TARGET:
            return block
    return BLOCKS[-1]


def _on_layer(measured: Measured, each: Tracked, block: int) -> NDArray[np.bool_]:
    """Blocks whose middle is inside the disk of the layer."""
    middle = [
        np.minimum(np.arange(-(-count // block)) * block + block // 2, count - 1)
        for count in measured.shape
    ]
    radius_mm = np.hypot(*measured.position_mm)[np.ix_(*middle)]
    inside: NDArray[np.bool_] = radius_mm < DIAMETER_MM[each.name] / 2
    return inside


def _pooled(result: EmfResult, block: int) -> FloatArray:
    pooled = superpixels(result, block, np.ones(result.low.shape, bool))
    known = pooled.relative_sigma <= LEAST_KNOWN
    return np.where(known, pooled.emf, np.nan)


def _limits(values: Sequence[FloatArray], on_layer: NDArray[np.bool_]) -> tuple[float, float]:
    inside = np.concatenate([one[on_layer] for one in values])
    inside = inside[np.isfinite(inside)]
    if not inside.size:
        return 0.0, 1.0
    low, high = np.percentile(inside, PERCENTILES)
    return float(low), float(high)


def _map_row(
    figure: "Figure",
    axes: Any,
    measured: Measured,
    values: Sequence[FloatArray],
    style: tuple[str, float, float],
    titles: Sequence[str],
    label: str,
) -> None:
    """One row of maps with their common colour bar."""
    colours, low, high = style
    down, across = measured.position_mm
    extent = (across[0, 0], across[0, -1], down[-1, 0], down[0, 0])
    image = None
    for axis, value, title in zip(axes, values, titles, strict=False):
        image = axis.imshow(value, cmap=colours, vmin=low, vmax=high, extent=extent)
        axis.set_title(title, fontsize="small")
    for axis in axes[len(values) :]:
        axis.set_visible(False)
    if image is not None:
        bar = figure.colorbar(image, ax=list(axes), extend="both", pad=0.01, fraction=0.05)
        bar.set_label(label, fontsize="small")


def _name_axes(figure: "Figure") -> None:
    figure.supxlabel("mm along columns, in the sheet beam; as on the detector: the pinhole inverts "
                     "the cell", fontsize="small")  # fmt: skip
    figure.supylabel("mm along rows", fontsize="small")
