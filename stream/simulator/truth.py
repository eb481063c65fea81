"""What the simulated experiment should give: EMF without a detector, and as the detector sees it.

The expectation comes from photons followed one by one through the sensor, not from frames: their
energy deficit, folded with the known spectra, gives L and H for each class of photon, angle and
photon rate; sums over pixels and the algebra of components do the rest.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from hexlive.kernels.backend import EventSettings
from hexlive.reconstruct.compton import FloatArray
from hexlive.stream.files import whole_or_absent
from hexlive.stream.simulator.atoms import profile_source
from hexlive.stream.simulator.expectation import WindowYield, window_yield
from hexlive.stream.simulator.phantom import make_phantom
from hexlive.stream.simulator.photons import LINES
from hexlive.stream.simulator.scene import CLASSES, MATERIALS, STATES, Subject, free_windows
from hexlive.stream.simulator.simulate import Simulator


class EmfTruth(msgspec.Struct, frozen=True, kw_only=True):
    """EMF of a component or a region in one state, or of the disk (state 0).

    Attributes
    ----------
    name
        "anode", "electrolyte", "cathode", "region_1" and so on, or "disk".
    free
        L/H of J itself.
    isolated, isolated_sigma
        As the detector sees it when photons never meet in a frame.
    seen, seen_sigma
        As the detector sees it at the simulated rate, where photons that meet are lost or mixed;
        the sigma is that of the expectation, not of a measurement.
    """

    state: int
    soc: float | None
    name: str
    free: float | None
    isolated: float
    isolated_sigma: float
    seen: float
    seen_sigma: float


class CtTruth(msgspec.Struct, frozen=True, kw_only=True):
    """The cell that a CT scan saw."""

    scan: int
    state: int
    pixel_um: float
    centre_px: float
    ra_um: float
    rq_um: float
    anode_volume_um3: float
    void_volume_um3: float
    n_voids: int


class SegmentTruth(msgspec.Struct, frozen=True, kw_only=True):
    """Frames of one exposure, and its mean number of absorbed photons per frame."""

    number: int
    state: int | None
    region: int | None
    first_frame: int
    n_frames: int
    n_lost: int
    photons_per_frame: float


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about a simulated experiment, and the event options it holds for.

    The constants of each pixel are in the true calibration (``hexlive simulate --calibration``).

    Attributes
    ----------
    profiles
        Where the Compton profiles come from.
    gain_drift
        Relative change of the gain from the first frame to the last.
    lines
        (keV, share among them) of the lines that the subject or the collimators emit.
    dead, hot
        (row, column) of the faulty pixels.
    """

    subject: Subject
    profiles: str
    gain_drift: float
    lines: list[tuple[float, float]]
    dead: list[tuple[int, int]]
    hot: list[tuple[int, int]]
    seed: int
    occupancy: float
    threshold_kev: float
    policy: str
    max_cluster: int
    segments: list[SegmentTruth]
    emf: list[EmfTruth]
    ct: list[CtTruth]

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Raises
        ------
        FileError
            The folder does not exist or cannot be written to.
        """
        with whole_or_absent(path) as part:
            part.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def load_truth(path: Path) -> Truth:
    """Read what `Truth.save` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Truth)


def truth(simulator: Simulator, events: EventSettings | None = None) -> Truth:
    """Everything known about an experiment; takes some seconds.

    Parameters
    ----------
    events
        How hits will become events; None: the defaults.
    """
    events = events or EventSettings()
    settings, camera = simulator.settings, simulator.camera
    return Truth(
        subject=settings.subject,
        profiles=profile_source(),
        gain_drift=settings.gain_drift,
        lines=[line for name in CLASSES[settings.subject] for line in LINES.get(name, ())],
        dead=[(int(row), int(column)) for row, column in np.argwhere(camera.dead)],
        hot=[(int(row), int(column)) for row, column in np.argwhere(camera.hot)],
        seed=settings.seed,
        occupancy=settings.occupancy,
        threshold_kev=events.threshold_kev,
        policy=events.policy,
        max_cluster=events.max_cluster,
        segments=_segments(simulator),
        emf=list(_emf_rows(simulator, events)),
        ct=_scans(simulator),
    )


def _emf_rows(simulator: Simulator, events: EventSettings) -> Iterator[EmfTruth]:
    """Of whatever scatters: a source and a dark have no EMF."""
    settings = simulator.settings
    classes = CLASSES[settings.subject]
    if not MATERIALS.keys() & set(classes):
        return
    brightest = max(simulator.maps(), key=lambda per_frame: float(per_frame.sum()))
    yields = window_yield(
        brightest, simulator.theta_rad, settings.compton, events, settings.seed, classes
    )
    if settings.subject == "disk":
        disk = simulator.still_map()
        alone, seen = (_sums(simulator, yields, disk, pile_up) for pile_up in (0.0, 1.0))
        yield _row(0, "disk", _free_emf(simulator, disk), alone, seen)
    for state in dict.fromkeys(state for state, _ in settings.exposures):
        yield from _rows(simulator, yields, state)


def _rows(simulator: Simulator, yields: WindowYield, state: int) -> Iterator[EmfTruth]:
    """Regions, then those components whose regions are all measured."""
    regions = simulator.settings.regions
    maps = {region: simulator.photon_map(state, region) for region in regions}
    sums = partial(_sums, simulator, yields)
    seen = {region: sums(per_frame, 1.0) for region, per_frame in maps.items()}
    alone = {region: sums(per_frame, 0.0) for region, per_frame in maps.items()}
    for region, per_frame in maps.items():
        free = _free_emf(simulator, per_frame)
        yield _row(state, f"region_{region}", free, alone[region], seen[region])
    for name, factors in simulator.settings.components.mixing.items():
        if factors.keys() <= seen.keys():
            part = _free_emf(simulator, simulator.scene.part(name, state))
            yield _row(state, name, part, _mixed(alone, factors), _mixed(seen, factors))


def _sums(
    simulator: Simulator, yields: WindowYield, per_frame: FloatArray, pile_up: float
) -> FloatArray:
    """L and H of an exposure per frame, over the pixels that are not masked, ``(groups, 2)``."""
    valid = ~simulator.camera.faulty
    rate = pile_up * per_frame[:, valid].sum(axis=0)
    return yields.sums(per_frame[:, valid], simulator.theta_rad[valid], rate)


def _mixed(sums: Mapping[int, FloatArray], factors: Mapping[int, float]) -> FloatArray:
    return sum((factor * sums[region] for region, factor in factors.items()), np.zeros(2))


def _free_emf(simulator: Simulator, counts: FloatArray) -> float:
    """L/H of the materials in a map, over the pixels that are not masked."""
    settings = simulator.settings
    of_class = counts[:, ~simulator.camera.faulty].sum(axis=1)
    low, high = np.sum(
        [
            amount * np.array(free_windows(name, settings.compton))
            for name, amount in zip(CLASSES[settings.subject], of_class, strict=True)
            if name in MATERIALS
        ],
        axis=0,
    )
    return float(low / high)


def _row(state: int, name: str, free: float, isolated: FloatArray, seen: FloatArray) -> EmfTruth:
    (alone, alone_sigma), (mixed, mixed_sigma) = _emf(isolated), _emf(seen)
    return EmfTruth(
        state=state,
        soc=STATES[state].soc if state else None,
        name=name,
        free=free,
        isolated=alone,
        isolated_sigma=alone_sigma,
        seen=mixed,
        seen_sigma=mixed_sigma,
    )


def _emf(sums: FloatArray) -> tuple[float, float]:
    """EMF of pooled L and H, and its standard error from the independent groups."""
    low, high = sums.mean(axis=0)
    groups = sums[:, 0] / sums[:, 1]
    return float(low / high), float(groups.std(ddof=1) / np.sqrt(len(groups)))


def _segments(simulator: Simulator) -> list[SegmentTruth]:
    settings = simulator.settings
    n_frames = settings.frames_per_segment
    exposures: list[tuple[int | None, int | None]] = [*settings.exposures] or [(None, None)]
    return [
        SegmentTruth(
            number=number,
            state=state,
            region=region,
            first_frame=(number - 1) * n_frames,
            n_frames=n_frames,
            n_lost=int(simulator.lost(number).sum()),
            photons_per_frame=float(per_frame.sum()),
        )
        for number, ((state, region), per_frame) in enumerate(
            zip(exposures, simulator.maps(), strict=True), start=1
        )
    ]


def _scans(simulator: Simulator) -> list[CtTruth]:
    settings = simulator.settings
    states = [state for state in settings.states if state in settings.ct_after_states]
    if settings.subject != "cell":
        return []
    return [_scan(simulator, number, state) for number, state in enumerate(states, start=1)]


def _scan(simulator: Simulator, number: int, state: int) -> CtTruth:
    scan = simulator.settings.scan
    phantom = make_phantom(state, scan, simulator.settings.seed)
    return CtTruth(
        scan=number,
        state=state,
        pixel_um=scan.pixel_um,
        centre_px=scan.centre_px,
        ra_um=phantom.ra_um,
        rq_um=phantom.rq_um,
        anode_volume_um3=phantom.anode_volume_um3,
        void_volume_um3=phantom.void_volume_um3,
        n_voids=phantom.n_voids,
    )
