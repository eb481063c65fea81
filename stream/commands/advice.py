"""``hexlive advice``: what a running pipeline advises, as lines for people and programs."""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import zmq

from hexlive.stream.commands.options import KeysFolder
from hexlive.stream.model import AdviceList
from hexlive.stream.sockets import POLL_MS, Endpoint
from hexlive.stream.stopping import Stop, stop_on_signals
from hexlive.stream.views import Advice
from hexlive.stream.wire import WireError, decode

TOPIC = b'{"type":"advice"'
QUEUED = 16
SILENT_POLLS = 200  # 10 s
LOG = logging.getLogger(__name__)


def advice(
    address: Annotated[str, typer.Argument(help="Address a pipeline publishes on.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    keys: KeysFolder = None,
) -> None:
    """Print targets as they are reached and alarms as they rise and fall, until the run ends.

    Example: hexlive advice tcp://127.0.0.1:5556 --json
    """
    with stop_on_signals() as stop:
        for item in listen(address, keys, stop):
            print(msgspec.json.encode(item).decode() if as_json else line(item), flush=True)


def line(item: Advice) -> str:
    """Time, change, kind and subject in columns, then the sentence."""
    when = datetime.fromtimestamp(item.time_s).isoformat(timespec="seconds")
    return f"{when}  {item.change:8}{item.kind:8}{item.subject:24}{item.sentence}"


def listen(address: str, keys: Path | None, stop: Stop) -> Iterator[Advice]:
    """What holds when the first list comes, then every change, until the run ends."""
    endpoint = Endpoint(zmq.SUB, address, bind=False, high_water_mark=QUEUED, keys=keys)
    with closing(endpoint):
        endpoint.socket.subscribe(TOPIC)
        known: AdviceList | None = None
        n_silent = 0
        while not stop.asked():
            n_silent += 1
            if n_silent == SILENT_POLLS:
                LOG.warning("nothing comes from %s: no run has begun there, or it is dead", address)
            if not endpoint.socket.poll(POLL_MS):
                continue
            n_silent = 0
            try:
                newest = decode(endpoint.socket.recv_multipart())
            except WireError:
                continue
            if not isinstance(newest, AdviceList):
                continue
            yield from news(known, newest)
            known = newest
            if newest.status != "running":
                return


def news(known: AdviceList | None, newest: AdviceList) -> list[Advice]:
    """What a list has that the one before had not; of the first one, what holds."""
    if known is None or newest.sequence < known.sequence:  # another run has taken over the address
        return [item for item in newest.advice if item.change == "rising"]
    return [item for item in newest.advice if item not in known.advice]
