"""Parts of what a monitor shows: small structs, made for a screen and for whoever acts on it."""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.scalars import Count, Label, Seconds

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
    time_s: Seconds
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
    ra_sigma_um: float | None = None
    rq_um: float | None = None
    rq_sigma_um: float | None = None
    anode_volume_um3: float | None = None
    anode_volume_sigma_um3: float | None = None
    void_volume_um3: float | None = None
    n_voids: int | None = None


class TrendRow(msgspec.Struct, frozen=True, kw_only=True):
    """EMF of one component in one state. NaN where undefined travels as null."""

    state: int
    soc: float | None
    component: str
    emf: float | None
    emf_sigma: float | None
    time_s: float | None = None


class CtView(ScanView, frozen=True, kw_only=True, eq=False):
    """Where the latest CT scan stands, what it found, and its three orthoslices.

    Slices are attenuation per pixel: ``xy`` is ``(y, x)``, ``xz`` and ``yz`` are ``(z, x)`` and
    ``(z, y)``, float32. ``surface_um`` is ``(y, x)``: the anode's surface, levelled, NaN where
    there is none. ``stages_xy`` and ``stages_xz`` say since which of the scans so far,
    ``stage_names`` in their order from 1, the anode is where it is; 0: it never was. ``stage`` is
    what is under way while reconstructing ("slice", "preview", "volume", "metrics", "stages"), with
    the fraction that is done and the seconds that are left, where known. ``durations_s`` are those
    of its steps, ``delays_s`` from the last projection to each stage's result; "cuts" is what xz
    and yz took that grew with the scan.
    """

    status: Literal["collecting", "reconstructing", "done", "failed"]
    note: str
    n_images: int
    n_expected: int
    pixel_um: float
    started_s: float | None = None
    centre_px: float | None = None
    engine: str | None = None
    seconds: float | None = None
    tortuosity_factor: float | None = None
    effective_diffusivity: float | None = None
    durations_s: dict[str, float] = {}
    delays_s: dict[str, float] = {}
    stage_names: list[Label] = []
    stages_voxel_um: float | None = None
    stages_xy: NDArray[np.uint8] | None = None
    stages_xz: NDArray[np.uint8] | None = None
    stage: str = ""
    progress: float | None = None
    eta_s: float | None = None
    volume_file: str | None = None
    surface_um: NDArray[np.float32] | None = None
    xy: NDArray[np.float32] | None = None
    xz: NDArray[np.float32] | None = None
    yz: NDArray[np.float32] | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of the running pipeline, for the status line.

    Attributes
    ----------
    rate_hz
        Frames per second taken in since the last snapshot.
    backlog_ms
        Age of the newest frame when it was counted; None for recordings.
    frames_expected, frames_received, frames_missing
        Of the whole series; expected = received + missing.
    rejected
        Messages or frames refused, by reason.
    live_time_s
        Live time of the present segment, from received frames only.
    occupancy
        Mean fraction of pixels hit per frame in the present segment.
    cluster_fractions
        Fractions of clusters of one, two, and more pixels.
    recording
        What the recorder does: "off", "recording", or the sentence of its failure.
    written_mb, written_mb_per_s, unwritten_mb
        In the recording, its growth of late, and what waits to be written, MB.
    queued_mb, queued_most_mb
        What has arrived and waits to be processed, now and at most so far, MB.
    suspicions
        What the gaps and duplicates look like, a sentence each.
    dropped
        Hits of the present segment that are in no event, by reason.
    disk_free_bytes
        Room left where result and recording go, on the fuller disk; None: unknown.
    result_fault
        Why there will be no result; "": there will be one.
    computing
        What counts events: the model of a GPU, or how the CPU is used; "": not said.
    gpu_used_mb, gpu_total_mb
        Memory of that GPU that is in use, by whomever, and all of it, MB; None: no GPU counts.
    """

    rate_hz: float
    backlog_ms: float | None
    frames_expected: int
    frames_received: int
    frames_missing: int
    rejected: dict[str, int]
    live_time_s: float
    occupancy: float
    cluster_fractions: tuple[float, float, float]
    recording: str
    written_mb: float = 0.0
    written_mb_per_s: float = 0.0
    unwritten_mb: float = 0.0
    queued_mb: float = 0.0
    queued_most_mb: float = 0.0
    suspicions: tuple[str, ...] = ()
    dropped: dict[str, int] = {}
    disk_free_bytes: Count | None = None
    result_fault: str = ""
    computing: Label = ""
    gpu_used_mb: float | None = None
    gpu_total_mb: float | None = None


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a scan control, or a person, may want to act on.

    Attributes
    ----------
    number
        Counts all changes of a run from 1; the same number is the same news.
    kind
        "target": enough is known. "alarm": something is wrong.
    subject
        "emf_mean", "compton_counts", "emf_anode_state_2" ...; "loss", "occupancy", "stale", "gain",
        "recording", "series".
    segment
        The exposure that it is about; None: the run.
    change
        "rising": it holds from now on. "falling": it no longer does.
    value, target, unit
        What was measured at the change, and the limit; None where there is no number.
    time_s
        When it changed.
    """

    number: int
    kind: Literal["target", "alarm"]
    subject: str
    segment: int | None
    change: Literal["rising", "falling"]
    value: float | None
    target: float | None
    unit: str
    sentence: str
    time_s: Seconds
