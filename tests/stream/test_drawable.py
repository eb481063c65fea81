"""A snapshot whose arrays do not fit each other never reaches a panel."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hexlive.stream.drawable import drawable
from hexlive.stream.model import Snapshot
from hexlive.stream.views import BandsView, CtView, Health, MapView, PartView, RelativeView
from hexlive.stream.wire import WireError, decode, encode

SHAPE, N_BINS, N_POINTS = (6, 5), 8, 7


def single(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def pair(*shape: int) -> MapView:
    return MapView(value=single(*shape), sigma=single(*shape))


def part(**changes: Any) -> PartView:
    whole = PartView(
        name="anode", spectrum=single(2, N_BINS), profile=single(2, N_POINTS), emf=1.0,
        emf_sigma=None,
    )  # fmt: skip
    return replace(whole, **changes)


def scan(**arrays: np.ndarray) -> CtView:
    return CtView(
        scan=1, state=1, status="done", note="", n_images=1, n_expected=1, pixel_um=3.0, **arrays
    )


@pytest.fixture
def snapshot() -> Snapshot:
    health = Health(
        rate_hz=0.0, backlog_ms=None, frames_expected=0, frames_received=0, frames_missing=0,
        rejected={}, live_time_s=0.0, occupancy=0.0, cluster_fractions=(1.0, 0.0, 0.0),
        recording="off",
    )  # fmt: skip
    points = np.zeros(N_POINTS)
    return Snapshot(
        series="s", sequence=0, created_s=0.0, status="running", note="", health=health,
        incident_kev=115.0, inner_au=1.0, outer_au=5.0, trend=[], cycler=[],
        energy_edges_kev=np.arange(N_BINS + 1.0), spectrum=np.zeros(N_BINS, np.uint64),
        emf=single(*SHAPE), emf_sigma=single(*SHAPE), compton_counts=single(*SHAPE),
        hits=np.zeros(SHAPE, np.uint64), theta_deg=single(*SHAPE), pz_au=points,
        profile_j=points, profile_sigma=points, relative=relative(*SHAPE), recent=pair(*SHAPE),
        superpixels=pair(2, 2), adaptive=pair(*SHAPE), peak_residual_kev=single(*SHAPE),
        undefined=np.zeros(SHAPE, np.uint8), bands=bands(*SHAPE), parts=[part()],
        ct=scan(xy=single(9, 8), surface_um=single(9, 8)),
    )  # fmt: skip


def relative(*shape: int) -> RelativeView:
    return RelativeView(map=pair(*shape), mean=1.0, mean_sigma=None, source="state 1")


def bands(*shape: int, n: int = 3) -> BandsView:
    return BandsView(edges_kev=np.arange(4.0), counts=np.zeros((*shape, n), np.uint16))


def test_a_whole_snapshot_passes_the_wire(snapshot: Snapshot) -> None:
    assert drawable(snapshot)
    back = decode([bytes(part) for part in encode(snapshot)])
    assert isinstance(back, Snapshot)
    np.testing.assert_array_equal(back.relative.map.value, snapshot.relative.map.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"emf": single(5, 5)},
        {"emf": single(30)},
        {"emf": np.ones(SHAPE, np.uint64)},
        {"hits": single(*SHAPE)},
        {"theta_deg": single(1, 1)},
        {"peak_residual_kev": single(6, 4)},
        {"undefined": np.zeros((6, 4), np.uint8)},
        {"adaptive": pair(3, 3)},
        {"recent": MapView(value=single(*SHAPE), sigma=single(6))},
        {"relative": relative(2, 2)},
        {"superpixels": MapView(value=single(2, 2), sigma=single(2, 3))},
        {"superpixels": pair(4)},
        {"bands": bands(5, 5)},
        {"bands": bands(*SHAPE, n=4)},
        {"bands": BandsView(edges_kev=np.arange(4.0), counts=single(*SHAPE, 3))},
        {"parts": [part(spectrum=single(2, N_BINS + 1))]},
        {"parts": [part(profile=single(N_POINTS))]},
        {"profile_j": np.zeros(3)},
        {"spectrum": np.zeros(N_BINS)},
        {"energy_edges_kev": np.arange(N_BINS + 1.0)[::-1]},
        {"energy_edges_kev": np.full(N_BINS + 1, np.nan)},
        {"ct": scan(xy=single(3))},
        {"ct": scan(surface_um=single(3, 3, 3))},
        {"inner_au": 6.0},
    ],
)
def test_arrays_that_do_not_fit_are_refused(snapshot: Snapshot, changes: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="shape"):
        decode([bytes(part) for part in encode(replace(snapshot, **changes))])
