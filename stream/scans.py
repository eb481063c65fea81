"""Which messages of CT scans belong to a scan that is open, and what number it has in this run."""

import msgspec

from hexlive.stream.exposure import Exposure
from hexlive.stream.model import AnyMessage, Projections, ScanEnd, ScanStart

ScanMessage = ScanStart | Projections | ScanEnd


class ScanDeskState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a desk knows."""

    n_scans: int = 0
    known: list[tuple[str, int]] = []
    open: ScanStart | None = None


class ScanDesk:
    """Opens and closes CT scans; scans are numbered through, however many series a run has.

    Every image passes once, by its number. Images may still come after the end of their scan, until
    another begins: senders differ in speed.
    """

    def __init__(self) -> None:
        self._n_scans = 0
        self._known: set[tuple[str, int]] = set()
        self._open: ScanStart | None = None
        self._ended = False
        self._images = Exposure(0, 0)

    def fault(self, message: ScanMessage) -> str | None:
        """Why this message cannot be taken, if so."""
        key = (message.series, message.scan)
        if isinstance(message, ScanStart):
            return "repeated_scan" if key in self._known else None
        if self._open is None or key != (self._open.series, self._open.scan):
            return "unknown_scan"
        if isinstance(message, ScanEnd):
            return "repeated_scan" if self._ended else None
        expected = (self._open.rows, self._open.columns)
        return None if message.images.shape[1:] == expected else "scan_shape"

    def admit(self, message: ScanMessage) -> list[AnyMessage]:
        """Take a message without fault; what is new of it, with the number that the run uses."""
        if isinstance(message, ScanStart):
            self._known.add((message.series, message.scan))
            self._n_scans += 1
            self._open, self._ended, self._images = message, False, Exposure(0, 0)
        message = msgspec.structs.replace(message, scan=self._n_scans)
        if isinstance(message, Projections):
            new = self._images.take(message.first_image, message.end_image)
            return [message.cut(*part) for part in new]
        self._ended = isinstance(message, ScanEnd)
        return [message]

    @property
    def _under_way(self) -> ScanStart | None:
        return None if self._ended else self._open

    @property
    def opening(self) -> list[AnyMessage]:
        """The beginning of the scan that is open, if one is, with the number that the run uses."""
        start = self._under_way
        return [msgspec.structs.replace(start, scan=self._n_scans)] if start else []

    def ending(self, n_images: int) -> ScanEnd | None:
        """The message with which the sender would end the scan that is open; None: none is."""
        start = self._under_way
        if start is None:
            return None
        return ScanEnd(series=start.series, scan=start.scan, n_images=n_images)

    @property
    def next(self) -> int:
        """The number of the next scan that begins."""
        return self._n_scans + 1

    def leave(self, *, again: bool) -> bool:
        """Close the scan that is open, if one is, so that it may begin ``again``, or not."""
        left, self._open = self._under_way, None
        if left is None or not again:
            return False
        self._known.remove((left.series, left.scan))
        self._n_scans -= 1
        return True

    def state(self) -> ScanDeskState:
        """For a checkpoint."""
        return ScanDeskState(n_scans=self._n_scans, known=sorted(self._known), open=self._under_way)

    def restore(self, state: ScanDeskState) -> None:
        """Go on from a checkpoint."""
        self._n_scans, self._known, self._open = state.n_scans, set(state.known), state.open
        self._ended, self._images = False, Exposure(0, 0)
