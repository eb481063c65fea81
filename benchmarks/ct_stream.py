"""A simulated CT scan sent at the speed of a real one, with or without frames beside it.

The phantom is a few disks, whose line integrals are known exactly; all detector rows see the same.
"""

import heapq
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.frames import make_frames
from hexlive.stream.model import End, Frames, Message, Projections, ScanEnd, ScanStart
from hexlive.stream.model import Start as SeriesStart
from hexlive.stream.nxtomo import DARK, FLAT, PROJECTION
from hexlive.stream.sending import ZmqSender

FRAME_HZ: Final = 9_000.0
FRAMES_PER_BATCH: Final = 256
OCCUPANCY: Final = 0.01
LEAD_S: Final = 1.0  # of frames before the scan
TAIL_S: Final = 3.0  # and after it
BEAM, DARK_LEVEL = 40_000.0, 100.0
N_REFERENCES: Final = 20
PIXEL_UM: Final = 3.24
SERIES: Final = "bench"
Timed = tuple[float, int, Message]  # when it is due, a number against ties, the message

# Disks (x, y, radius) in parts of the half width from the axis, and optical depth over the width.
DISKS: Final = (
    (0.0, 0.0, 0.88, 0.8),
    (0.1, -0.2, 0.5, 0.5),
    (-0.35, 0.3, 0.2, -0.4),
    (0.4, 0.45, 0.1, 1.2),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanPlan:
    """A scan of ``n_projections`` images of ``(rows, columns)``, one every ``interval_s``."""

    rows: int
    columns: int
    n_projections: int
    interval_s: float
    batch_images: int = 4
    with_frames: bool = False

    @property
    def centre_px(self) -> float:
        """Column of the axis."""
        return (self.columns - 1) / 2 + 0.005 * self.columns

    @property
    def n_images(self) -> int:
        """Darks, flats and projections."""
        return 2 * N_REFERENCES + self.n_projections

    @property
    def duration_s(self) -> float:
        """From the first image to the last."""
        return self.n_images * self.interval_s

    @property
    def image_key(self) -> NDArray[np.uint8]:
        """Of every image: darks, flats, projections."""
        counted = {DARK: N_REFERENCES, FLAT: N_REFERENCES, PROJECTION: self.n_projections}
        return np.repeat(np.array(list(counted), np.uint8), list(counted.values()))

    @property
    def angles_deg(self) -> NDArray[np.float64]:
        """Of every image; 0 where there is no sample."""
        half_turn = np.linspace(0, 180, self.n_projections, endpoint=False)
        return np.asarray(np.r_[np.zeros(2 * N_REFERENCES), half_turn])

    def line_integrals(self, angles_rad: NDArray[np.float64]) -> NDArray[np.float64]:
        """Exact, averaged over each column, ``(angles, columns)``."""
        half = self.columns / 2
        edges = np.arange(self.columns + 1) - 0.5 - self.centre_px
        total = np.zeros((len(angles_rad), self.columns))
        for x, y, radius, depth in DISKS:
            middle = half * (x * np.cos(angles_rad) + y * np.sin(angles_rad))
            s = np.clip((edges - middle[:, None]) / (radius * half), -1, 1)
            area = (radius * half) ** 2 * (s * np.sqrt(1 - s**2) + np.arcsin(s))
            total += depth / self.columns * np.diff(area, axis=1)
        return total

    def truth(self) -> NDArray[np.float32]:
        """Attenuation per pixel, ``(y, x)``."""
        axis = (np.arange(self.columns) - (self.columns - 1) / 2) / (self.columns / 2)
        image = np.zeros((self.columns, self.columns), np.float32)
        for x, y, radius, depth in DISKS:
            image[np.hypot(axis - x, axis[:, None] - y) < radius] += depth / self.columns
        return image


def send_scan(address: str, plan: ScanPlan, sent: Connection) -> None:
    """Send everything on time; says when the last projection left, and how late the latest was.

    Both in seconds, the first of them Unix time.
    """
    images = scan_messages(plan, counts(plan))
    with closing(ZmqSender(address)) as sender:
        sender.send(
            SeriesStart(
                series=SERIES, rows=80, columns=80, frame_rate_hz=FRAME_HZ, started_s=time.time()
            )
        )
        began_s, left_s, late_s, n_frames = time.monotonic(), 0.0, 0.0, 0
        for due_s, _, message in heapq.merge(_timed_images(images, plan), _timed_frames(plan)):
            behind_s = time.monotonic() - began_s - due_s
            time.sleep(max(0.0, -behind_s))
            late_s = max(late_s, behind_s)
            if isinstance(message, Frames):
                message = msgspec.structs.replace(message, timestamp_s=time.time())
                n_frames = message.end_frame
            sender.send(message)
            if isinstance(message, Projections):
                left_s = time.time()
        sender.send(End(series=SERIES, last_frame=n_frames - 1 if n_frames else None))
    sent.send((left_s, late_s))


def counts(plan: ScanPlan) -> NDArray[np.uint16]:
    """Darks, flats and projections over half a turn, as every row sees them, ``(images, columns)``.

    They are made before the clock runs.
    """
    beam = BEAM * np.exp(-plan.line_integrals(np.deg2rad(plan.angles_deg)))
    beam[plan.image_key == FLAT] = BEAM
    beam[plan.image_key == DARK] = 0
    return np.rint(beam + DARK_LEVEL).astype(np.uint16)


def scan_messages(plan: ScanPlan, one_row: NDArray[np.uint16]) -> Iterator[Message]:
    """The messages of a scan."""
    yield ScanStart(
        series=SERIES, scan=1, rows=plan.rows, columns=plan.columns, n_images=plan.n_images,
        pixel_um=PIXEL_UM,
    )  # fmt: skip
    for first in range(0, plan.n_images, plan.batch_images):
        part = slice(first, first + plan.batch_images)
        yield Projections(
            series=SERIES, scan=1, first_image=first, angles_deg=plan.angles_deg[part],
            image_key=plan.image_key[part],
            images=np.repeat(one_row[part, None], plan.rows, axis=1),
        )  # fmt: skip
    yield ScanEnd(series=SERIES, scan=1, n_images=plan.n_images)


def _timed_images(messages: Iterator[Message], plan: ScanPlan) -> Iterator[Timed]:
    """A batch is due when its last image would have been read out."""
    due_s = LEAD_S if plan.with_frames else 0.0
    for number, message in enumerate(messages):
        if isinstance(message, Projections):
            due_s += len(message.images) * plan.interval_s
        yield due_s, 2 * number, message


def _timed_frames(plan: ScanPlan) -> Iterator[Timed]:
    if not plan.with_frames:
        return
    frames = make_frames(OCCUPANCY, FRAMES_PER_BATCH)
    n_batches = int((LEAD_S + plan.duration_s + TAIL_S) * FRAME_HZ / FRAMES_PER_BATCH)
    for number in range(n_batches):
        first = number * FRAMES_PER_BATCH
        batch = Frames(series=SERIES, first_frame=first, timestamp_s=0.0, frames=frames)
        yield (first + FRAMES_PER_BATCH) / FRAME_HZ, 2 * number + 1, batch
