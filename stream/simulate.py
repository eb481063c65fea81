"""The simulated experiment: a cycling cell in the beam, as the messages that a beamline sends.

No sockets and no waiting: those are the sender's. The same settings give the same frames, bit for
bit.
"""

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import (
    CATHODE_THICKNESS_MM,
    ELECTROLYTE_THICKNESS_MM,
    ComponentSettings,
)
from hexlive.reconstruct.compton import ComptonSettings, FloatArray, theta_map_rad
from hexlive.stream.camera import Camera, make_camera
from hexlive.stream.config import DetectorSettings
from hexlive.stream.cycling import cell_at
from hexlive.stream.model import (
    AnyMessage,
    Cycler,
    End,
    Frames,
    Projections,
    ScanEnd,
    ScanStart,
    Segment,
    Start,
)
from hexlive.stream.phantom import ScanSettings, make_phantom
from hexlive.stream.photons import angle_nodes_rad, photons, quantile_table_kev
from hexlive.stream.scanning import scan_images
from hexlive.stream.scene import REGIONS, STATES, Scene
from hexlive.stream.sensor import render
from hexlive.stream.sensor_tables import Electronics, Photons, sensor_tables

# Pixels above 3 keV per absorbed photon, measured with this sensor and spectrum.
HITS_PER_PHOTON: Final = 1.70
MAX_OCCUPANCY: Final = 0.5
CYCLER_INTERVAL_S: Final = 0.25
LOSS_STREAM: Final = 3  # independent random numbers from one seed; others are in other files

# The cell is moved so that first the cathode, then the electrolyte leaves the beam.
HEIGHT_MM: Final = {
    1: 0.0,
    2: CATHODE_THICKNESS_MM,
    3: CATHODE_THICKNESS_MM + ELECTROLYTE_THICKNESS_MM,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatorSettings:
    """What is simulated.

    Attributes
    ----------
    states, regions
        Electrochemical states (1 to 7) and heights (1 to 3), in this order.
    batch_frames
        Frames per message.
    occupancy
        Mean fraction of pixels hit per frame, over the three regions of the pristine cell; the
        beam is the same in every exposure.
    loss
        Fraction of the frames that never arrive, each by itself.
    ct_after_states
        States that end with a CT scan.
    """

    seed: int = 1
    states: tuple[int, ...] = (1, 2, 3)
    regions: tuple[int, ...] = REGIONS
    frames_per_segment: int = 27_000
    batch_frames: int = 256
    occupancy: float = 0.01
    loss: float = 0.0
    ct_after_states: tuple[int, ...] = ()
    scan: ScanSettings = field(default_factory=ScanSettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    compton: ComptonSettings = field(default_factory=ComptonSettings)
    components: ComponentSettings = field(default_factory=ComponentSettings)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be simulated.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        known = {"states": STATES, "regions": REGIONS, "ct_after_states": STATES}
        for name, numbers in known.items():
            if not getattr(self, name) and name != "ct_after_states":
                raise ValueError(f"simulate: {name} is empty; name at least one.")
            for number in getattr(self, name):
                if number not in numbers:
                    raise ValueError(f"simulate: {name} go from 1 to {len(numbers)}, not {number}.")
        if not 0 < self.occupancy <= MAX_OCCUPANCY:
            raise ValueError(
                f"simulate: occupancy must be above 0 and at most {MAX_OCCUPANCY}, "
                f"not {self.occupancy}."
            )
        if not 0 <= self.loss < 1:
            raise ValueError(f"simulate: loss must be at least 0 and below 1, not {self.loss}.")
        if min(self.frames_per_segment, self.batch_frames) < 1 or self.seed < 0:
            raise ValueError(
                "simulate: frames_per_segment and batch_frames must be positive, seed not negative."
            )

    @property
    def exposures(self) -> list[tuple[int, int]]:
        """(state, region) of each segment, in order."""
        return [(state, region) for state in self.states for region in self.regions]

    @property
    def n_frames(self) -> int:
        """Frames of the whole series, lost ones included."""
        return len(self.exposures) * self.frames_per_segment


class Simulator:
    """A cell, a camera and a beam.

    Raises
    ------
    SimulatorUnavailableError
        xraylib is not installed.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        detector = settings.detector
        self.camera: Camera = make_camera(detector.shape, settings.seed)
        self.scene = Scene(
            shape=detector.shape,
            pitch_mm=detector.pitch_mm,
            compton=settings.compton,
            components=settings.components,
        )
        self.theta_rad = theta_map_rad(detector.shape, detector.pitch_mm, settings.compton)
        self._quantile_kev = quantile_table_kev(angle_nodes_rad(self.theta_rad), settings.compton)
        pristine = np.mean([self.scene.region(region, 1).sum() for region in REGIONS])
        per_frame = settings.occupancy * detector.rows * detector.columns / HITS_PER_PHOTON
        self._photons_per_count = float(per_frame / pristine)

    def photon_map(self, state: int, region: int) -> FloatArray:
        """Mean photons absorbed per frame, ``(classes, rows, columns)``."""
        return self.scene.region(region, state) * self._photons_per_count

    def lost(self, segment: int) -> NDArray[np.bool_]:
        """Which frames of a segment (from 1) never arrive, ``(frames,)``."""
        random = np.random.default_rng((self.settings.seed, LOSS_STREAM, segment))
        return random.uniform(size=self.settings.frames_per_segment) < self.settings.loss

    def frames(self, state: int, region: int, first_frame: int, count: int) -> NDArray[np.uint16]:
        """Frames ``(count, rows, columns) uint16, ADU``; each depends on its number alone."""
        return self._render(self._photons(state, region), first_frame, count)

    def messages(
        self, *, started_s: float = 0.0, series: str | None = None
    ) -> Iterator[AnyMessage]:
        """The whole experiment; time stamps are those of the nominal frame rate.

        Parameters
        ----------
        started_s
            Unix time of frame 0.
        series
            UUID; None: a new one.
        """
        settings, series = self.settings, series or str(uuid.uuid4())
        detector = settings.detector
        yield Start(
            series=series,
            rows=detector.rows,
            columns=detector.columns,
            frame_rate_hz=detector.frame_rate_hz,
            started_s=started_s,
        )
        n_scans = 0
        for index, (state, region) in enumerate(settings.exposures):
            yield from self._exposure(series, started_s, index + 1, state, region)
            last_of_state = (index + 1) % len(settings.regions) == 0
            if last_of_state and state in settings.ct_after_states:
                n_scans += 1
                yield from self._scan(series, n_scans, state)
        yield End(series=series, last_frame=settings.n_frames - 1)

    def _exposure(
        self, series: str, started_s: float, number: int, state: int, region: int
    ) -> Iterator[AnyMessage]:
        """One segment: its frames, and the rows of the cycler meanwhile."""
        n_frames, rate_hz = self.settings.frames_per_segment, self.settings.detector.frame_rate_hz
        first = (number - 1) * n_frames
        yield Segment(
            series=series,
            number=number,
            first_frame=first,
            region=region,
            state=state,
            soc=STATES[state].soc,
            height_mm=HEIGHT_MM[region],
            started_s=started_s + first / rate_hz,
        )
        source, lost = self._photons(state, region), self.lost(number)
        step = self.settings.batch_frames
        for begin in range(0, n_frames, step):
            end = min(begin + step, n_frames)
            yield from self._cycler(series, started_s, first + begin, first + end)
            batch = self._render(source, first + begin, end - begin)
            for start, stop in runs(~lost[begin:end]):
                number_of_first = first + begin + start
                yield Frames(
                    series=series,
                    first_frame=number_of_first,
                    timestamp_s=started_s + number_of_first / rate_hz,
                    frames=batch[start:stop],
                )

    def _cycler(
        self, series: str, started_s: float, first_frame: int, end_frame: int
    ) -> Iterator[Cycler]:
        """Rows that fall into the time of these frames."""
        rate_hz = self.settings.detector.frame_rate_hz
        state_s = len(self.settings.regions) * self.settings.frames_per_segment / rate_hz
        states_s = [(index + 0.5) * state_s for index in range(len(self.settings.states))]
        states_soc = [STATES[state].soc for state in self.settings.states]
        first, end = (
            math.ceil(frame / rate_hz / CYCLER_INTERVAL_S) for frame in (first_frame, end_frame)
        )
        for row in range(first, end):
            time_s = row * CYCLER_INTERVAL_S
            volt, ampere, capacity = cell_at(time_s, states_s, states_soc)
            yield Cycler(
                series=series,
                time_s=started_s + time_s,
                voltage_volt=volt,
                current_ampere=ampere,
                capacity_ah=capacity,
            )

    def _scan(self, series: str, number: int, state: int) -> Iterator[AnyMessage]:
        """A CT scan of the cell in this state."""
        scan, seed = self.settings.scan, self.settings.seed
        yield ScanStart(
            series=series,
            scan=number,
            rows=scan.rows,
            columns=scan.columns,
            n_images=scan.n_images,
            pixel_um=scan.pixel_um,
            state=state,
        )
        sent = 0
        for batch in scan_images(make_phantom(state, scan, seed), scan, seed):
            yield Projections(
                series=series,
                scan=number,
                first_image=sent,
                angles_deg=batch.angles_deg,
                image_key=batch.image_key,
                images=batch.images,
            )
            sent += len(batch.images)
        yield ScanEnd(series=series, scan=number, n_images=sent)

    @cached_property
    def _electronics(self) -> Electronics:
        return self.camera.electronics()

    def _photons(self, state: int, region: int) -> Photons:
        return photons(self.photon_map(state, region), self.theta_rad, self._quantile_kev)

    def _render(self, source: Photons, first_frame: int, count: int) -> NDArray[np.uint16]:
        frames = np.empty((count, *self.settings.detector.shape), np.uint16)
        seed, electronics = self.settings.seed, self._electronics
        render(frames, first_frame, seed, source, sensor_tables(), electronics)
        return frames


def runs(present: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open ranges where ``present`` is True."""
    padded = np.concatenate([[False], present, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
