"""``hexlive simulate`` and ``hexlive demo``."""

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from hexlive.stream.cli_options import ConfigFile, rate_hz
from hexlive.stream.config import Config, ConfigError, load_config
from hexlive.stream.console import say
from hexlive.stream.demo import run_demo
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.sending import paced
from hexlive.stream.session import live_sender, stop_on_signals
from hexlive.stream.simulate import Simulator, SimulatorSettings
from hexlive.stream.truth import truth


def simulate(
    address: Annotated[
        str | None, typer.Option("--to", help="Address of the receiver; a leading @ binds.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Recording to write instead.")] = None,
    rate: Annotated[str, typer.Option(help="Frames per second of the stream, or max.")] = "9000",
    seconds: Annotated[float, typer.Option(help="Length of each exposure at 9 kHz, s.")] = 3.0,
    states: Annotated[str, typer.Option(help="Electrochemical states, 1 to 7.")] = "1,2,4",
    regions: Annotated[str, typer.Option(help="1 cathode, 2 interphase, 3 anode.")] = "1,2,3",
    ct_after: Annotated[str, typer.Option(help="States that end with a CT scan.")] = "",
    occupancy: Annotated[float, typer.Option(help="Fraction of pixels hit per frame.")] = 0.01,
    loss: Annotated[float, typer.Option(help="Fraction of frames that never arrive.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same frames.")] = 1,
    calibration: Annotated[Path | None, typer.Option(help="For the true calibration.")] = None,
    truth_file: Annotated[
        Path | None, typer.Option("--truth", help="For what should be measured, JSON.")
    ] = None,
    config_file: ConfigFile = None,
) -> None:
    """Simulate an experiment with known truth, as a stream or as a recording.

    Example: hexlive simulate --to tcp://127.0.0.1:5555 --rate 9000 --occupancy 0.01
    """
    if (address is None) == (out is None):
        raise typer.BadParameter("name either --to or --out.")
    config = load_config(config_file)
    settings = SimulatorSettings(
        seed=seed,
        states=_numbers("--states", states),
        regions=_numbers("--regions", regions),
        ct_after_states=_numbers("--ct-after", ct_after),
        frames_per_segment=max(1, round(seconds * config.detector.frame_rate_hz)),
        occupancy=occupancy,
        loss=loss,
        detector=config.detector,
        compton=config.compton,
        components=config.components,
    )
    speed_hz = rate_hz(rate)
    simulator = Simulator(settings)
    if calibration is not None:
        simulator.camera.calibration().save(calibration)
    if truth_file is not None:
        truth(simulator, config.events, config.spectrum).save(truth_file)
    if address is not None:
        _send(simulator, config, address, speed_hz)
    elif out is not None:
        _write(simulator, out)


def _send(simulator: Simulator, config: Config, address: str, speed_hz: float | None) -> None:
    with (
        stop_on_signals() as stop,
        closing(live_sender(address, config.detector.shape, stop.asked)) as sender,
    ):
        sender.send_all(paced(simulator.messages(started_s=time.time()), speed_hz, stop.asked))


def _write(simulator: Simulator, out: Path) -> None:
    with stop_on_signals() as stop, closing(RecordingWriter(out)) as writer:
        for message in simulator.messages(started_s=time.time()):
            if stop.asked():
                break
            writer.append(message)
    say(f"{out}: {writer.n_frames} frames")


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"{option} takes numbers with commas, not {text!r}.") from None


def demo(
    headless: Annotated[bool, typer.Option(help="No window; the picture is still drawn.")] = False,
    seconds: Annotated[float, typer.Option(help="Total length of the exposures, s.")] = 27.0,
    out: Annotated[Path, typer.Option(help="Folder for what the demo makes.")] = Path("demo-out"),
) -> None:
    """The main job without a detector: simulated stream, live maps, CT at scan end, summary.

    Example: hexlive demo --headless --seconds 27 --out demo-out
    """
    raise typer.Exit(run_demo(out, seconds, headless=headless))
