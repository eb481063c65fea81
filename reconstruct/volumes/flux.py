"""How much the anode, or its voids, hinder what flows through: tortuosity factor, by taufactor.

The steady flux between two faces of a box is simulated in one of its materials; all others block
it. With f the share of that material, D_eff = f D / tau; straight channels have tau = 1.
"""

from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from math import inf, nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.optional import library
from hexlive.reconstruct.volumes.segmentation import ANODE, OTHER, VOID
from hexlive.reconstruct.volumes.surface_settings import MIN_BOX_PX, FluxSettings, SurfaceError

MATERIALS: Final = {"anode": ANODE, "void": VOID}
AXES: Final = {"z": 0, "y": 1, "x": 2}
ROUGH_PART: Final = 0.01  # of the columns: the highest and lowest do not set the ends of the box
TOLERANCE: Final = 1e-3  # by which the flux differs between layers when it is steady
MAX_ITERATIONS: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Flux:
    """What a simulation found.

    Attributes
    ----------
    tortuosity_factor
        Infinite where no path leads through.
    effective_diffusivity
        Over that of the material itself.
    volume_fraction
        Share of the material in the box.
    first, end
        Corners of the box in the material's volume, voxels (z, y, x).
    notes
        What the user should know of these numbers, a sentence each.
    """

    tortuosity_factor: float
    effective_diffusivity: float
    volume_fraction: float
    first: tuple[int, int, int]
    end: tuple[int, int, int]
    notes: tuple[str, ...] = ()


def require_taufactor() -> Any:
    """The library that simulates.

    Raises
    ------
    EngineUnavailableError
        It is not there.
    """
    return library("taufactor", "The simulation of flux")


def anode_flux(
    material: NDArray[np.uint8], thickness_um: NDArray[np.float64], settings: FluxSettings
) -> Flux:
    """Simulate the flux in a box within the anode.

    Parameters
    ----------
    material
        ``(z, y, x) uint8``, as `hexlive.reconstruct.volumes.surface.Surface` has it.
    thickness_um
        ``(y, x)``, NaN beside the anode.

    Raises
    ------
    EngineUnavailableError
        taufactor is not there.
    SurfaceError
        The anode has no room for a box.
    """
    taufactor = require_taufactor()
    first, end = anode_box(material, np.isfinite(thickness_um), settings.side_px)
    box = np.asarray(material[tuple(map(slice, first, end))])
    conducts = np.moveaxis(box == MATERIALS[settings.through], AXES[settings.axis], 0)
    share = float(conducts.mean())
    if not leads_through(conducts):
        return Flux(
            tortuosity_factor=inf, effective_diffusivity=0.0, volume_fraction=share,
            first=first, end=end, notes=(f"No path leads along {settings.axis} through the box.",),
        )  # fmt: skip
    # It divides by fluxes that are still 0, and prints that it has not converged.
    with np.errstate(divide="ignore", invalid="ignore"), redirect_stdout(StringIO()):
        solver = taufactor.Solver(np.ascontiguousarray(conducts, np.uint8), device=_device())
        solver.solve(iter_limit=MAX_ITERATIONS, verbose=False, conv_crit=TOLERANCE)
    relative = float(np.ravel(solver.D_eff)[0]) if solver.D_eff is not None else nan
    unsteady = "The flux was not steady yet when its simulation was ended."
    return Flux(
        tortuosity_factor=share / relative, effective_diffusivity=relative, volume_fraction=share,
        first=first, end=end, notes=() if solver.converged else (unsteady,),
    )  # fmt: skip


def anode_box(
    material: NDArray[np.uint8], inside: NDArray[np.bool_], side_px: int
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Two corners of a box in the anode: between its rough faces, and the widest square of it.

    Parameters
    ----------
    inside
        ``(y, x)``: where the anode is.

    Raises
    ------
    SurfaceError
        There is none of a few voxels each way.
    """
    reach = ndimage.distance_transform_cdt(np.pad(inside, 1), "chessboard")[1:-1, 1:-1]
    y, x = np.unravel_index(reach.argmax(), reach.shape)
    half = min(int(reach[y, x]) - 1, (side_px - 1) // 2)
    top, bottom = 0, 0
    if half >= 0:
        square = material[:, y - half : y + half + 1, x - half : x + half + 1] != OTHER
        tops, from_below = square.argmax(0), square[::-1].argmax(0)
        top = int(np.quantile(tops, 1 - ROUGH_PART, method="higher"))
        bottom = len(material) - int(np.quantile(from_below, 1 - ROUGH_PART, method="higher"))
    if min(2 * half + 1, bottom - top) < MIN_BOX_PX:
        raise SurfaceError(
            f"The anode has no room for a box of {MIN_BOX_PX} voxels each way, so no flux was "
            "simulated."
        )
    return (top, int(y) - half, int(x) - half), (bottom, int(y) + half + 1, int(x) + half + 1)


def leads_through(conducts: NDArray[np.bool_]) -> bool:
    """Whether one connected part reaches from the first layer to the last."""
    number, _ = ndimage.label(conducts)
    return bool(np.intersect1d(number[0][number[0] > 0], number[-1]).size)


def _device() -> str:
    """Where PyTorch computes."""
    return "cuda" if library("torch", "The simulation of flux").cuda.is_available() else "cpu"
