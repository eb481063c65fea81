"""A CT volume for other programs: TIFF files, and three slices as PNG with a scale bar."""

from collections.abc import Callable
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.tomography import orthoslices
from hexlive.stream.export.figures import panels, require_plotting, save
from hexlive.stream.files import FileError, require_room, whole_or_absent
from hexlive.stream.volumes import opened_volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW_PERCENT: Final = (0.5, 99.5)  # of the values, shown from black to white
BAR_PART: Final = 0.25  # of the width, at most
UM_PER_MM: Final = 1000.0
PANEL_INCHES: Final = 4.5
AXES: Final = {"xy": ("x", "y"), "xz": ("x", "z"), "yz": ("y", "z")}


def write_tiff(
    volume_path: Path, out: Path, progress: Callable[[float], None] = lambda fraction: None
) -> None:
    """Write one ``slice_00000.tif`` per slice, ``(y, x) float32``, attenuation per pixel length.

    Raises
    ------
    FileError
        The package is missing, the volume cannot be read, or the folder not be written to.
    """
    try:
        from tifffile import imwrite
    except ImportError as error:
        raise FileError(
            "TIFF files need tifffile; install it with pip install 'hexlive[ct]'."
        ) from error
    with opened_volume(volume_path) as (volume, pixel_um):
        per_cm = 1e4 / pixel_um
        for z, slice_ in enumerate(volume):
            with whole_or_absent(out / f"slice_{z:05d}.tif") as part:
                require_room(part, slice_.nbytes)
                imwrite(part, slice_, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
            progress((z + 1) / len(volume))


def draw_orthoslices(volume_path: Path, out: Path) -> list[Path]:
    """Draw ``xy.png``, ``xz.png`` and ``yz.png`` through the middle; returns the files.

    Raises
    ------
    PlottingUnavailableError
        matplotlib is not installed.
    FileError
        The volume cannot be read, or the folder not be written to.
    """
    require_plotting()
    with opened_volume(volume_path) as (volume, pixel_um):
        cuts = orthoslices(volume)
    return [_draw(getattr(cuts, name), name, pixel_um, out) for name in AXES]


def _draw(picture: NDArray[np.float32], name: str, pixel_um: float, out: Path) -> Path:
    height, width = picture.shape
    figure, axes = panels(1, 1, PANEL_INCHES, max(1.2, PANEL_INCHES * height / width))
    axis = axes[0, 0]
    low, high = np.percentile(picture[picture != 0] if picture.any() else picture, WINDOW_PERCENT)
    sides_mm = width * pixel_um / UM_PER_MM, height * pixel_um / UM_PER_MM
    image = axis.imshow(
        picture, cmap="gray", vmin=low, vmax=max(high, np.nextafter(low, np.inf)),
        extent=(0, sides_mm[0], sides_mm[1], 0), interpolation="nearest",
    )  # fmt: skip
    axis.set(xlabel=f"{AXES[name][0]} (mm)", ylabel=f"{AXES[name][1]} (mm)")
    axis.set_title(f"{name} through the middle, {pixel_um:.3g} µm/pixel", fontsize="small")
    _draw_bar(axis, *sides_mm)
    figure.colorbar(image, ax=axis, label="attenuation per pixel", shrink=0.8)
    return save(figure, out / f"{name}.png")


def _draw_bar(axis: "Axes", width_mm: float, height_mm: float) -> None:
    length_mm = round_length(BAR_PART * width_mm)
    text = f"{length_mm:g} mm" if length_mm >= 1 else f"{length_mm * UM_PER_MM:g} µm"
    y_mm = 0.93 * height_mm
    style: dict[str, Any] = {"color": "gold", "solid_capstyle": "butt"}
    axis.plot([0.05 * width_mm, 0.05 * width_mm + length_mm], [y_mm, y_mm], linewidth=3, **style)
    axis.annotate(
        text, (0.05 * width_mm, y_mm), xytext=(0, 4), textcoords="offset points", color="gold",
        bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 1.0},
    )  # fmt: skip


def round_length(length: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above ``length``."""
    power = 10.0 ** floor(log10(length))
    return float(max(step for step in (1, 2, 5) if step * power <= length) * power)
