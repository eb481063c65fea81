"""``hexlive register``: CT volumes on the EMF grid of a result."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from hexlive.reconstruct.pooling import pool_weighted
from hexlive.reconstruct.registration.similarity import Grid
from hexlive.stream.commands.console import say
from hexlive.stream.commands.options import ConfigFile
from hexlive.stream.config import load_config
from hexlive.stream.export.figures import require_plotting
from hexlive.stream.export.overlay import draw_overlay
from hexlive.stream.files import FileError, refuse_same
from hexlive.stream.registered import ScanOnGrid, write_registered
from hexlive.stream.registering import Exposure, Exposures, read_exposures, register_scan

VOLUME_OF_STATE: Final = re.compile(r"(\d+)=(.+)")
LOG: Final = logging.getLogger(__name__)


def register(
    result: Annotated[Path, typer.Argument(help="Result file (NeXus), with CT scans or without.")],
    out: Annotated[Path, typer.Option(help="File for masks, fractions and volumes.")],
    config_file: ConfigFile = None,
    volume: Annotated[
        list[str] | None,
        typer.Option(help="STATE=FILE: a volume of a state, besides those of the result."),
    ] = None,
    state: Annotated[
        list[int] | None, typer.Option(help="Only this state; may be repeated.")
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw overlays (PNG); needs matplotlib.")] = True,
) -> None:
    """Lay CT volumes upon the EMF map, by the outline of the anode.

    Example: hexlive register result.nxs --out ct.h5; hexlive process recording.h5 --ct ct.h5 ...
    """
    volumes = dict(_volume(text) for text in volume or [])
    inputs = {f"the volume of state {number}": path for number, path in volumes.items()}
    refuse_same({"The registration": out}, {"the result": result, **inputs})
    if plots:
        require_plotting()
    settings = load_config(config_file).registration
    exposures = read_exposures(result, volumes)
    found = []
    for number in _wanted(exposures, state or []):
        scan, exposure = register_scan(exposures, exposures.scans[number], settings)
        found.append((scan, exposure))
        _tell(scan, exposures)
    write_registered(out, [scan for scan, _ in found], settings.max_age_s, result)
    files = [out, *(_draw(exposures, out, found) if plots else [])]
    for path in files:
        say(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def _volume(text: str) -> tuple[int, Path]:
    match = VOLUME_OF_STATE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"--volume takes STATE=FILE, such as 2=volume.nxs, not {text!r}.")
    return int(match[1]), Path(match[2])


def _wanted(exposures: Exposures, states: Sequence[int]) -> list[int]:
    if not exposures.scans:
        raise FileError(f"{exposures.path} has no CT scan of a state; name volumes with --volume.")
    for number in states:
        if number not in exposures.scans:
            raise FileError(f"{exposures.path} has no CT scan of state {number}.")
    return sorted(states or exposures.scans)


def _tell(scan: ScanOnGrid, exposures: Exposures) -> None:
    """What was found, and the EMF of each mask in each region of this state."""
    found, place = scan.registration, scan.registration.place
    down_mm, across_mm = place.offset_mm
    print(
        f"state {scan.state}: {scan.volume} on {scan.exposure}, "
        f"residual {found.residual_mm:.3f} mm (counts {found.noise_mm:.3f}), "
        f"offset {down_mm:+.3f}, {across_mm:+.3f} mm, scale {place.scale:.4f}"
    )
    if scan.started_s is None:
        LOG.warning("State %d: the time of the CT scan is not known, nor its age.", scan.state)
    if scan.fractions is None:
        LOG.warning("State %d: no lithium fractions. %s", scan.state, scan.no_fractions)
    else:
        fractions = scan.fractions
        print(
            f"  lithium in region 1 {fractions.li_in_region_1:.3f}, in region 2 "
            f"{fractions.li_in_region_2:.3f}"
        )
    for exposure in exposures.exposures:
        if exposure.state == scan.state:
            pooled = (
                (name, pool_weighted(exposure.windows, mask, exposure.valid))
                for name, mask in scan.resampled.masks.items()
            )
            emf = ", ".join(f"{name} {one.emf:.4f} ± {one.sigma:.4f}" for name, one in pooled)
            print(f"  EMF in region {exposure.region}: {emf}")


def _draw(
    exposures: Exposures, out: Path, found: Sequence[tuple[ScanOnGrid, Exposure]]
) -> Iterator[Path]:
    config = exposures.config
    for scan, exposure in found:
        grid = Grid(
            shape=exposure.counts.shape, pitch_mm=config.detector.pitch_mm, compton=config.compton
        )
        path = out.with_name(f"{out.stem}_state_{scan.state}.png")
        yield draw_overlay(exposure, scan.registration, grid, path)
