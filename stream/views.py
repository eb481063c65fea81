"""Parts of a snapshot: small structs of float32 arrays, made for a screen and nothing else."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Pair = tuple[float, float | None, float | None]


class MapView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A map and its standard uncertainty, ``(rows, columns) float32``, NaN where undefined."""

    value: NDArray[np.float32]
    sigma: NDArray[np.float32]


class RelativeView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """EMF over that of a reference: the map, its mean, and what the reference is."""

    map: MapView
    mean: float | None
    mean_sigma: float | None
    source: str


class PartView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One region of the cell, or one component, in the present state.

    Attributes
    ----------
    name
        "region 1" to "region 3", or the name of the component.
    spectrum
        ``(2, bins) float32``: counts/s, of a component counts/(s mm3); and its uncertainty.
    profile
        ``(2, points) float32`` over ``Snapshot.pz_au``: J and its uncertainty.
    time_to_target_s
        Live time until its EMF is as certain as ``TargetView.relative_sigma``; 0: it is.
    """

    name: str
    spectrum: NDArray[np.float32]
    profile: NDArray[np.float32]
    emf: float | None
    emf_sigma: float | None
    time_to_target_s: float | None = None


class BandsView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Coarse spectra of every pixel, so that a screen can cut windows by itself.

    Attributes
    ----------
    edges_kev
        ``(bands + 1,) float64``.
    counts
        ``(rows, columns, bands) uint16``, or uint32 where counts are larger.
    """

    edges_kev: NDArray[np.float64]
    counts: NDArray[np.unsignedinteger]


class LineView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A fluorescence line: time (s), centre (keV) and its standard error, None where not seen."""

    name: str
    points: list[Pair]


class TargetView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How far the exposure is from a wanted relative uncertainty of EMF, in seconds of live time.

    Attributes
    ----------
    pixel_s, superpixel_s
        Of the median pixel and superpixel, each weighted by its counts.
    mean_s
        Of all pixels together.
    side_px
        Side of a superpixel.
    """

    relative_sigma: float
    side_px: int
    pixel_s: float | None
    superpixel_s: float | None
    mean_s: float | None


class MarkView(msgspec.Struct, frozen=True, kw_only=True):
    """A mark that a person set, and what was under way then.

    Attributes
    ----------
    time_s
        Unix time.
    frame
        The first frame after it; None: no frame had come.
    segment, state, soc
        Number of the exposure, its state and state of charge; None: not known.
    """

    label: str
    time_s: float
    frame: int | None = None
    segment: int | None = None
    state: int | None = None
    soc: float | None = None


class UnevenView(msgspec.Struct, frozen=True, kw_only=True):
    """How uneven the EMF of an exposure is; see `hexlive.reconstruct.heterogeneity`."""

    diameter_mm: float
    std: float | None
    std_sigma: float | None
    centre_edge: float | None
    centre_edge_sigma: float | None
    left_right: float | None
    left_right_sigma: float | None


class ScanView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a CT scan found, for the table of states; lengths in µm, volumes in µm3."""

    scan: int
    state: int | None
    ra_um: float | None = None
    rq_um: float | None = None
    anode_volume_um3: float | None = None
    void_volume_um3: float | None = None
    n_voids: int | None = None
