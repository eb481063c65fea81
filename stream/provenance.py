"""How a result was made: what it says of that, and what a killed run must have kept to go on."""

from importlib.metadata import version

from hexlive.stream.calibration import Calibration
from hexlive.stream.checkpoint import MadeWith, deciding
from hexlive.stream.config import Config, to_toml
from hexlive.stream.device import DeviceName
from hexlive.stream.reducers import ComptonReducer


def made_with(config: Config, calibration: Calibration, device: DeviceName) -> MadeWith:
    """What must be the same for a killed run to go on; all devices but the odin chain are."""
    return MadeWith(
        version=version("hexlive"),
        calibration_id=calibration.id,
        chain=device if device.startswith("odin") else "hexlive",
        config=deciding(config),
    )


def provenance(config: Config, calibration: Calibration, compton: ComptonReducer) -> dict[str, str]:
    """What the result says of how it was made."""
    process = {
        "config": to_toml(config),
        "calibration_id": calibration.id,
        "backend": compton.backend.name,
    }
    return process | ({"notes": "\n".join(compton.notes)} if compton.notes else {})
