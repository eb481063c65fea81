"""One exposure as a group of the result file (NeXus/HDF5)."""

from datetime import UTC, datetime
from typing import Any, Final

import h5py
import hdf5plugin
import numpy as np

from hexlive.reconstruct.emf import REASONS, EmfResult
from hexlive.stream.files import new_group
from hexlive.stream.pipeline import Report
from hexlive.stream.reference import WINDOW_DATASETS
from hexlive.stream.results import ComptonResult, Relative

# Spectra are packed; maps stay plain, so that any HDF5 reader opens them without a filter.
PACKED_ABOVE: Final = 1_000_000
UNITS: Final = {
    "time": "s",
    "ra_um": "um",
    "ra_sigma_um": "um",
    "rq_um": "um",
    "rq_sigma_um": "um",
    "anode_volume_um3": "um3",
    "anode_volume_sigma_um3": "um3",
    "energy_edges_kev": "keV",
    "peak_kev": "keV",
    "theta_deg": "deg",
    "time_to_target_s": "s",
    "electrons_per_mm3": "1/mm3",
    "electrons_per_mm3_sigma": "1/mm3",
    "profile/pz_au": "a.u.",
}
OF_SEGMENT: Final = ("number", "mode", "region", "state", "soc", "height_mm", "started_s")


def write_segment(group: h5py.Group, report: Report, result: ComptonResult, edges: Any) -> None:
    """Write what is known of an exposure that is over."""
    _write_attributes(group, report, result)
    counts = result.counts
    arrays: dict[str, Any] = {
        "counts": counts.spectra,
        "energy_edges_kev": edges,
        "under": counts.under,
        "over": counts.over,
        "hits": counts.hits,
        "cluster_sizes": counts.cluster_sizes,
        "theta_deg": result.theta_deg,
        "peak_kev": result.peak_kev,
        "compton_counts": result.compton_counts,
        "survival": result.survival,
        "profile/pz_au": result.profile.pz_au,
        "profile/j": result.profile.j,
        "profile/j_sigma": result.profile.j_sigma,
        "missing_frames": report.tally.missing,
    }
    if counts.single_spectra is not None:
        arrays["counts_single"] = counts.single_spectra
    write_arrays(group, arrays)
    mark_plot(group["profile"], "j", ["pz_au"])
    _write_emf(group, result)
    _write_pooling(new_group(group, "pooling"), result)
    if result.ct_masks:
        _write_ct_masks(new_group(group, "ct_masks"), result)
    emf_map = new_group(group, "emf_map", "NXdata")
    emf_map["emf"] = h5py.SoftLink(group["emf"].name)
    emf_map["emf_errors"] = h5py.SoftLink(group["emf_sigma"].name)
    mark_plot(emf_map, "emf", [])


def _write_attributes(group: h5py.Group, report: Report, result: ComptonResult) -> None:
    segment, tally, counts = result.segment, report.tally, result.counts
    assert segment is not None
    for name in OF_SEGMENT:
        if (value := getattr(segment, name)) is not None:
            group.attrs[name] = value
    group.attrs.update(
        {
            "started": _iso(segment.started_s),
            "ended": _iso(_ended_s(report, result)),
            "series": segment.series,
            "frames_expected": tally.totals.expected,
            "frames_received": tally.totals.received,
            "frames_lost": tally.totals.lost,
            "frames_unlisted": tally.unlisted,
            "live_time_s": result.live_time_s,
            "occupancy": result.occupancy,
            "booked_hits": counts.booked_hits,
            "under_hits": counts.under_hits,
            "over_hits": counts.over_hits,
            "intensity": "relative" if result.electron_density is None else "absolute",
            "doubts": "\n".join(result.doubts),
            "default": "emf_map",
        }
    )
    group.attrs.update({f"dropped_{why}": n for why, n in counts.dropped_hits.items()})


def _write_emf(group: h5py.Group, result: ComptonResult) -> None:
    """EMF of each pixel with all that it is made of, checked by, and relative to."""
    windows, unbinned, check = result.emf, result.unbinned, result.check
    arrays = {name: getattr(windows, field) for field, name in WINDOW_DATASETS.items()}
    arrays |= {
        "emf": windows.emf,
        "emf_sigma": windows.sigma,
        "emf_undefined": result.undefined,
        "emf_unbinned": unbinned.emf,
        "emf_unbinned_difference": (unbinned.emf - windows.emf) / windows.sigma,
    }
    if result.electron_density is not None:
        density, sigma = result.electron_density
        arrays |= {"electrons_per_mm3": density, "electrons_per_mm3_sigma": sigma}
    write_arrays(group, arrays)
    group["emf_undefined"].attrs["meaning"] = [f"{i}: {why}" for i, why in enumerate(REASONS)]
    group["emf_unbinned_difference"].attrs["units"] = "sigma"
    _write_mean(group, result.mean)
    group.attrs["emf_mean_unbinned"] = float(check.unbinned.emf)
    group.attrs["emf_unbinned_explained"] = check.explained
    group.attrs["emf_unbinned_unexplained"] = check.unexplained
    group.attrs["emf_unbinned_difference_sigma"] = check.difference_sigma
    if result.relative is not None:
        _write_relative(group, result.relative)


def _write_mean(group: h5py.Group, mean: EmfResult) -> None:
    """EMF of all valid pixels together."""
    group.attrs["emf_mean"] = float(mean.emf)
    group.attrs["emf_mean_sigma"] = float(mean.sigma)


def _write_relative(group: h5py.Group, relative: Relative) -> None:
    write_arrays(group, {"emf_relative": relative.emf, "emf_relative_sigma": relative.sigma})
    group.attrs["emf_relative_mean"] = relative.mean
    group.attrs["emf_relative_mean_sigma"] = relative.mean_sigma
    group["emf_relative"].attrs["reference"] = relative.source


def _write_pooling(group: h5py.Group, result: ComptonResult) -> None:
    """Superpixels, adaptive ones, the last seconds, and the time that is still needed."""
    pooling, recent = result.config.pooling, result.recent
    group.attrs["superpixel_px"] = pooling.superpixel_px
    group.attrs["target_relative_sigma"] = pooling.target_relative_sigma
    group.attrs["recent_s"] = recent.live_time_s
    group.attrs["mean_time_to_target_s"] = float(result.time_to_target_s(result.mean))
    write_arrays(
        group,
        {
            "superpixel_emf": result.superpixels.emf,
            "superpixel_emf_sigma": result.superpixels.sigma,
            "adaptive_label": result.adaptive.labels,
            "adaptive_emf": result.adaptive.emf,
            "adaptive_emf_sigma": result.adaptive.sigma,
            "recent_emf": recent.windows.emf,
            "recent_emf_sigma": recent.windows.sigma,
            "time_to_target_s": result.time_to_target_s(),
        },
    )


def _write_ct_masks(group: h5py.Group, result: ComptonResult) -> None:
    """EMF pooled over each mask of the CT."""
    group.attrs["source"] = result.ct_volume
    for name, pooled in result.ct_masks.items():
        one = new_group(group, name)
        one["emf"], one["emf_sigma"] = pooled.emf, pooled.sigma
        for field, dataset in WINDOW_DATASETS.items():
            one[dataset] = getattr(pooled, field)


def write_arrays(group: h5py.Group, arrays: dict[str, Any]) -> None:
    """Write datasets, large ones packed, with their units."""
    for name, array in arrays.items():
        packing = hdf5plugin.Bitshuffle(cname="lz4") if np.size(array) > PACKED_ABOVE else {}
        dataset = group.create_dataset(name, data=array, **packing)
        if name in UNITS:
            dataset.attrs["units"] = UNITS[name]


def mark_plot(group: h5py.Group, signal: str, axes: list[str]) -> None:
    """Make a group what NeXus viewers plot."""
    group.attrs.update({"NX_class": "NXdata", "signal": signal})
    if axes:
        group.attrs["axes"] = axes


def _ended_s(report: Report, result: ComptonResult) -> float | None:
    """When the last expected frame was over, by the clock of the data; None: not known."""
    assert result.segment is not None
    if result.segment.started_s is None:
        return None
    n_frames, frame_s = result.counts.n_frames, 1 / result.config.detector.frame_rate_hz
    if n_frames:  # live time is by the rate of the stream, which may be another one
        frame_s = result.live_time_s / n_frames
    return result.segment.started_s + report.tally.totals.expected * frame_s


def _iso(time_s: float | None) -> str:
    return "" if time_s is None else datetime.fromtimestamp(time_s, UTC).isoformat()
