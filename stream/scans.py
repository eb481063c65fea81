"""Which messages of CT scans belong to a scan that is open, and what number it has in this run."""

import msgspec

from hexlive.stream.model import AnyMessage, Projections, ScanEnd, ScanStart

ScanMessage = ScanStart | Projections | ScanEnd


class ScanDeskState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a desk knows."""

    n_scans: int = 0
    known: list[tuple[str, int]] = []
    open: ScanStart | None = None


class ScanDesk:
    """Opens and closes CT scans; scans are numbered through, however many series a run has."""

    def __init__(self) -> None:
        self._n_scans = 0
        self._known: set[tuple[str, int]] = set()
        self._open: ScanStart | None = None

    def fault(self, message: ScanMessage) -> str | None:
        """Why this message cannot be taken, if so."""
        key = (message.series, message.scan)
        if isinstance(message, ScanStart):
            return "repeated_scan" if key in self._known else None
        if self._open is None or key != (self._open.series, self._open.scan):
            return "unknown_scan"
        if isinstance(message, Projections):
            expected = (self._open.rows, self._open.columns)
            return None if message.images.shape[1:] == expected else "scan_shape"
        return None

    def admit(self, message: ScanMessage) -> AnyMessage:
        """Take a message without fault; gives it back with the number that the run uses."""
        if isinstance(message, ScanStart):
            self._known.add((message.series, message.scan))
            self._n_scans += 1
            self._open = message
        elif isinstance(message, ScanEnd):
            self._open = None
        return msgspec.structs.replace(message, scan=self._n_scans)

    @property
    def opening(self) -> list[AnyMessage]:
        """The beginning of the scan that is open, if one is, with the number that the run uses."""
        return [msgspec.structs.replace(self._open, scan=self._n_scans)] if self._open else []

    @property
    def next(self) -> int:
        """The number of the next scan that begins."""
        return self._n_scans + 1

    def leave(self, *, again: bool) -> bool:
        """Close the scan that is open, if one is, so that it may begin ``again``, or not."""
        left, self._open = self._open, None
        if left is None or not again:
            return False
        self._known.remove((left.series, left.scan))
        self._n_scans -= 1
        return True

    def state(self) -> ScanDeskState:
        """For a checkpoint."""
        return ScanDeskState(n_scans=self._n_scans, known=sorted(self._known), open=self._open)

    def restore(self, state: ScanDeskState) -> None:
        """Go on from a checkpoint."""
        self._n_scans, self._known, self._open = state.n_scans, set(state.known), state.open
