"""Options that several commands share, and what they say at the end."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hexlive.stream.console import say
from hexlive.stream.session import Outcome, Outputs


class Device(StrEnum):
    """Where events are counted."""

    auto = "auto"
    cuda = "cuda"
    cpu = "cpu"


ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML; see docs/formats.md. Default: the paper's.")
]
Backend = Annotated[Device, typer.Option("--backend", help="Where events are counted.")]
Address = Annotated[
    str, typer.Option("--to", help="Address of the receiver; a leading @ binds instead.")
]


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
