"""Options that several commands share, and what they say at the end."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hexlive.reconstruct.charge import CyclerLog
from hexlive.stream.commands.console import say
from hexlive.stream.cyclers import read_cycler
from hexlive.stream.device import DeviceName
from hexlive.stream.listing import Listing
from hexlive.stream.listing_map import read_listing
from hexlive.stream.session import Outcome, Outputs


class Device(StrEnum):
    """Where events are counted."""

    auto = "auto"
    cuda = "cuda"
    cpu = "cpu"


class Chain(StrEnum):
    """Whose counts to reproduce, for comparison."""

    odin = "odin"
    odin_5x5 = "odin-5x5"


ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML; see docs/formats.md. Default: the paper's.")
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", help="Made by hexlive calibrate; not with --calibrated."),
]
Calibrated = Annotated[
    bool, typer.Option("--calibrated", help="The frames are float32 keV (processed_frames).")
]
Dataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Path of the frames in the file; default: the usual places."),
]
Backend = Annotated[Device, typer.Option("--backend", help="Where events are counted.")]
Compat = Annotated[
    Chain | None,
    typer.Option("--compat", help="For comparison only: count as the facility's chain does."),
]
Address = Annotated[
    str, typer.Option("--to", help="Address of the receiver; a leading @ binds instead.")
]
KeysFolder = Annotated[
    Path | None, typer.Option("--keys", help="Folder of CurveZMQ keys; see docs/security.md.")
]
Sparse = Annotated[
    str | None,
    typer.Option(
        "--sparse",
        help="Send lists of the pixels that reach so many ADU (.npy or one number), not frames.",
    ),
]

Checked = Annotated[
    bool,
    typer.Option("--checked", help="Send a checksum with each message, about 1 GB/s per core."),
]

CyclerFile = Annotated[
    Path | None,
    typer.Option("--cycler", help="Rows of the battery cycler: BDF (CSV) or Gamry .DTA."),
]
CyclerOffset = Annotated[
    float | None,
    typer.Option(
        "--cycler-offset",
        help="Seconds to add to the cycler's clock; of a .DTA file the Unix time of its start.",
    ),
]


def refuse_uncalibrated(calibration: Path | None, *, calibrated: bool) -> None:
    """Refuse frames in ADU without a calibration, and frames in keV with one.

    Raises
    ------
    typer.BadParameter
        It is so.
    """
    if calibrated == (calibration is not None):
        raise typer.BadParameter("name a --calibration, or say that frames are --calibrated.")


def rate_hz(text: str) -> float | None:
    """Frames per second, or None for "max".

    Raises
    ------
    typer.BadParameter
        Neither.
    """
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise typer.BadParameter(f"--rate takes frames per second or max, not {text!r}.")
    return rate


def device_name(backend: Device, compat: Chain | None) -> DeviceName:
    """The device that the options name.

    Raises
    ------
    typer.BadParameter
        ``--compat`` with a GPU.
    """
    if compat is None:
        return backend.value
    if backend is Device.cuda:
        raise typer.BadParameter("--compat runs on the CPU; leave --backend cuda out.")
    return compat.value


def listing_adu(sparse: str | None, shape: tuple[int, int]) -> Listing:
    """What ``--sparse`` says, ``(rows, columns) float32, ADU``; None: send whole frames.

    Raises
    ------
    FileError
        Neither a number nor a map of this shape, or not finite everywhere.
    """
    if sparse is None:
        return None
    return read_listing(sparse, shape, "--sparse")


def cycler_log(path: Path | None, offset_s: float | None) -> CyclerLog | None:
    """Rows of a cycler's file on the clock of the run; None without a file.

    Raises
    ------
    typer.BadParameter
        The offset of its clock is not stated, or is stated without a file.
    FileError
        The file cannot be used.
    """
    if path is None and offset_s is None:
        return None
    if path is None or offset_s is None:
        raise typer.BadParameter(
            "--cycler and --cycler-offset go together; 0 says that both clocks are the same."
        )
    return read_cycler(path).shifted(offset_s)


def conclude(outcome: Outcome, outputs: Outputs) -> None:
    """Say what was written.

    Raises
    ------
    OSError
        Not everything accepted is on disk, or a CT scan was not reconstructed.
    """
    totals = outcome.report.totals
    say(f"{outputs.result}: {totals.received} frames, {totals.lost} missing")
    if outcome.report.rejected:
        counted = (f"{count} {reason}" for reason, count in outcome.report.rejected.items())
        say(f"rejected: {', '.join(counted)}")
    if outcome.faults:
        raise OSError(" ".join(outcome.faults))
