"""``hexlive process``, ``recover`` and ``reconstruct``: commands from file to file."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hexlive.reconstruct.volumes.flux import require_taufactor
from hexlive.stream.calibration import load_calibration
from hexlive.stream.commands.console import ProgressSink, fraction_bar
from hexlive.stream.commands.options import (
    Backend,
    Calibrated,
    CalibrationFile,
    Compat,
    ConfigFile,
    CyclerFile,
    CyclerOffset,
    Dataset,
    Device,
    conclude,
    cycler_log,
    device_name,
    refuse_uncalibrated,
)
from hexlive.stream.config import ConfigError, load_config, with_overrides
from hexlive.stream.cyclers import WithCycler, note_clock
from hexlive.stream.export.slices import draw_orthoslices, write_tiff
from hexlive.stream.files import refuse_same
from hexlive.stream.inputs import fit_detector
from hexlive.stream.interop.energies import step_calibration
from hexlive.stream.listing_map import refuse_high_listing
from hexlive.stream.reconstruction import measure_volume, reconstruct_file
from hexlive.stream.recordings import open_file
from hexlive.stream.recovery import recover as recover_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.stopping import stop_on_signals


def process(
    file: Annotated[Path, typer.Argument(help="A recording, HDF5 with frames, or camera .bin.")],
    calibration: CalibrationFile = None,
    config_file: ConfigFile = None,
    dataset: Dataset = None,
    calibrated: Calibrated = False,
    backend: Backend = Device.auto,
    compat: Compat = None,
    cycler: CyclerFile = None,
    cycler_offset: CyclerOffset = None,
    ct: Annotated[
        Path | None,
        typer.Option(help="Made by hexlive register: instead of components.from_ct."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Result file (NeXus).")] = Path("result.nxs"),
) -> None:
    """Process a recording, as fast as this machine can: the same counts as live.

    Example: hexlive process recording.h5 --calibration cal.h5 --out result.nxs
    """
    device, config = device_name(backend, compat), load_config(config_file)
    if ct is not None:
        config = replace(config, components=replace(config.components, from_ct=str(ct)))
    refuse_uncalibrated(calibration, calibrated=calibrated)
    rate_hz = config.detector.frame_rate_hz
    source = open_file(file, dataset, rate_hz, calibrated=calibrated)
    config = fit_detector(config, source.shape, explicit=config_file is not None)
    outputs = Outputs(result=out)
    outputs.refuse(
        {
            "the input": file,
            "the calibration": calibration,
            "the configuration": config_file,
            "the cycler's file": cycler,
            "the registered CT": ct,
        }
    )
    log = cycler_log(cycler, cycler_offset)
    maps = step_calibration(config) if calibration is None else load_calibration(calibration)
    if source.listing_adu is not None:
        refuse_high_listing(source.listing_adu, maps, config.events, str(file))
    with stop_on_signals() as stop, closing(ProgressSink(source.n_frames)) as progress:
        outcome = run_session(
            source if log is None else WithCycler(source, log),
            config, maps, outputs, device=device, stop=stop, progress=progress,
        )  # fmt: skip
    if log is not None and outcome.report.totals.expected:
        note_clock(log, out)
    conclude(outcome, outputs)


def recover(
    file: Annotated[Path, typer.Argument(help="Recording, or scan file (.nxs.part).")],
) -> None:
    """Make a file whole that was never closed, because its writer was killed or the disk was full.

    Example: hexlive recover recording.h5
    """
    with fraction_bar(file.name) as progress:
        recovered = recover_file(file, progress)
    print(recovered)


def reconstruct(
    scan: Annotated[Path, typer.Argument(help="NXtomo file, or a recording with --entry.")],
    out: Annotated[Path, typer.Option(help="Volume file (NeXus).")],
    config_file: ConfigFile = None,
    entry: Annotated[str | None, typer.Option(help="Such as scan_0001 in a recording.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, fourier, fourier-gpu, numba, astra-cpu or astra.")
    ] = None,
    centre: Annotated[str | None, typer.Option(help="auto, or the column of the axis, px.")] = None,
    rings: Annotated[str | None, typer.Option(help="none, mean, wavelet, sorting or all.")] = None,
    rows: Annotated[
        str | None, typer.Option(help="Detector rows FIRST:END, the end left out; default: all.")
    ] = None,
    memory_mb: Annotated[
        float | None, typer.Option("--memory-mb", help="Most memory to work in, MB.")
    ] = None,
    flux: Annotated[
        str | None, typer.Option(help="Simulate the flux along x, y or z; see [tomography.flux].")
    ] = None,
    tiff: Annotated[
        Path | None, typer.Option(help="Folder for a TIFF file of each slice, too.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Folder for pictures of three slices, too.")
    ] = None,
) -> None:
    """Reconstruct one CT scan.

    Example: hexlive reconstruct scan_0001.nxs --out volume.nxs --engine fourier --png pictures
    """
    refuse_same({"The volume": out}, {"the scan": scan, "the configuration": config_file})
    stated: dict[str, object] = {"engine": engine, "rings": rings, "memory_mb": memory_mb}
    if centre is not None:
        stated["centre"] = "auto" if centre == "auto" else _column(centre)
    settings = with_overrides(load_config(config_file).tomography, stated, "tomography")
    if flux is not None:
        chosen = with_overrides(settings.flux, {"axis": flux}, "tomography.flux")
        settings = replace(settings, flux=chosen)
    if settings.flux.axis != "none":
        require_taufactor()  # before an hour of work
    with fraction_bar(scan.name) as progress:
        view = reconstruct_file(scan, settings, out, entry, rows=_rows(rows), progress=progress)
    with fraction_bar(f"{out.name}, metrics") as progress:
        measured = measure_volume(out, settings, progress)
    notes = [view.pop("note"), measured.pop("note")]
    seconds = sum((view.pop("durations_s") | measured.pop("durations_s")).values())
    view |= measured
    found = "ra_um" in view
    roughness = f", Ra {view['ra_um']:.2f} um, Rq {view['rq_um']:.2f} um" if found else ""
    hindered = ""
    if "tortuosity_factor" in view:
        hindered = f", tortuosity factor {view['tortuosity_factor']:.3f}"
    print(
        f"{out}: centre {view['centre_px']:.2f} px, engine {view['engine']}, "
        f"{seconds:.1f} s{roughness}{hindered}"
    )
    if any(notes):
        print(" ".join(filter(None, notes)))

    _write_beside(out, tiff, png)


def _write_beside(volume: Path, tiff: Path | None, png: Path | None) -> None:
    """The volume for other programs."""
    for folder in filter(None, (tiff, png)):
        folder.mkdir(parents=True, exist_ok=True)
    if tiff is not None:
        with fraction_bar("TIFF") as progress:
            write_tiff(volume, tiff, progress)
    if png is not None:
        for path in draw_orthoslices(volume, png):
            print(path)


def _rows(text: str | None) -> slice | None:
    if text is None:
        return None
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal()):
        raise ConfigError(f"--rows takes FIRST:END, such as 1000:1016, not {text!r}.")
    return slice(int(first), int(end))


def _column(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--centre takes auto or a column in px, not {text!r}.") from None
