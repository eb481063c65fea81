"""``hexlive calibrate``: make a calibration file."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import h5py
import numpy as np
import typer
from numpy.typing import NDArray

from hexlive.stream.calibration import (
    Calibration,
    calibration_from_dark,
    charge_loss_curve,
    usable_pixels,
)
from hexlive.stream.console import say
from hexlive.stream.files import FileError, opened, refuse_same
from hexlive.stream.maps import read_map, read_numbers

calibrate = typer.Typer(help="Make a calibration file.", no_args_is_help=True)

# Far beyond any HEXITEC camera; a typing error beyond it would only fill the memory.
MAX_SIDE_PX: Final = 4096
DARK_DATASETS: Final = ("dark_frames", "entry/instrument/detector/data", "raw_frames")

GradientOption = Annotated[
    str, typer.Option("--gradient", help="keV/ADU: .npy, odin text (.gz), or one number.")
]
InterceptOption = Annotated[
    str, typer.Option("--intercept", help="keV: .npy, odin text (.gz), or one number.")
]
ChargeLossOption = Annotated[
    Path | None,
    typer.Option(
        "--charge-loss",
        help=".npy or text: factors on the energy of two-pixel events, from R = -1 to 1.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="Calibration file to write.")]


@calibrate.command()
def dark(
    file: Annotated[Path, typer.Argument(help="HDF5 with frames taken without beam.")],
    gradient: GradientOption,
    intercept: InterceptOption = "0",
    dataset: Annotated[str | None, typer.Option(help="Path of the frames.")] = None,
    charge_loss: ChargeLossOption = None,
    out: OutOption = Path("calibration.h5"),
) -> None:
    """Pedestal, noise, dead and hot pixels from frames taken without beam.

    Example: hexlive calibrate dark dark.h5 --gradient g.npy --intercept i.npy --out cal.h5
    """
    maps = {"the gradient": Path(gradient), "the intercept": Path(intercept)}
    others = {"the dark": file, "the charge-loss curve": charge_loss}
    refuse_same({"The calibration": out}, {**maps, **others})
    frames = _dark_frames(file, dataset)
    shape = (frames.shape[1], frames.shape[2])
    calibration = calibration_from_dark(
        frames, read_map(gradient, shape), read_map(intercept, shape), sources=(file.name,)
    )
    calibration = replace(calibration, charge_loss=_curve(charge_loss))
    calibration.require_usable()
    calibration.save(out)
    noise_kev = np.median(calibration.noise_adu * calibration.gradient_kev_per_adu)
    say(
        f"{out}: {shape[0]} x {shape[1]} pixels from {len(frames)} frames, "
        f"median noise {noise_kev:.3f} keV rms, {int(calibration.mask.sum())} pixels masked"
    )


@calibrate.command("import")
def import_(
    gradient: GradientOption,
    rows: Annotated[int, typer.Option(min=1, max=MAX_SIDE_PX, help="Rows of the camera.")] = 80,
    columns: Annotated[
        int, typer.Option(min=1, max=MAX_SIDE_PX, help="Columns of the camera.")
    ] = 80,
    intercept: InterceptOption = "0",
    pedestal: Annotated[str, typer.Option(help="ADU: .npy, odin text (.gz), or one number.")] = "0",
    threshold: Annotated[
        str | None, typer.Option(help="keV: .npy or one number; default: the configuration's.")
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


def _curve(path: Path | None) -> NDArray[np.float32] | None:
    return None if path is None else charge_loss_curve(read_numbers(path), path)


def _dark_frames(path: Path, dataset: str | None) -> NDArray[np.uint16]:
    with opened(path) as file:
        name = dataset or next((n for n in DARK_DATASETS if n in file), None)
        if name is None or not isinstance(file.get(name), h5py.Dataset):
            wanted = dataset or " or ".join(DARK_DATASETS)
            raise FileError(f"{path} has no dataset {wanted}; name the frames with --dataset.")
        data = file[name]
        if data.ndim != 3 or data.dtype != np.uint16:
            raise FileError(
                f"{path}: {name} is {data.shape} {data.dtype}, "
                "dark frames are (frames, rows, columns) uint16."
            )
        frames: NDArray[np.uint16] = data[()]
    return frames
