"""A snapshot such as a pipeline sends in the middle of a cycle, and a publisher to send it."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from hexlive.reconstruct.compton import peak_kev
from hexlive.stream.model import Segment, Snapshot
from hexlive.stream.views import (
    BandsView,
    CtView,
    Health,
    LineView,
    MapView,
    MarkView,
    PartView,
    RelativeView,
    ScanView,
    TargetView,
    TrendRow,
    UnevenView,
)
from hexlive.stream.wire import encode

os.environ["QT_QPA_PLATFORM"] = "offscreen"

INCIDENT_KEV = 115.0
SOC = (0.0, 0.20, 0.71, 1.0, 0.78, 0.23, 0.0)
ANODE = (0.86, 1.02, 1.48, 1.76, 1.60, 1.21, 0.95)
CATHODE = (1.071, 1.060, 1.030, 1.008, 1.019, 1.046, 1.066)
ELECTROLYTE = (2.04, 1.72, 2.31, 1.15, 1.9, 2.4, 2.0)
N_STATES_DONE = 5


def emf_maps(rng: np.random.Generator, n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """EMF, sigma and counts of a round cell that is richer in lithium on its left side."""
    y, x = (np.mgrid[:n, :n] - (n - 1) / 2) / (n / 2)
    radius = np.hypot(x, y)
    counts = np.where(radius < 0.75, 420.0, np.where(radius < 0.95, 160.0, 12.0))
    counts = rng.poisson(counts * (1 - 0.3 * radius**2)).astype(float)
    truth = np.where(radius < 0.75, 1.25 - 0.18 * x - 0.12 * radius**2, 0.82)
    sigma = truth * (1 + truth) / np.sqrt(truth * np.maximum(counts, 1))
    sigma = np.where(counts > 5, sigma, np.nan)
    emf = np.where(np.isfinite(sigma), truth + 0.35 * sigma * rng.normal(size=(n, n)), np.nan)
    for row, column in rng.integers(0, n, (25, 2)):
        emf[row, column] = sigma[row, column] = np.nan
        counts[row, column] = 0
    return emf, sigma, counts


def sum_spectrum(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bin edges and counts: Compton profile, fluorescence, elastic line, background."""
    edges = np.linspace(0.0, 160.0, 801)
    kev = (edges[1:] + edges[:-1]) / 2
    peak = float(peak_kev(np.pi / 2, INCIDENT_KEV))
    lines = [(peak, 1.3, 2.4e4), (peak, 4.2, 1.1e4), (115.0, 0.5, 6e3)]
    lines += [(59.32, 0.45, 5e3), (57.98, 0.45, 3e3), (74.97, 0.45, 7e3), (72.81, 0.45, 4e3)]
    lines += [(67.24, 0.5, 1.2e3), (84.94, 0.6, 2e3)]
    mean = sum(height * np.exp(-0.5 * ((kev - e) / width) ** 2) for e, width, height in lines)
    mean = mean + 260 * np.exp(-kev / 90) + 4e4 * np.exp(-kev / 2.0)
    return edges, rng.poisson(np.where(kev > 3, mean, 0)).astype(np.uint64)


def profile(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pz, J and its sigma: a parabola of free electrons on a broad core."""
    pz = np.linspace(-10, 10, 181)
    j = 1.9 * np.clip(1 - (pz / 1.1) ** 2, 0, None) + 2.8 / (1 + (pz / 2.2) ** 2) ** 1.5
    sigma = 0.04 * np.sqrt(j)
    return pz, j + sigma * rng.normal(size=pz.size), sigma


def trend() -> list[TrendRow]:
    """Rows of five states; the electrolyte is a difference of exposures and very noisy."""
    curves = {
        "anode": (ANODE, 0.018),
        "electrolyte": (ELECTROLYTE, 0.3),
        "cathode": (CATHODE, 0.008),
    }
    return [
        TrendRow(
            state=state + 1,
            soc=SOC[state],
            component=component,
            emf=values[state],
            emf_sigma=sigma,
            time_s=1.7e9 + 3600.0 * (0.3 + 2.2 * state),
        )
        for component, (values, sigma) in curves.items()
        for state in range(N_STATES_DONE)
    ]


def cycler() -> list[tuple[float, float, float, float]]:
    """Charge, rest and half of the discharge of a coin cell."""
    rows = []
    for minute in range(0, 600, 2):
        hours = minute / 60
        ampere = 0.5e-3 if hours < 6.5 else 0.0 if hours < 7.2 else -0.5e-3
        charge = min(hours, 6.5) - max(hours - 7.2, 0.0)
        volt = (
            3.55
            + 0.09 * charge
            + 0.25 * (charge / 6.5) ** 6
            + 90.0 * ampere
            - 0.25 / (1 + 4 * charge)
        )
        rows.append((1.7e9 + 60.0 * minute, volt, ampere, 0.5e-3 * charge))
    return rows


def grown(radius: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gray disk of the first stage with patches of three later ones at its edge."""
    later = rng.integers(2, 5, radius.shape)
    stages = np.where(radius < 0.7, 1, np.where(radius < 0.8, later, 0))
    return stages.astype(np.uint8)


def ct_view(rng: np.random.Generator, **changes: Any) -> CtView:
    """A steel casing, a spring, an anode with a rough surface and voids."""
    y, x = (np.mgrid[:420, :420] - 209.5) / 210
    radius = np.hypot(x, y)
    xy = np.where(radius < 0.98, 0.015, 0.002) + np.where(abs(radius - 0.93) < 0.04, 0.09, 0)
    xy = xy + np.where(abs(radius - 0.5) < 0.03, 0.05, 0) + np.where(radius < 0.82, 0.012, 0)
    for _ in range(60):
        cy, cx = rng.uniform(-0.6, 0.6, 2)
        xy = np.where(np.hypot(x - cx, y - cy) < rng.uniform(0.01, 0.03), 0.004, xy)
    z, x2 = np.mgrid[:150, :420]
    surface = 70 + np.cumsum(rng.normal(size=420)) * 0.7
    xz = np.where(z > surface[x2], 0.03, 0.008) + np.where(z > 105, 0.035, 0)
    xz = np.where((z < 12) | (z > 138), 0.1, xz)
    fields: dict[str, Any] = {
        "scan": 4,
        "state": 5,
        "status": "done",
        "note": "",
        "n_images": 3600,
        "n_expected": 3600,
        "pixel_um": 38.9,
        "centre_px": 209.25,
        "engine": "fourier",
        "seconds": 14.2,
        "ra_um": 3.42,
        "ra_sigma_um": 0.114,
        "rq_um": 4.31,
        "rq_sigma_um": 0.15,
        "xy": (xy + 0.004 * rng.normal(size=xy.shape)).astype(np.float32),
        "xz": (xz + 0.004 * rng.normal(size=xz.shape)).astype(np.float32),
        "yz": xz.astype(np.float32),
        "surface_um": np.where(radius < 0.8, 5 * np.sin(9 * x) * y, np.nan).astype(np.float32),
        "anode_volume_um3": 4.1e10,
        "anode_volume_sigma_um3": 3.2e8,
        "void_volume_um3": 2.2e8,
        "n_voids": 60,
        "stage_names": ["I", "II", "III", "IV"],
        "stages_voxel_um": 38.9,
        "stages_xy": grown(radius[::4, ::4], rng),
        "stages_xz": np.repeat(np.arange(5, dtype=np.uint8), 8)[:, None].repeat(105, axis=1),
    }
    return CtView(**{**fields, **changes})


def single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)


def parts(n_bins: int, n_points: int) -> list[PartView]:
    """Three regions and three components."""
    names = ("region 1", "region 2", "region 3", "anode", "electrolyte", "cathode")
    return [
        PartView(
            name=name,
            spectrum=single(np.stack([np.full(n_bins, 2.0 + n), np.full(n_bins, 0.1)])),
            profile=single(np.stack([np.hanning(n_points) + n, np.full(n_points, 0.02)])),
            emf=1.0 + n / 10,
            emf_sigma=0.01,
            time_to_target_s=60.0 * n,
        )
        for n, name in enumerate(names)
    ]


def views(emf: np.ndarray, sigma: np.ndarray, spectrum: np.ndarray, n_points: int) -> dict:
    """The parts of a snapshot beyond the first maps and curves."""
    rng, relative = np.random.default_rng(8), single(emf / np.nanmean(emf))
    pair = MapView(value=single(emf), sigma=single(sigma))
    blocks = np.nanmean(emf.reshape(20, 4, 20, 4), axis=(1, 3))
    share = spectrum.reshape(160, 5).sum(axis=1) / emf.size
    bright = np.where(np.isfinite(emf), 1.3, 0.4)[..., None]
    hours = [1.7e9 + 3600.0 * n for n in range(10)]
    return {
        "relative": RelativeView(
            map=MapView(value=relative, sigma=0.05 * relative),
            mean=0.982,
            mean_sigma=0.004,
            source="state 1, same region",
        ),
        "superpixels": MapView(value=single(blocks), sigma=single(0.02 * blocks)),
        "adaptive": pair,
        "recent": pair,
        "recent_s": 60.0,
        "peak_residual_kev": single(0.05 * rng.normal(size=emf.shape)),
        "undefined": np.where(np.isfinite(emf), 0, 4).astype(np.uint8),
        "bands": BandsView(
            edges_kev=np.linspace(0.0, 160.0, 161),
            counts=rng.poisson(share * bright).astype(np.uint16),
        ),
        "parts": parts(spectrum.size, n_points),
        "lines": [
            LineView(name=name, points=[(t, kev + 1e-4 * n, 0.01) for n, t in enumerate(hours)])
            for name, kev in (("W Ka", 59.32), ("Pb Ka", 74.97))
        ],
        "target": TargetView(
            relative_sigma=0.02, side_px=4, pixel_s=4000.0, superpixel_s=191.0, mean_s=0.0
        ),
        "marks": [
            MarkView(label="charge ends", time_s=1.7e9 + 3600 * 6.5, frame=9, segment=9, state=3)
        ],
        "uneven": UnevenView(
            diameter_mm=16.0,
            std=0.031,
            std_sigma=0.004,
            centre_edge=1.023,
            centre_edge_sigma=0.003,
            left_right=1.152,
            left_right_sigma=0.004,
        ),
        "scans": [
            ScanView(
                scan=4,
                state=5,
                ra_um=3.42,
                ra_sigma_um=0.114,
                rq_um=4.31,
                anode_volume_um3=4.1e10,
                anode_volume_sigma_um3=3.2e8,
            )
        ],
        "gain_percent": [(t, 0.004 * n, 0.01) for n, t in enumerate(hours)],
    }


def example_snapshot(**changes: Any) -> Snapshot:
    """The snapshot of the middle of a cycle, with changes."""
    return msgspec.structs.replace(middle_of_a_cycle(), **changes)


@cache
def middle_of_a_cycle() -> Snapshot:
    rng = np.random.default_rng(7)
    emf, sigma, counts = emf_maps(rng)
    edges, spectrum = sum_spectrum(rng)
    pz, j, j_sigma = profile(rng)
    return Snapshot(
        series="5a0c1c1e-0000-4000-8000-000000000001",
        sequence=1,
        created_s=1.7e9,
        status="running",
        note="",
        health=Health(
            rate_hz=9000.0,
            backlog_ms=41.0,
            frames_expected=2_810_112,
            frames_received=2_810_112,
            frames_missing=0,
            rejected={},
            live_time_s=312.2,
            occupancy=0.021,
            cluster_fractions=(0.62, 0.31, 0.07),
            recording="recording",
            dropped={"too_large": 51_000, "below_threshold": 12_000},
            disk_free_bytes=412_000_000_000,
            computing="CPU, 2 threads (numba)",
        ),
        segment=Segment(
            series="5a0c1c1e-0000-4000-8000-000000000001",
            number=14,
            first_frame=0,
            region=3,
            state=5,
            soc=0.78,
        ),
        incident_kev=INCIDENT_KEV,
        inner_au=1.0,
        outer_au=5.0,
        trend=trend(),
        cycler=cycler(),
        ct=ct_view(rng),
        energy_edges_kev=edges,
        spectrum=spectrum,
        emf=single(emf),
        emf_sigma=single(sigma),
        compton_counts=single(counts),
        hits=counts.astype(np.uint64),
        theta_deg=np.full(emf.shape, 90.0, np.float32),
        pz_au=pz,
        profile_j=j,
        profile_sigma=j_sigma,
        emf_mean=1.2187,
        emf_mean_sigma=0.0041,
        **views(emf, sigma, spectrum, pz.size),
    )


class Mailbox:
    """A client whose mailbox and clock the test holds."""

    address = "tcp://127.0.0.1:1"

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot
        self.freshness = "waiting" if snapshot is None else "fresh"
        self.age_s = None if snapshot is None else 1.0
        self.advice = None
        self.invalid: dict[str, int] = {}
        self.refused = 0

    def latest(self) -> Snapshot | None:
        snapshot, self.snapshot = self.snapshot, None
        return snapshot


class Publisher:
    """A PUB socket on loopback, as the pipeline has one."""

    def __init__(self, address: str = "tcp://127.0.0.1:*") -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.linger = 0
        self._socket.sndhwm = 2
        self._socket.bind(address)
        self.address = self._socket.last_endpoint.decode()

    def send(self, snapshot: Snapshot) -> None:
        self._socket.send_multipart(encode(snapshot))

    def send_bytes(self, *parts: bytes) -> None:
        self._socket.send_multipart(parts)

    def close(self) -> None:
        self._context.destroy()


@pytest.fixture
def make_publisher() -> Iterator[Callable[..., Publisher]]:
    """Makes publishers and closes them after the test."""
    made: list[Publisher] = []

    def make(address: str = "tcp://127.0.0.1:*") -> Publisher:
        made.append(Publisher(address))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()


@pytest.fixture
def publisher(make_publisher: Callable[..., Publisher]) -> Publisher:
    return make_publisher()


@pytest.fixture
def make_mailbox() -> type[Mailbox]:
    return Mailbox


@pytest.fixture
def make_snapshot() -> Callable[..., Snapshot]:
    return example_snapshot


@pytest.fixture
def snapshot() -> Snapshot:
    return example_snapshot()
