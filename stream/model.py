"""The messages: what the detector, the beamline and the pipeline say to each other.

Every message is a frozen struct; ``hexlive.stream.wire`` turns it into bytes and back.
Arrays are little-endian, C order. Times are Unix seconds.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.scalars import (
    Count,
    Fraction,
    Label,
    MarkLabel,
    Mode,
    Ordinal,
    RateHz,
    Seconds,
    Series,
    Side,
    Version,
)
from hexlive.stream.views import (
    Advice,
    BandsView,
    CtView,
    Health,
    LineView,
    MapView,
    MarkView,
    PartView,
    RelativeView,
    ScanView,
    TargetView,
    TrendRow,
    UnevenView,
)


class Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    eq=False,
    tag_field="type",
    forbid_unknown_fields=True,
):
    """Common to all messages.

    Attributes
    ----------
    series
        UUID of the acquisition; a new one closes the old.
    v
        Version of the format.
    checked
        On the wire only: a last part follows, the CRC-32 of all the others.
    """

    series: Series
    v: Version = 1
    checked: Literal[True] | msgspec.UnsetType = msgspec.UNSET


class Start(Message, tag="start", frozen=True, kw_only=True):
    """A series begins; its first frame has number ``first_frame``."""

    rows: Side
    columns: Side
    frame_rate_hz: RateHz
    started_s: Seconds
    first_frame: Count = 0
    detector: Label = "HEXITEC"


class Frames(Message, tag="frames", frozen=True, kw_only=True):
    """Consecutive frames, ``(frames, rows, columns) uint16, ADU``.

    Numbers rise by one from ``first_frame``; a sender that lost a frame starts a new message.
    """

    first_frame: Count
    timestamp_s: Seconds
    frames: NDArray[np.uint16]

    @property
    def end_frame(self) -> int:
        """One more than the last frame number."""
        return self.first_frame + len(self.frames)

    def cut(self, first_frame: int, end_frame: int) -> "Frames":
        """The part of this batch in the half-open range of frame numbers; shares the array."""
        begin = first_frame - self.first_frame
        part = self.frames[begin : end_frame - self.first_frame]
        return msgspec.structs.replace(self, first_frame=first_frame, frames=part)


class EventList(Message, tag="events", frozen=True, kw_only=True):
    """Consecutive frames as the list of their pixels above a threshold of the sender, in ADU.

    On the wire only: ``hexlive.stream.wire.decode`` gives the ``Frames`` that it stands for, with
    0 ADU where nothing is listed.

    Attributes
    ----------
    count, shape
        Number of frames, and (rows, columns) of each.
    frame, pixel, adu
        ``(n,)`` uint32, uint32, uint16: offset from ``first_frame``, row-major index, value;
        strictly ascending in (frame, pixel).
    """

    first_frame: Count
    timestamp_s: Seconds
    count: Annotated[int, msgspec.Meta(gt=0, le=2**31)]
    shape: tuple[Side, Side]
    frame: NDArray[np.uint32]
    pixel: NDArray[np.uint32]
    adu: NDArray[np.uint16]


class Segment(Message, tag="segment", frozen=True, kw_only=True):
    """From frame ``first_frame`` on, frames belong to a new exposure.

    Attributes
    ----------
    number
        Counts exposures from 1.
    mode
        "xcs" (Compton exposure) or "ct".
    region
        Height of the sheet beam: 1 cathode, 2 interphase, 3 anode; None outside the cell's scheme.
    state
        Number of the electrochemical state.
    soc
        State of charge, 0 to 1.
    height_mm
        Vertical position of the cell.
    """

    number: Ordinal
    first_frame: Count
    mode: Mode = "xcs"
    region: Ordinal | None = None
    state: Ordinal | None = None
    soc: Fraction | None = None
    height_mm: float | None = None
    started_s: Seconds | None = None

    def names(self, other: "Segment | None") -> bool:
        """Whether this is the exposure ``other``, of which nothing was known but its frames."""
        return (
            other is not None
            and (self.series, self.number, self.first_frame)
            == (other.series, other.number, other.first_frame)
            and other.anonymous
            and not self.anonymous
        )

    @property
    def anonymous(self) -> bool:
        """Nobody said what is exposed."""
        return all(each is None for each in (self.region, self.state, self.soc, self.height_mm))


class ScanStart(Message, tag="scan_start", frozen=True, kw_only=True):
    """A CT scan begins; projections of ``(rows, columns)`` pixels follow."""

    scan: Annotated[int, msgspec.Meta(ge=1)]
    rows: Annotated[int, msgspec.Meta(gt=0, le=65536)]
    columns: Annotated[int, msgspec.Meta(gt=0, le=65536)]
    n_images: Count
    pixel_um: float
    state: Ordinal | None = None
    started_s: Seconds | None = None


class Projections(Message, tag="projections", frozen=True, kw_only=True):
    """Images of a CT scan: ``(images, rows, columns) uint16`` with angle and NXtomo image key.

    ``image_key``: 0 projection, 1 flat, 2 dark, 3 invalid; ``first_image`` counts from 0.
    """

    scan: Annotated[int, msgspec.Meta(ge=1)]
    first_image: Count
    angles_deg: NDArray[np.float64]
    image_key: NDArray[np.uint8]
    images: NDArray[np.uint16]

    @property
    def end_image(self) -> int:
        """One more than the last image number."""
        return self.first_image + len(self.images)

    def cut(self, first_image: int, end_image: int) -> "Projections":
        """The part of this batch in the half-open range of image numbers; shares the arrays."""
        part = slice(first_image - self.first_image, end_image - self.first_image)
        return msgspec.structs.replace(
            self,
            first_image=first_image,
            angles_deg=self.angles_deg[part],
            image_key=self.image_key[part],
            images=self.images[part],
        )


class ScanEnd(Message, tag="scan_end", frozen=True, kw_only=True):
    """A CT scan is over, ``n_images`` images were sent."""

    scan: Annotated[int, msgspec.Meta(ge=1)]
    n_images: Count


class Cycler(Message, tag="cycler", frozen=True, kw_only=True):
    """One row of the battery cycler, on the clock of the cycler."""

    time_s: Seconds
    voltage_volt: float
    current_ampere: float
    capacity_ah: float


class Mark(Message, tag="mark", frozen=True, kw_only=True):
    """What a person noted of the cell at a moment; it changes no counts and ends no exposure."""

    label: MarkLabel
    time_s: Seconds


class End(Message, tag="end", frozen=True, kw_only=True):
    """A series is over once all frames up to ``last_frame`` are in; None: no frame was sent."""

    last_frame: Count | None


class Snapshot(Message, tag="snapshot", frozen=True, kw_only=True):
    """Everything a monitor shows, at one moment; the newest wins.

    Maps are ``(rows, columns)``, NaN where undefined. ``profile_j`` is the Compton profile over
    ``pz_au`` (atomic units, pz > 0 means energy above the Compton peak). ``gain_percent`` has time
    (s), change of the gain since the first point, and its standard error; ``gain_alarm`` is a
    sentence where that change is an alarm. ``peak_residual_kev`` is the measured centre of the
    Compton peak minus that of the geometry; ``undefined`` says why a pixel has no EMF, as index
    into ``hexlive.reconstruct.emf.REASONS``; ``recent`` is the map of the last ``recent_s`` seconds
    of live time. ``parts`` are of the present state.
    """

    sequence: int
    created_s: Seconds
    status: Literal["running", "stopped", "error"]
    note: str
    health: Health
    segment: Segment | None = None
    incident_kev: float
    inner_au: float
    outer_au: float
    trend: list[TrendRow]
    cycler: list[tuple[float, float, float, float]]
    ct: CtView | None = None
    energy_edges_kev: NDArray[np.float64]
    spectrum: NDArray[np.uint64]
    emf: NDArray[np.float32]
    emf_sigma: NDArray[np.float32]
    compton_counts: NDArray[np.float32]
    hits: NDArray[np.uint64]
    theta_deg: NDArray[np.float32]
    pz_au: NDArray[np.float64]
    profile_j: NDArray[np.float64]
    profile_sigma: NDArray[np.float64]
    emf_mean: float | None = None
    emf_mean_sigma: float | None = None
    gain_percent: list[tuple[float, float | None, float | None]] = []
    gain_alarm: str = ""
    relative: RelativeView | None = None
    superpixels: MapView | None = None
    adaptive: MapView | None = None
    recent: MapView | None = None
    recent_s: float | None = None
    peak_residual_kev: NDArray[np.float32] | None = None
    undefined: NDArray[np.uint8] | None = None
    bands: BandsView | None = None
    parts: list[PartView] = []
    lines: list[LineView] = []
    target: TargetView | None = None
    scans: list[ScanView] = []
    marks: list[MarkView] = []
    uneven: UnevenView | None = None
    doubts: list[str] = []
    notes: list[str] = []


class AdviceList(Message, tag="advice", frozen=True, kw_only=True):
    """The last change of every subject so far, oldest first; on the display leg only.

    Sent whole after every snapshot, so that nothing is lost where the newest wins, and whoever
    comes late learns what holds. It is one part, and a topic: subscribe to ``{"type":"advice"``.
    """

    sequence: int
    created_s: Seconds
    status: Literal["running", "stopped", "error"]
    advice: list[Advice]


AnyMessage = (
    Start
    | Frames
    | Segment
    | ScanStart
    | Projections
    | ScanEnd
    | Cycler
    | Mark
    | End
    | Snapshot
    | AdviceList
)
