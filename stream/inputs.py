"""What a run reads: the data leg, or an odin LiveView; or files, which state their frame size."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from hexlive.stream.config import Config, ConfigError
from hexlive.stream.interop.liveview import OdinSource
from hexlive.stream.modules import ModuleSource
from hexlive.stream.sources import ZmqSource

BYTES_PER_PIXEL: Final = 2
LIVEVIEW: Final = "odin+"


def live_source(
    config: Config,
    address: str | None = None,
    keys: Path | None = None,
    *,
    calibrated: bool = False,
) -> ZmqSource | ModuleSource | OdinSource:
    """Listen at ``config.stream.input``, or at another address; ``odin+`` in front is a LiveView.

    With ``config.stream.inputs`` at those, one per module.

    Parameters
    ----------
    keys
        Instead of those of the configuration.
    calibrated
        Frames of the LiveView are float32, keV.

    Raises
    ------
    AddressError
        The address cannot be used.
    KeysError
        The keys cannot be used.
    """
    detector, where = config.detector, address or config.stream.input
    if where.startswith(LIVEVIEW):
        return OdinSource(
            where.removeprefix(LIVEVIEW),
            frame_rate_hz=detector.frame_rate_hz,
            high_water_mark_mb=config.stream.high_water_mark_mb,
            frame_bytes=detector.rows * detector.columns * BYTES_PER_PIXEL,
            dataset=config.stream.dataset,
            calibrated=calibrated,
        )
    if calibrated:
        raise ConfigError(
            f"Only a LiveView sends calibrated frames: {LIVEVIEW}tcp://..., not {where}."
        )
    addresses = (where,) if address else config.stream.inputs or (where,)
    share_mb = config.stream.high_water_mark_mb / len(addresses)
    with ExitStack() as opened:
        streams = [
            opened.enter_context(
                closing(
                    ZmqSource(
                        each, high_water_mark_mb=share_mb, keys=keys or config.security.folder
                    )
                )
            )
            for each in addresses
        ]
        opened.pop_all()  # whoever iterates closes them
    if len(streams) == 1:
        return streams[0]
    (down, across), (rows, columns) = detector.modules, detector.shape
    return ModuleSource(streams, detector.modules, (rows // down, columns // across))


def fit_detector(config: Config, shape: tuple[int, int], *, explicit: bool) -> Config:
    """Take the frame size from a file, unless the configuration states another one.

    Raises
    ------
    ConfigError
        A configuration was given and is of another size.
    """
    detector = config.detector
    if detector.shape == shape:
        return config
    if explicit:
        raise ConfigError(
            f"The frames are {shape[0]} x {shape[1]}, but the configuration has [detector] "
            f"rows = {detector.rows}, columns = {detector.columns}."
        )
    return replace(config, detector=replace(detector, rows=shape[0], columns=shape[1]))
