"""``hexlive morphology``: how the anode changed from one CT volume to the next."""

from pathlib import Path
from typing import Annotated

import typer

from hexlive.reconstruct.volumes.morphology import Morphology
from hexlive.stream.commands.console import say
from hexlive.stream.commands.export import make_folder
from hexlive.stream.config import load_config
from hexlive.stream.export.morphology import draw_morphology, morphology_rows
from hexlive.stream.export.tables import write_table
from hexlive.stream.files import refuse_same
from hexlive.stream.stages import opened_stages, write_morphology


def morphology(
    volumes: Annotated[
        list[Path], typer.Argument(help="Volume files (NeXus) in the order of the stages.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the table, the volume and the plots.")],
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="Measure anew, with its [tomography.surface]."),
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw PNG files; needs matplotlib.")] = True,
) -> None:
    """Compare the anode of CT volumes: what grew and what went since the first.

    Example: hexlive morphology scan_0001_volume.nxs scan_0002_volume.nxs --out morphology
    """
    make_folder(out)
    target = out / "morphology.nxs"
    names = {f"volume {i + 1}": path for i, path in enumerate(volumes)}
    refuse_same({"The comparison": target}, names)
    settings = load_config(config_file).tomography.surface if config_file else None
    with opened_stages(volumes, settings) as stages:
        compared = Morphology(stages)
        seen = write_morphology(target, compared)
    files = [target, write_table(out / "morphology.csv", morphology_rows(seen))]
    for change, path in zip(seen.changes, volumes, strict=True):
        print(
            f"{change.name:4} {change.volume_um3:.4g} ± {change.volume_sigma_um3:.2g} um3, "
            f"change {change.change_um3 / seen.changes[0].volume_um3:+.2%} "
            f"± {change.change_sigma_um3 / seen.changes[0].volume_um3:.2%}, "
            f"outline to {change.residual_um:.1f} um  {path}"
        )
    if plots:
        files += draw_morphology(seen, compared.voxel_um, out)
    for path in files:
        say(f"{path}  {path.stat().st_size / 1000:.0f} kB")
