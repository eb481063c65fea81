"""Figures without a screen, and the colours of all plots.

Colours are those that most colour-blind people can tell apart: Okabe and Ito's for lines, cividis
for maps, purple to orange for differences. matplotlib is imported where it is used: tables need
none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hexlive.stream.files import whole_or_absent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI: Final = 150
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREY: Final = "#999999"
SEQUENTIAL: Final = "cividis"
DIVERGING: Final = "PuOr_r"
TITLES: Final = {
    "region_1": "region 1 (cathode)",
    "region_2": "region 2 (interphase)",
    "region_3": "region 3 (anode)",
}


class PlottingUnavailableError(RuntimeError):
    """The plots lack a package."""


def require_plotting() -> None:
    """Look for matplotlib.

    Raises
    ------
    PlottingUnavailableError
        It is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PlottingUnavailableError(
            "Plots need matplotlib; install it with pip install 'hexlive[export]', or leave them "
            "out with --no-plots."
        ) from error


def panels(rows: int, columns: int, width: float, height: float) -> tuple["Figure", Any]:
    """A figure without a screen, and its axes ``(rows, columns)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns + 1.2, height * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True)


def save(figure: "Figure", path: Path) -> Path:
    """Write as PNG, whole or not at all.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """
    with whole_or_absent(path) as part:
        figure.savefig(part, dpi=DPI, format="png")
    return path
