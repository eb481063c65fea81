"""Moves to the next height as soon as an exposure has the counts that it needs.

Example: python next_height.py tcp://127.0.0.1:5556 3

Needs pyzmq and no hexlive. `[advice] target_counts` in the configuration of the run says how many
Compton counts suffice; put your motor where the fake one is.
"""

import json
import sys

import zmq


def move_to(height: int) -> None:
    """A fake motor, which is there at once."""
    print(json.dumps({"type": "segment", "number": height}), flush=True)


def main(address: str, n_heights: int) -> None:
    """Listen until the last height is done, or the run is over."""
    socket = zmq.Context().socket(zmq.SUB)
    socket.subscribe(b'{"type":"advice"')
    socket.connect(address)
    height, status = 1, "running"
    while height < n_heights and status == "running":
        message = json.loads(socket.recv())
        status = message["status"]
        for advice in message["advice"]:
            enough = advice["subject"] == "compton_counts" and advice["change"] == "rising"
            # It is said of an exposure, and said again when the run was killed and goes on.
            if enough and height <= advice["segment"] < n_heights:
                height = advice["segment"] + 1
                move_to(height)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
