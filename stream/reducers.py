"""The analyses of the stream: Compton and EMF maps, and the log of the battery cycler."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Backend, Counts, PixelMaps
from hexlive.kernels.tables import unusable_pixels
from hexlive.reconstruct.compton import FloatArray, window_edges_kev
from hexlive.reconstruct.emf import EmfResult
from hexlive.stream.angles import angle_map_rad
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, ConfigError
from hexlive.stream.ct_pooling import CtPooling
from hexlive.stream.device import Counter, DeviceName, open_counter
from hexlive.stream.doubts import Doubts
from hexlive.stream.estimates import Estimate, Estimator
from hexlive.stream.memory import require_memory
from hexlive.stream.model import Cycler, Frames, Message, Segment, Start
from hexlive.stream.notes import start_notes
from hexlive.stream.recent import RecentCounts
from hexlive.stream.regions import Regions
from hexlive.stream.relating import Relating
from hexlive.stream.results import ComptonResult, CyclerResult


def angles_and_pixels(
    config: Config, calibration: Calibration
) -> tuple[FloatArray, PixelMaps, list[str]]:
    """The angle of each pixel (rad), all that a device needs to count, and what to know of both.

    Raises
    ------
    ConfigError
        The calibration is of another size, or lacks the peaks that the configuration asks for.
    """
    shape = config.detector.shape
    if calibration.shape != shape:
        raise ConfigError(
            f"The calibration is {calibration.shape[0]} x {calibration.shape[1]}, "
            f"the detector is {shape[0]} x {shape[1]}: name the calibration of this camera, or its "
            "size in [detector]."
        )
    theta_rad, notes = angle_map_rad(config, calibration)
    windows_kev = window_edges_kev(theta_rad, config.compton)
    pixels = calibration.pixel_maps(config.events, windows_kev, config.detector.modules)
    return theta_rad, pixels, notes


class ComptonReducer:
    """Frames to per-pixel spectra, Compton peak, profile, EMF, and components per state.

    Parameters
    ----------
    config, calibration
        Of the same camera.
    device
        "auto", "cuda", "cpu", or for comparison "odin" or "odin-5x5".
    counter
        Opens that device.

    Attributes
    ----------
    valid
        ``(rows, columns) bool``: pixels that can be hit.
    notes
        What the user should know of the calibration, the device and the run, a sentence each.

    Raises
    ------
    ConfigError
        The calibration is of another size or has no usable pixel, settings and calibration do not
        fit together, most pixels would be hit all the time, or the spectra do not fit into memory.
    BackendUnavailableError
        The device is not there.
    """

    busy = False

    def __init__(
        self,
        config: Config,
        calibration: Calibration,
        device: DeviceName = "auto",
        counter: Counter = open_counter,
    ) -> None:
        require_memory(config)
        self._config = config
        self.theta_rad, pixels, angle_notes = angles_and_pixels(config, calibration)
        self.valid: NDArray[np.bool_] = ~unusable_pixels(pixels)
        if not self.valid.any():
            raise ConfigError(
                "The calibration has no usable pixel: all are masked, not finite, or without a "
                "gradient above 0."
            )
        self.notes = start_notes(device, pixels, config.events) + angle_notes
        self._relating = Relating(config, calibration)
        try:
            self.backend: Backend = counter(
                device, events=config.events, spectrum=config.spectrum, pixels=pixels
            )
            self._estimator = Estimator(config, self.theta_rad, self.valid)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._gain = 1.0
        self._recent = RecentCounts(config.pooling.recent_s)
        self._doubts = Doubts()
        self._frame_rate_hz = config.detector.frame_rate_hz
        self._segment: Segment | None = None
        self._regions = Regions(config.components)
        self._ct = CtPooling(config, self._regions)

    def correct_gain(self, gain: float) -> None:
        """Divide the energy axis of the analysis by a common gain; counts stay as they are."""
        if gain != self._gain:
            self._gain = gain
            self._estimator = Estimator(self._config, self.theta_rad, self.valid, gain)

    def restart_recent(self) -> None:
        """Let the last seconds begin now; the counts of the exposure stay."""
        self._recent.restart()

    def add(self, message: Message) -> None:
        """Count frames; a new segment starts from zero."""
        match message:
            case Frames(frames=frames, first_frame=first):
                self.backend.add(frames, first)
            case Segment() if message.names(self._segment):
                self._segment = message
            case Segment():
                self.clear()
                self._segment = message
                self._ct.begin(message)
            case Start(frame_rate_hz=rate_hz):
                self._frame_rate_hz = rate_hz

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second of live time."""
        return self._frame_rate_hz

    def restore(self, segment: Segment, counts: Counts, frame_rate_hz: float) -> None:
        """Go on with an exposure that was counted before.

        Raises
        ------
        ValueError, ArithmeticError
            The counts are not of these settings, or are damaged.
        """
        self.clear()
        self._segment, self._frame_rate_hz = segment, frame_rate_hz
        self._ct.begin(segment)
        self.backend.load(counts)

    def snapshot(self) -> ComptonResult:
        """Everything known of the present segment, and the components of all states so far."""
        counts = self.backend.snapshot()
        live_time_s = counts.n_frames / self._frame_rate_hz
        found = self._estimator.estimate(counts)
        masks = self._ct.masks(found.emf, self.valid)
        self._book_region(found, live_time_s, masks)
        return ComptonResult(
            config=self._config,
            valid=self.valid,
            segment=self._segment,
            counts=counts,
            hardware=self.backend.hardware,
            live_time_s=live_time_s,
            theta_deg=np.degrees(self.theta_rad),
            peak_kev=found.peak_kev,
            emf=found.emf,
            mean=found.check.binned,
            check=found.check,
            survival=found.survival,
            profile=found.profile,
            recent=self._recent.update(live_time_s, found.emf),
            relative=self._relating.relative(self._segment, found.emf, self.valid),
            regions=self._regions.sums(self._segment.state if self._segment else None),
            components=self._regions.components(),
            component_live_time_s=self._regions.live_time_s(),
            states=dict(self._regions.states),
            doubts=self._doubts.of(self._segment, found, self._ct.doubt),
            mixing=self._regions.mixing(),
            ct_masks=masks,
            ct_volume=self._ct.source,
            ct_states=self._ct.of_states(),
            notes=tuple(self.notes),
        )

    def finish(self) -> None:
        """Nothing is open here."""

    def clear(self) -> None:
        """Forget the counts of the present segment; finished regions stay."""
        self.backend.clear()
        self._recent.clear()

    def _book_region(
        self, found: Estimate, live_time_s: float, masks: dict[str, EmfResult]
    ) -> None:
        """Keep the sums of the present exposure, for components and as a reference."""
        segment = self._segment
        if segment is None or segment.mode != "xcs" or not found.counts.n_frames:
            return
        self._relating.keep(segment, found.emf)
        self._ct.keep(segment, masks)
        self._regions.keep(segment, self._estimator.region_sums(found, live_time_s), live_time_s)


class CyclerReducer:
    """Keeps the rows of the battery cycler."""

    busy = False

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []

    def add(self, message: Message) -> None:
        """Keep a row."""
        if isinstance(message, Cycler):
            self._rows.append(
                (
                    message.time_s,
                    message.voltage_volt,
                    message.current_ampere,
                    message.capacity_ah,
                )
            )

    def restore(self, rows: Iterable[Sequence[float]]) -> None:
        """Go on with the rows of before."""
        self._rows = [(row[0], row[1], row[2], row[3]) for row in rows]

    def snapshot(self) -> CyclerResult:
        """All rows so far."""
        return CyclerResult(rows=tuple(self._rows))

    def finish(self) -> None:
        """Nothing is open here."""

    def clear(self) -> None:
        """Forget the rows."""
        self._rows.clear()
