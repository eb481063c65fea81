"""A faulty stream into a real run: what is lost is counted to the frame, and all else is booked."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hexlive.stream.model import AnyMessage
from hexlive.stream.simulator.faults import FAULTS
from hexlive.stream.simulator.injected import frame_numbers

IDLE = "idle_timeout_s = 1.0"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_what_it_destroys_and_nothing_else(
    start: Callable[..., Any],
    pusher: Callable[..., Any],
    send_all: Callable[..., None],
    hold_against: Callable[..., Any],
    sound_messages: list[AnyMessage],
    name: str,
) -> None:
    fault = FAULTS[name]
    injected = fault(sound_messages, np.random.default_rng(7))
    running = start(IDLE)
    send_all(pusher(running.input), injected.sent)
    assert fault.__doc__ is not None
    lost = frame_numbers(sound_messages) - frame_numbers(injected.survivors)
    hold_against(
        running,
        injected.survivors,
        fault=fault.__doc__.rstrip("."),
        # What came before a receiver joined was never expected.
        missing=set() if name == "late_join" else lost,
        rejected=dict(injected.rejected),
    )
