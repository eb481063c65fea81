"""``hexlive simulate`` and ``hexlive demo``."""

import math
import time
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hexlive.stream.commands.console import say
from hexlive.stream.commands.demo import run_demo
from hexlive.stream.commands.experiment import WHOLE_S, run_experiment
from hexlive.stream.commands.options import (
    Checked,
    ConfigFile,
    KeysFolder,
    Sparse,
    listing_adu,
    rate_hz,
)
from hexlive.stream.config import Config, ConfigError, load_config
from hexlive.stream.files import part_of, refuse_same
from hexlive.stream.listing import Listing, listed
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.sending import Punctuality, ZmqSender, paced
from hexlive.stream.simulator.scene import FLAT_COUNTS, LINES_COUNTS
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.simulator.truth import truth
from hexlive.stream.stopping import Stop, stop_on_signals

DEMO_S: Final = 27.0

MAX_SEED: Final = 2**63 - 1  # the generators of the sensor take 64-bit integers


def _positive_s(seconds: float | None) -> float | None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise typer.BadParameter(f"it must be a time above 0 s, not {seconds}.")
    return seconds


class Exposed(StrEnum):
    """What is simulated."""

    cell = "cell"
    disk = "disk"
    am241 = "am241"
    dark = "dark"


Mode = Annotated[
    Exposed, typer.Option("--mode", help="The cell, or what a camera is calibrated with.")
]
Seconds = Annotated[
    float,
    typer.Option("--seconds", help="Length of each exposure at 9 kHz, s.", callback=_positive_s),
]
Lines = Annotated[
    float, typer.Option("--lines", help="W and Pb lines, counts where lithium has 70.")
]
Flat = Annotated[
    float, typer.Option("--flat", help="Flat background, counts where lithium has 70.")
]
GainDrift = Annotated[
    float,
    typer.Option("--gain-drift", help="Change of the gain over the whole series, percent."),
]
Seed = Annotated[
    int, typer.Option("--seed", help="The same seed gives the same frames.", max=MAX_SEED)
]
TruthFile = Annotated[
    Path | None, typer.Option("--truth", help="For what should be measured, JSON.")
]


def simulate(
    mode: Mode = Exposed.cell,
    address: Annotated[
        str | None, typer.Option("--to", help="Address of the receiver; a leading @ binds.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Recording to write instead.")] = None,
    rate: Annotated[str, typer.Option(help="Frames per second of the stream, or max.")] = "9000",
    seconds: Seconds = 3.0,
    states: Annotated[str, typer.Option(help="Electrochemical states, 1 to 7.")] = "1,2,4",
    regions: Annotated[str, typer.Option(help="1 cathode, 2 interphase, 3 anode.")] = "1,2,3",
    ct_after: Annotated[str, typer.Option(help="States that end with a CT scan.")] = "",
    occupancy: Annotated[float, typer.Option(help="Fraction of pixels hit per frame.")] = 0.01,
    loss: Annotated[float, typer.Option(help="Fraction of frames that never arrive.")] = 0.0,
    lines: Lines = LINES_COUNTS,
    flat: Flat = FLAT_COUNTS,
    gain_drift: GainDrift = 0.0,
    seed: Seed = 1,
    calibration: Annotated[Path | None, typer.Option(help="For the true calibration.")] = None,
    truth_file: TruthFile = None,
    sparse: Sparse = None,
    config_file: ConfigFile = None,
    keys: KeysFolder = None,
    checked: Checked = False,
) -> None:
    """Simulate an experiment, or a calibration, with known truth, as a stream or as a recording.

    Example: hexlive simulate --mode am241 --out am241.h5 --seconds 20 --truth am241.json
    """
    _refuse_targets(address, out, sparse)
    config = load_config(config_file)
    settings = SimulatorSettings(
        seed=seed,
        subject=mode.value,
        states=_numbers("--states", states),
        regions=_numbers("--regions", regions),
        ct_after_states=_numbers("--ct-after", ct_after),
        frames_per_segment=max(1, round(seconds * config.detector.frame_rate_hz)),
        occupancy=occupancy,
        lines_counts=lines,
        flat_counts=flat,
        gain_drift=gain_drift / 100,
        loss=loss,
        detector=config.detector,
        compton=config.compton,
        components=config.components,
    )
    speed_hz, listing = rate_hz(rate), listing_adu(sparse, config.detector.shape)
    products = {"The recording": out, "the calibration": calibration, "the truth": truth_file}
    refuse_same(products, {"the configuration": config_file})
    simulator = Simulator(settings)
    if out is not None:
        _write(simulator, config, out, calibration, truth_file)
    elif address is not None:
        _write_beside(simulator, config, calibration, truth_file)
        keys = keys or config.security.folder
        with stop_on_signals() as stop:
            sender = ZmqSender(address, should_stop=stop.asked, keys=keys, checked=checked)
            say(f"{address}: {_send(simulator, sender, speed_hz, listing, stop)}")


def _send(
    simulator: Simulator, sender: ZmqSender, speed_hz: float | None, listing: Listing, stop: Stop
) -> Punctuality:
    punctuality = Punctuality()
    with closing(sender):
        made = simulator.messages(started_s=time.time())
        sender.send_all(listed(paced(made, speed_hz, stop.asked, punctuality), listing))
    return punctuality


def _refuse_targets(address: str | None, out: Path | None, sparse: str | None) -> None:
    if (address is None) == (out is None):
        raise typer.BadParameter("name either --to or --out.")
    if sparse is not None and address is None:
        raise typer.BadParameter("--sparse goes with --to; a recording holds whole frames.")


def _write_beside(
    simulator: Simulator, config: Config, calibration: Path | None, truth_file: Path | None
) -> None:
    """Write what belongs to the frames: both files, or none where a name cannot be used."""
    for path in filter(None, (calibration, truth_file)):
        part_of(path)
    if calibration is not None:
        simulator.camera.calibration().save(calibration)
    if truth_file is not None:
        truth(simulator, config.events).save(truth_file)


def _write(
    simulator: Simulator,
    config: Config,
    out: Path,
    calibration: Path | None,
    truth_file: Path | None,
) -> None:
    """The recording is opened first: one that exists is refused before anything is written."""
    with stop_on_signals() as stop, closing(RecordingWriter(out)) as writer:
        _write_beside(simulator, config, calibration, truth_file)
        for message in simulator.messages(started_s=time.time()):
            if stop.asked():
                say(f"{out}: stopped after {writer.n_frames} frames")
                raise typer.Exit(1)
            writer.append(message)
    say(f"{out}: {writer.n_frames} frames")


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"{option} takes numbers with commas, not {text!r}.") from None


def demo(
    headless: Annotated[bool, typer.Option(help="No window; the picture is still drawn.")] = False,
    experiment: Annotated[
        bool, typer.Option("--experiment", help="Seven states at three heights, offline; exported.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Total length of the exposures, s; 27, of --experiment 700.", callback=_positive_s
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for what the demo makes.")] = Path("demo-out"),
) -> None:
    """The main job without a detector: simulated stream, live maps, CT at scan end, summary.

    Example: hexlive demo --headless --seconds 27 --out demo-out
    """
    if experiment:
        raise typer.Exit(run_experiment(out, seconds or WHOLE_S))
    raise typer.Exit(run_demo(out, seconds or DEMO_S, headless=headless))
