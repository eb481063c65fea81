"""A camera that cannot wait: sends frames at a rate, and drops what the data leg does not take.

Run: python -m hexlive.benchmarks.camera ADDRESS FRAMES.npy --frames N [--rate HZ]. It is a process
of its own, as a detector is. Without a rate it waits for the receiver instead, and so finds the
highest rate there is. Prints one JSON line: frames sent and dropped, seconds, and with --times when
each batch left.
"""

import argparse
import json
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.stream.model import End, Frames, Segment, Start
from hexlive.stream.sending import ZmqSender

BATCH: Final = 256
BUFFER_MB: Final = 64.0  # 0.6 s of a 9 kHz camera


def send(
    sender: ZmqSender, frames: NDArray[np.uint16], n_frames: int, rate_hz: float | None
) -> tuple[dict[str, float], list[float]]:
    """Send one series of ``n_frames`` whole batches, taken from ``frames`` over and over.

    Parameters
    ----------
    frames
        ``(frames, rows, columns) uint16, ADU``, whole batches of them.
    rate_hz
        A batch leaves when its last frame has been read out; None: as fast as it is taken.

    Returns
    -------
    tuple
        Frames sent and dropped, seconds; and when each batch left, Unix s.
    """
    series, (rows, columns) = str(uuid.uuid4()), frames.shape[1:]
    nominal_hz = rate_hz or 9_000.0
    sender.send(
        Start(
            series=series,
            rows=rows,
            columns=columns,
            frame_rate_hz=nominal_hz,
            started_s=time.time(),
        )
    )
    sender.send(Segment(series=series, number=1, first_frame=0, state=1, region=1))
    began_s, dropped, left_s = time.monotonic(), 0, []
    for first in range(0, n_frames, BATCH):
        if rate_hz is not None:
            time.sleep(max(0.0, began_s + (first + BATCH) / rate_hz - time.monotonic()))
        at = first % len(frames)
        batch = Frames(
            series=series,
            first_frame=first,
            timestamp_s=time.time(),
            frames=frames[at : at + BATCH],
        )
        left_s.append(batch.timestamp_s)
        took = sender.send if rate_hz is None else sender.try_send
        if not took(batch):
            dropped += BATCH
    sent_s = time.monotonic() - began_s
    sender.send(End(series=series, last_frame=n_frames - 1))
    return {"sent": n_frames - dropped, "dropped": dropped, "seconds": sent_s}, left_s


def main() -> None:
    """Send one series and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("file", type=Path)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    frames = np.load(options.file)
    with closing(ZmqSender(options.address, high_water_mark_mb=BUFFER_MB)) as sender:
        sent, left_s = send(sender, frames, options.frames, options.rate)
    said = sent | ({"left_s": left_s} if options.times else {})
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
