"""The simulated experiment, as the messages that a beamline sends: a cycling cell in the beam, or
what a camera is calibrated with.

No sockets and no waiting: those are the sender's. The same settings give the same frames, bit for
bit.
"""

import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.components import (
    CATHODE_THICKNESS_MM,
    ELECTROLYTE_THICKNESS_MM,
)
from hexlive.reconstruct.compton import FloatArray, theta_map_rad
from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.simulator.camera import Camera, make_camera
from hexlive.stream.simulator.cycling import CyclerSchedule
from hexlive.stream.simulator.photons import angle_nodes_rad, photons, quantile_table_kev
from hexlive.stream.simulator.scanning import scan_messages
from hexlive.stream.simulator.scene import (
    CLASSES,
    REGIONS,
    STATES,
    Scene,
    Subject,
)
from hexlive.stream.simulator.sensor import render
from hexlive.stream.simulator.sensor_tables import Electronics, Photons, sensor_tables
from hexlive.stream.simulator.settings import SimulatorSettings

# Pixels above 3 keV per absorbed photon, measured with this sensor and each spectrum.
HITS_PER_PHOTON: Final[dict[Subject, float]] = {
    "cell": 1.70, "disk": 1.70, "am241": 1.43, "dark": 1.0,
}  # fmt: skip
LOSS_STREAM: Final = 3  # independent random numbers from one seed; others are in other files

# The cell is moved so that first the cathode, then the electrolyte leaves the beam.
HEIGHT_MM: Final = {
    1: 0.0,
    2: CATHODE_THICKNESS_MM,
    3: CATHODE_THICKNESS_MM + ELECTROLYTE_THICKNESS_MM,
}


class Simulator:
    """A subject, a camera and a beam."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        detector = settings.detector
        self.camera: Camera = make_camera(detector.shape, settings.seed)
        self.scene = Scene(
            shape=detector.shape,
            pitch_mm=detector.pitch_mm,
            lines_counts=settings.lines_counts,
            flat_counts=settings.flat_counts,
            compton=settings.compton,
            components=settings.components,
        )
        self.theta_rad = theta_map_rad(detector.shape, detector.pitch_mm, settings.compton)
        self.quantile_kev = quantile_table_kev(
            angle_nodes_rad(self.theta_rad), settings.compton, CLASSES[settings.subject]
        )
        hits = settings.occupancy * detector.rows * detector.columns
        self._photons_per_count = hits / HITS_PER_PHOTON[settings.subject] / self._counts()

    def photon_map(self, state: int, region: int) -> FloatArray:
        """Mean photons absorbed per frame from the cell, ``(classes, rows, columns)``."""
        return self.scene.region(region, state) * self._photons_per_count

    def still_map(self) -> FloatArray:
        """The same from a disk, a source, or nothing."""
        return self.scene.still(self.settings.subject) * self._photons_per_count

    def maps(self) -> list[FloatArray]:
        """Mean photons absorbed per frame in each segment, ``(classes, rows, columns)``."""
        exposures = self.settings.exposures
        return [self.photon_map(*exposure) for exposure in exposures] or [self.still_map()]

    def _counts(self) -> float:
        """Counts of the scene that make the occupancy; 1 where there is nothing to count."""
        if self.settings.subject != "cell":
            return float(self.scene.still(self.settings.subject).sum()) or 1.0
        return float(np.mean([self.scene.region(region, 1).sum() for region in REGIONS]))

    def lost(self, segment: int) -> NDArray[np.bool_]:
        """Which frames of a segment (from 1) never arrive, ``(frames,)``."""
        random = np.random.default_rng((self.settings.seed, LOSS_STREAM, segment))
        return random.uniform(size=self.settings.frames_per_segment) < self.settings.loss

    def frames(self, state: int, region: int, first_frame: int, count: int) -> NDArray[np.uint16]:
        """Frames ``(count, rows, columns) uint16, ADU``; each depends on its number alone."""
        return self._render(self._photons(self.photon_map(state, region)), first_frame, count)

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
        for segment, per_frame in zip(self._segments(series, started_s), self.maps(), strict=True):
            yield from self._exposure(segment, started_s, per_frame)
            last_of_state = segment.number % len(settings.regions) == 0
            if last_of_state and segment.state in settings.ct_after_states:
                n_scans += 1
                end = segment.first_frame + settings.frames_per_segment
                yield from scan_messages(
                    series, n_scans, segment.state, settings.scan, settings.seed,
                    started_s + end / detector.frame_rate_hz,
                )  # fmt: skip
        yield End(series=series, last_frame=settings.n_frames - 1)

    def _segments(self, series: str, started_s: float) -> Iterator[Segment]:
        settings = self.settings
        for index in range(settings.n_segments):
            first = index * settings.frames_per_segment
            state, region = settings.exposures[index] if settings.exposures else (None, None)
            yield Segment(
                series=series,
                number=index + 1,
                first_frame=first,
                region=region,
                state=state,
                soc=None if state is None else STATES[state].soc,
                height_mm=None if region is None else HEIGHT_MM[region],
                started_s=started_s + first / settings.detector.frame_rate_hz,
            )

    def _exposure(
        self, segment: Segment, started_s: float, per_frame: FloatArray
    ) -> Iterator[AnyMessage]:
        """One segment: its frames, and the rows of the cycler meanwhile."""
        n_frames, rate_hz = self.settings.frames_per_segment, self.settings.detector.frame_rate_hz
        first, step = segment.first_frame, self.settings.batch_frames
        yield segment
        source, lost = self._photons(per_frame), self.lost(segment.number)
        for begin in range(0, n_frames, step):
            end = min(begin + step, n_frames)
            if self.settings.subject == "cell":
                yield from self._cycler.rows(segment.series, started_s, first + begin, first + end)
            batch = self._render(source, first + begin, end - begin)
            for start, stop in runs(~lost[begin:end]):
                number_of_first = first + begin + start
                yield Frames(
                    series=segment.series,
                    first_frame=number_of_first,
                    timestamp_s=started_s + number_of_first / rate_hz,
                    frames=batch[start:stop],
                )

    @cached_property
    def _cycler(self) -> CyclerSchedule:
        """When the cell passes its states: in the middle of the exposures of each."""
        settings = self.settings
        rate_hz = settings.detector.frame_rate_hz
        state_s = len(settings.regions) * settings.frames_per_segment / rate_hz
        return CyclerSchedule(
            states_s=[(index + 0.5) * state_s for index in range(len(settings.states))],
            states_soc=[STATES[state].soc for state in settings.states],
            frame_rate_hz=rate_hz,
        )

    @cached_property
    def _electronics(self) -> Electronics:
        drift = self.settings.gain_drift / max(1, self.settings.n_frames - 1)
        return self.camera.electronics(drift)

    def _photons(self, per_frame: FloatArray) -> Photons:
        return photons(per_frame, self.theta_rad, self.quantile_kev)

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
