"""Results to the parts of a snapshot: smaller, thinner, and complete in themselves."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import Component, RegionSums
from hexlive.reconstruct.compton import peak_kev
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.heterogeneity import DIAMETER_MM, heterogeneity, sheet_position_mm
from hexlive.stream.drift import DriftResult
from hexlive.stream.results import ComptonResult, Relative
from hexlive.stream.views import (
    BandsView,
    CtView,
    LineView,
    MapView,
    PartView,
    RelativeView,
    ScanView,
    TargetView,
    UnevenView,
)

BAND_KEV: Final = 1.0
MOST_BANDS: Final = 256
LARGEST_UINT16: Final = np.iinfo(np.uint16).max


def known(value: Any) -> float | None:
    """A finite number, or None: NaN does not travel in JSON."""
    number = float(value)
    return number if np.isfinite(number) else None


def map_view(windows: Any) -> MapView:
    """EMF and its uncertainty of anything that has both, thinned to float32."""
    return MapView(value=windows.emf.astype(np.float32), sigma=windows.sigma.astype(np.float32))


def relative_view(relative: Relative | None) -> RelativeView | None:
    """The relative map, where there is a reference."""
    if relative is None:
        return None
    return RelativeView(
        map=map_view(relative),
        mean=known(relative.mean),
        mean_sigma=known(relative.mean_sigma),
        source=relative.source,
    )


def peak_residual_kev(compton: ComptonResult) -> NDArray[np.float32]:
    """Measured centre of the Compton peak minus that of the geometry, ``(rows, columns)``."""
    settings = compton.config.compton
    expected_kev = peak_kev(np.radians(compton.theta_deg), settings.incident_kev)
    residual_kev: NDArray[np.float32] = (compton.peak_kev - expected_kev).astype(np.float32)
    return residual_kev


def bands(spectra: NDArray[np.uint32], edges_kev: NDArray[np.float64]) -> BandsView:
    """Sum bins to bands of about 1 keV, at most 256; a rest at the upper end is left out."""
    n_bins = spectra.shape[-1]
    width = round(BAND_KEV * n_bins / (edges_kev[-1] - edges_kev[0]))
    step = int(np.clip(width, -(-n_bins // MOST_BANDS), n_bins))
    stop = n_bins - n_bins % step
    # Added plane by plane: a third of the time of NumPy's own sums over short axes.
    counts = spectra[..., 0:stop:step].copy()
    for offset in range(1, step):
        counts += spectra[..., offset:stop:step]
    small = counts.max(initial=0) <= LARGEST_UINT16
    return BandsView(
        edges_kev=edges_kev[0 : stop + 1 : step],
        counts=counts.astype(np.uint16) if small else counts,
    )


def target(compton: ComptonResult) -> TargetView:
    """How long until EMF is as certain as wanted."""
    pooling = compton.config.pooling
    return TargetView(
        relative_sigma=pooling.target_relative_sigma,
        side_px=pooling.superpixel_px,
        pixel_s=_typical_s(compton, compton.emf),
        superpixel_s=_typical_s(compton, compton.superpixels),
        mean_s=known(compton.time_to_target_s(compton.mean)),
    )


def _typical_s(compton: ComptonResult, windows: EmfResult) -> float | None:
    """Median over the pixels weighted by L + H, so that the surroundings of the cell count less."""
    seconds = compton.time_to_target_s(windows)
    seen = np.isfinite(seconds)
    if not seen.any():
        return None
    order = np.argsort(seconds[seen])
    weight = np.cumsum((windows.low + windows.high)[seen][order])
    return float(seconds[seen][order][np.searchsorted(weight, weight[-1] / 2)])


def parts(compton: ComptonResult) -> list[PartView]:
    """Regions and components of the present state, as far as they were exposed."""
    state = compton.segment.state if compton.segment else None
    if state is None:
        return []
    regions = (_region(f"region {n}", sums) for n, sums in sorted(compton.regions.items()))
    return [*regions, *_components(compton, state)]


def _components(compton: ComptonResult, state: int) -> Iterator[PartView]:
    for name, part in compton.components.get(state, {}).items():
        yield _part(name, part, compton.component_time_s(state, name), part.spectrum_variance)


def _region(name: str, sums: RegionSums) -> PartView:
    per_s = 1 / sums.exposure_s
    return PartView(
        name=name,
        spectrum=_pair(sums.spectrum * per_s, np.sqrt(sums.spectrum) * per_s),
        profile=_pair(sums.profile.j * per_s, sums.profile.j_sigma * per_s),
        emf=known(sums.windows.emf),
        emf_sigma=known(sums.windows.sigma),
    )


def _part(name: str, part: Component, time_s: float, variance: NDArray[np.float64]) -> PartView:
    return PartView(
        name=name,
        spectrum=_pair(part.spectrum, np.sqrt(variance)),
        profile=_pair(part.profile.j, part.profile.j_sigma),
        emf=known(part.windows.emf),
        emf_sigma=known(part.windows.sigma),
        time_to_target_s=known(time_s),
    )


def _pair(value: NDArray[Any], sigma: NDArray[Any]) -> NDArray[np.float32]:
    return np.stack([value, sigma]).astype(np.float32)


def uneven(compton: ComptonResult) -> UnevenView | None:
    """How uneven the map of an exposure is, in the disk of its region."""
    region = compton.segment.region if compton.segment else None
    diameter_mm = DIAMETER_MM.get(f"region_{region}")
    if diameter_mm is None:
        return None
    detector, settings = compton.config.detector, compton.config.compton
    position_mm = sheet_position_mm(detector.shape, detector.pitch_mm, settings)
    found = heterogeneity(compton.emf, position_mm, diameter_mm)
    numbers = ("std", "centre_edge", "left_right")
    names = [f"{name}{end}" for name in numbers for end in ("", "_sigma")]
    return UnevenView(
        diameter_mm=diameter_mm, **{name: known(getattr(found, name)) for name in names}
    )


def lines(drift: DriftResult, most_points: int) -> list[LineView]:
    """Where each fluorescence line lay in the course of the run, the newest points."""
    points = drift.points[-most_points:]
    return [
        LineView(
            name=name,
            points=[
                (
                    point.time_s,
                    known(point.centres.centre_kev[i, 0]),
                    known(point.centres.sigma_kev[i, 0]),
                )
                for point in points
            ],
        )
        for i, name in enumerate(drift.settings.lines)
    ]


def scan_rows(scans: tuple[CtView, ...]) -> list[ScanView]:
    """What each scan that is done has found."""
    names = ScanView.__struct_fields__
    return [
        ScanView(**{name: getattr(scan, name) for name in names})
        for scan in scans
        if scan.status == "done"
    ]
