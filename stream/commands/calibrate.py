"""``hexlive calibrate``: make a calibration file."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray

from hexlive.reconstruct.lines import SOURCES, find_line
from hexlive.stream.calibration import (
    Calibration,
    charge_loss_curve,
    load_calibration,
    usable_pixels,
)
from hexlive.stream.commands.console import say
from hexlive.stream.commands.options import Dataset
from hexlive.stream.dark import calibration_from_dark
from hexlive.stream.files import FileError, refuse_same
from hexlive.stream.frame_files import BRIGHT_DATASETS, DARK_DATASETS, FrameFiles
from hexlive.stream.line_spectra import calibrate_by_lines
from hexlive.stream.maps import read_map, read_numbers
from hexlive.stream.reference import reference_from_result, save_reference

calibrate = typer.Typer(help="Make a calibration file.", no_args_is_help=True)

# Far beyond any HEXITEC camera; a typing error beyond it would only fill the memory.
MAX_SIDE_PX: Final = 4096


class Source(StrEnum):
    """What the camera was exposed to."""

    am241 = "am241"


GradientOption = Annotated[
    str, typer.Option("--gradient", help="keV/ADU: .npy, .mat, odin text (.gz), or one number.")
]
InterceptOption = Annotated[
    str, typer.Option("--intercept", help="keV: .npy, .mat, odin text (.gz), or one number.")
]
ChargeLossOption = Annotated[
    Path | None,
    typer.Option(
        "--charge-loss",
        help=".npy or text: factors on the energy of two-pixel events, from R = -1 to 1.",
    ),
]
Files = Annotated[list[Path], typer.Argument(help="Recordings, HDF5 with frames, or camera .bin.")]
OutOption = Annotated[Path, typer.Option("--out", help="Calibration file to write.")]


@calibrate.command()
def dark(
    files: Files,
    gradient: GradientOption,
    intercept: InterceptOption = "0",
    dataset: Dataset = None,
    threshold: Annotated[
        float, typer.Option(help="keV at which a pixel is hit: some flicker without beam.")
    ] = 3.0,
    charge_loss: ChargeLossOption = None,
    out: OutOption = Path("calibration.h5"),
) -> None:
    """Pedestal, noise, dead, hot and flickering pixels from frames taken without beam.

    Example: hexlive calibrate dark dark.h5 --gradient g.npy --intercept i.npy --out cal.h5
    """
    maps = {"the gradient": Path(gradient), "the intercept": Path(intercept)}
    refuse_same(
        {"The calibration": out}, {**_named(files), **maps, "the charge-loss curve": charge_loss}
    )
    frames = FrameFiles(files, (dataset,) if dataset else DARK_DATASETS)
    found = calibration_from_dark(
        frames,
        read_map(gradient, frames.shape),
        read_map(intercept, frames.shape),
        threshold_kev=threshold,
        sources=tuple(file.name for file in files),
    )
    calibration = replace(found.calibration, charge_loss=_curve(charge_loss))
    calibration.require_usable()
    calibration.save(out, found.write_faults)
    noise_kev = np.median(calibration.noise_adu * calibration.gradient_kev_per_adu)
    rows, columns = frames.shape
    say(
        f"{out}: {rows} x {columns} pixels from {frames.n_frames} frames, "
        f"median noise {noise_kev:.3f} keV rms, {found.summary()}"
    )


@calibrate.command("lines")
def lines_(
    files: Files,
    calibration: Annotated[Path, typer.Option(help="Made by calibrate dark or import.")],
    source: Annotated[
        Source | None, typer.Option("--lines", help="The lines of a source; default: am241.")
    ] = None,
    line: Annotated[
        list[str] | None, typer.Option(help='Instead: keV, or a name such as "W Ka"; repeat it.')
    ] = None,
    dataset: Dataset = None,
    out: OutOption = Path("calibration.h5"),
) -> None:
    """Gradient, intercept and resolution of every pixel from lines of known energy.

    Example: hexlive calibrate lines am241.h5 --calibration dark.h5 --out cal.h5
    """
    if source is not None and line:
        raise typer.BadParameter("name either --lines or each --line.")
    chosen = [find_line(name) for name in line] if line else SOURCES[source or Source.am241]
    refuse_same({"The calibration": out}, {**_named(files), "the calibration before": calibration})
    start = load_calibration(calibration)
    frames = FrameFiles(files, (dataset,) if dataset else BRIGHT_DATASETS)
    if frames.shape != start.shape:
        raise FileError(f"The frames are {frames.shape}, {calibration} is {start.shape}.")
    found = calibrate_by_lines(frames, chosen, start, sources=tuple(file.name for file in files))
    found.calibration.save(out, found.write_maps)
    say("\n".join([f"{out}: {frames.n_frames} frames", *found.summary()]))


@calibrate.command()
def reference(
    result: Annotated[Path, typer.Argument(help="Result of the disk, or of the pristine cell.")],
    calibration: Annotated[Path, typer.Option(help="With which it was processed; it is changed.")],
    segment: Annotated[
        int | None, typer.Option(min=1, help="Number of the exposure, where there are several.")
    ] = None,
) -> None:
    """Keep one exposure in the calibration: EMF is then also given relative to it.

    Example: hexlive calibrate reference disk.nxs --calibration cal.h5
    """
    refuse_same({"The calibration": calibration}, {"the result": result})
    chosen = reference_from_result(result, segment)
    save_reference(calibration, chosen)
    n_pixels = int(np.isfinite(chosen.windows.emf).sum())
    sigma = np.nanmedian(chosen.windows.sigma / chosen.windows.emf)
    say(
        f"{calibration}: reference is segment {chosen.segment} of {chosen.source}, "
        f"{n_pixels} pixels, median sigma {100 * sigma:.1f} % of the EMF"
    )


@calibrate.command("import")
def import_(
    gradient: GradientOption,
    rows: Annotated[int, typer.Option(min=1, max=MAX_SIDE_PX, help="Rows of the camera.")] = 80,
    columns: Annotated[
        int, typer.Option(min=1, max=MAX_SIDE_PX, help="Columns of the camera.")
    ] = 80,
    intercept: InterceptOption = "0",
    pedestal: Annotated[
        str, typer.Option(help="ADU: .npy, .mat, odin text (.gz), or one number.")
    ] = "0",
    threshold: Annotated[
        str | None,
        typer.Option(help="keV: .npy, .mat, text, or one number; default: the configuration's."),
    ] = None,
    charge_loss: ChargeLossOption = None,
    out: OutOption = Path("calibration.h5"),
) -> None:
    """Calibration from maps made elsewhere; a gradient of 0 marks a dead pixel.

    Example: hexlive calibrate import --gradient gradients.txt --intercept intercepts.txt
    """
    files = {
        "the gradient": Path(gradient),
        "the intercept": Path(intercept),
        "the pedestal": Path(pedestal),
        "the threshold": Path(threshold) if threshold else None,
        "the charge-loss curve": charge_loss,
    }
    refuse_same({"The calibration": out}, files)
    shape = (rows, columns)
    gradient_map, intercept_map = read_map(gradient, shape), read_map(intercept, shape)
    pedestal_map = read_map(pedestal, shape)
    calibration = Calibration(
        pedestal_adu=pedestal_map,
        noise_adu=np.zeros(shape, np.float32),
        gradient_kev_per_adu=gradient_map,
        intercept_kev=intercept_map,
        threshold_kev=None if threshold is None else read_map(threshold, shape),
        mask=(~usable_pixels(gradient_map, intercept_map, pedestal_map)).astype(np.uint8),
        charge_loss=_curve(charge_loss),
        sources=tuple(Path(name).name for name in (gradient, intercept)),
    )
    calibration.require_usable()
    calibration.save(out)
    say(f"{out}: {rows} x {columns} pixels, {int(calibration.mask.sum())} masked")


def _named(files: list[Path]) -> dict[str, Path]:
    """Each input with what to call it."""
    return {f"the input {file}": file for file in files}


def _curve(path: Path | None) -> NDArray[np.float32] | None:
    return None if path is None else charge_loss_curve(read_numbers(path), path)
