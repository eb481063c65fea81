"""Whoever listens to the display leg, with a stop watch.

Run: python -m hexlive.benchmarks.listener ADDRESS. Prints one JSON line when it is connected, and
one at the end of the run: when each snapshot was there (Unix s), and how many frames it held.
"""

import json
import sys
import time
from typing import Final

import msgspec
import zmq

PATIENCE_MS: Final = 20_000


class _Health(msgspec.Struct):
    frames_received: int


class _Header(msgspec.Struct):
    type: str
    status: str = ""
    health: _Health | None = None


def listen(address: str) -> list[tuple[float, int]]:
    """Time and number of frames of every snapshot until the run is over."""
    heard: list[tuple[float, int]] = []
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.subscribe(b"")
        socket.connect(address)
        print(json.dumps({"listening": True}), flush=True)
        while socket.poll(PATIENCE_MS):
            header, *_ = socket.recv_multipart()
            now_s = time.time()
            found = msgspec.json.decode(header, type=_Header)
            if found.health is not None:
                heard.append((now_s, found.health.frames_received))
                if found.status == "stopped":
                    break
    return heard


def main() -> None:
    """Listen to one run."""
    print(json.dumps({"heard": listen(sys.argv[1])}), flush=True)


if __name__ == "__main__":
    main()
