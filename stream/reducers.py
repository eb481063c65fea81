"""The analyses of the stream: Compton and EMF maps, and the log of the battery cycler."""

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import Backend, Counts
from hexlive.kernels.tables import unusable_pixels
from hexlive.reconstruct.components import Component, ComponentName, RegionSums, components
from hexlive.reconstruct.compton import theta_map_rad, window_edges_kev
from hexlive.reconstruct.emf import EmfResult, emf, emf_weights, pool
from hexlive.reconstruct.peak import peak_centre_kev
from hexlive.reconstruct.profile import Profile, profile, profile_weights
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, ConfigError
from hexlive.stream.device import DeviceName, open_counter
from hexlive.stream.memory import require_memory
from hexlive.stream.model import Cycler, Frames, Message, Segment, Start
from hexlive.stream.notes import start_notes
from hexlive.stream.results import ComptonResult, CyclerResult


class ComptonReducer:
    """Frames to per-pixel spectra, Compton peak, profile, EMF, and components per state.

    Parameters
    ----------
    config, calibration
        Of the same camera.
    device
        "auto", "cuda", "cpu", or for comparison "odin" or "odin-5x5".

    Attributes
    ----------
    valid
        ``(rows, columns) bool``: pixels that can be hit.
    notes
        What the user should know of the calibration and the device, a sentence each.

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
    ) -> None:
        shape = config.detector.shape
        if calibration.shape != shape:
            raise ConfigError(
                f"The calibration is {calibration.shape[0]} x {calibration.shape[1]}, "
                f"the detector is {shape[0]} x {shape[1]}."
            )
        require_memory(config)
        self._config = config
        self.theta_rad = theta_map_rad(shape, config.detector.pitch_mm, config.compton)
        windows_kev = window_edges_kev(self.theta_rad, config.compton)
        pixels = calibration.pixel_maps(config.events, windows_kev, config.detector.modules)
        self.valid: NDArray[np.bool_] = ~unusable_pixels(pixels)
        if not self.valid.any():
            raise ConfigError("The calibration has no usable pixel: all are masked or not finite.")
        self.notes = start_notes(device, pixels, config.events)
        edges_kev = config.spectrum.edges_kev
        try:
            self.backend: Backend = open_counter(
                device, events=config.events, spectrum=config.spectrum, pixels=pixels
            )
            self._emf_weights = emf_weights(edges_kev, self.theta_rad, config.compton)
            self._profile_weights = profile_weights(
                edges_kev, self.theta_rad, self.valid, config.compton
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._peak_windows_kev = windows_kev[[0, 3]].astype(np.float64)
        self._frame_rate_hz = config.detector.frame_rate_hz
        self._segment: Segment | None = None
        self._regions: dict[int, dict[int, RegionSums]] = {}
        self._states: dict[int, Segment] = {}

    def add(self, message: Message) -> None:
        """Count frames; a new segment starts from zero."""
        match message:
            case Frames(frames=frames, first_frame=first):
                self.backend.add(frames, first)
            case Segment():
                self.clear()
                self._segment = message
            case Start(frame_rate_hz=rate_hz):
                self._frame_rate_hz = rate_hz

    def snapshot(self) -> ComptonResult:
        """Everything known of the present segment, and the components of all states so far."""
        counts = self.backend.snapshot()
        maps = emf(counts.spectra, self._emf_weights)
        summed = profile(counts.spectra, self._profile_weights)
        mean = pool(maps, self.valid)
        self._book_region(counts, mean, summed)
        return ComptonResult(
            segment=self._segment,
            counts=counts,
            live_time_s=counts.n_frames / self._frame_rate_hz,
            theta_deg=np.degrees(self.theta_rad),
            peak_kev=self._peak_kev(counts),
            emf=maps,
            mean=mean,
            profile=summed,
            components=self._components(),
            states=dict(self._states),
        )

    def finish(self) -> None:
        """Nothing is open here."""

    def clear(self) -> None:
        """Forget the counts of the present segment; finished regions stay."""
        self.backend.clear()

    def _book_region(self, counts: Counts, mean: EmfResult, summed: Profile) -> None:
        """Keep the sums of the present region, for components.

        A region is that of its state in whatever series it comes, because some detectors begin a
        series for every exposure. One that is repeated in a state replaces the earlier one.
        """
        segment = self._segment
        if segment is None or segment.mode != "xcs" or not counts.n_frames:
            return
        if segment.state is None or segment.region is None:
            return
        self._states.setdefault(segment.state, segment)
        self._regions.setdefault(segment.state, {})[segment.region] = RegionSums(
            spectrum=counts.spectra[self.valid].sum(axis=0, dtype=np.uint64),
            profile=summed,
            windows=mean,
            exposure_s=counts.n_frames / self._frame_rate_hz,
        )

    def _components(self) -> dict[int, dict[ComponentName, Component]]:
        settings = self._config.components
        return {state: components(regions, settings) for state, regions in self._regions.items()}

    def _peak_kev(self, counts: Counts) -> NDArray[np.float64]:
        return peak_centre_kev(
            counts.spectra, self._config.spectrum.edges_kev, self._peak_windows_kev
        )


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

    def snapshot(self) -> CyclerResult:
        """All rows so far."""
        return CyclerResult(rows=tuple(self._rows))

    def finish(self) -> None:
        """Nothing is open here."""

    def clear(self) -> None:
        """Forget the rows."""
        self._rows.clear()
