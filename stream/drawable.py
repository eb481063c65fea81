"""Whether the arrays of a snapshot fit each other, so that a panel may draw without looking."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexlive.stream.model import Snapshot
from hexlive.stream.views import BandsView, CtView, MapView, PartView

Array = NDArray[Any]


def drawable(snapshot: Snapshot) -> bool:
    """Whether every array has the shape and kind that it must have beside the others."""
    return (
        all(
            each.shape == snapshot.emf.shape and each.ndim == 2 and each.dtype.kind == kind
            for each, kind in _maps(snapshot)
        )
        and all(part.shape == snapshot.pz_au.shape and part.ndim == 1 for part in _curves(snapshot))
        and _energies(snapshot.spectrum, snapshot.energy_edges_kev)
        and (snapshot.bands is None or _bands(snapshot.bands, snapshot.emf.shape))
        and (snapshot.superpixels is None or _pair(snapshot.superpixels))
        and all(_part(part, snapshot) for part in snapshot.parts)
        and (snapshot.ct is None or _scan(snapshot.ct))
        and snapshot.incident_kev > 0
        and 0 < snapshot.inner_au < snapshot.outer_au
    )


def _maps(snapshot: Snapshot) -> Iterator[tuple[Array, str]]:
    """Maps on the detector's pixels, and the kind of number in each."""
    yield from ((each, "f") for each in (snapshot.emf, snapshot.emf_sigma, snapshot.compton_counts))
    yield from ((snapshot.theta_deg, "f"), (snapshot.hits, "u"))
    if snapshot.peak_residual_kev is not None:
        yield snapshot.peak_residual_kev, "f"
    if snapshot.undefined is not None:
        yield snapshot.undefined, "u"
    relative = snapshot.relative
    for pair in (snapshot.adaptive, snapshot.recent, None if relative is None else relative.map):
        if pair is not None:
            yield pair.value, "f"
            yield pair.sigma, "f"


def _curves(snapshot: Snapshot) -> tuple[Array, ...]:
    return snapshot.pz_au, snapshot.profile_j, snapshot.profile_sigma


def _energies(spectrum: Array, edges_kev: Array) -> bool:
    return spectrum.ndim == 1 and spectrum.dtype.kind == "u" and _axis(edges_kev, len(spectrum))


def _axis(edges_kev: Array, n_bins: int) -> bool:
    """Whether these are the edges of so many bins."""
    return edges_kev.shape == (n_bins + 1,) and bool((np.diff(edges_kev) > 0).all())


def _bands(bands: BandsView, shape: tuple[int, ...]) -> bool:
    counts = bands.counts
    return (
        counts.ndim == 3
        and counts.shape[:2] == shape
        and counts.dtype.kind == "u"
        and _axis(bands.edges_kev, counts.shape[2])
    )


def _pair(pair: MapView) -> bool:
    return pair.value.ndim == 2 and pair.value.shape == pair.sigma.shape


def _part(part: PartView, snapshot: Snapshot) -> bool:
    return part.spectrum.shape == (2, len(snapshot.spectrum)) and (
        part.profile.shape == (2, len(snapshot.pz_au))
    )


def _scan(ct: CtView) -> bool:
    slices = (ct.xy, ct.xz, ct.yz, ct.surface_um)
    stages = (ct.stages_xy, ct.stages_xz)
    return (
        ct.pixel_um > 0
        and (ct.stages_voxel_um is None or ct.stages_voxel_um > 0)
        and all(each is None or (each.ndim == 2 and each.dtype.kind == "f") for each in slices)
        and all(each is None or (each.ndim == 2 and each.dtype.kind == "u") for each in stages)
    )
