"""Which panels there are, on which page, and where each stands.

A new panel is one class with a ``widget`` and ``show(snapshot)``, and one line in `PAGES`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from hexlive.monitor.card import Card
from hexlive.monitor.compare import ComparePanel
from hexlive.monitor.context import Context
from hexlive.monitor.cycling import CyclingPanel, cycling_with_charge
from hexlive.monitor.health import DriftPanel, LogPanel, RatesPanel
from hexlive.monitor.maps import CountsMap, EmfMap, HitsMap, PeakMap, SigmaMap
from hexlive.monitor.parts import ComponentProfiles, ComponentSpectra, RegionSpectra
from hexlive.monitor.profile import ProfilePanel
from hexlive.monitor.slices import CtPanel, LinkedSlices
from hexlive.monitor.spectra import SpectrumPanel
from hexlive.monitor.stages import StagesPanel
from hexlive.monitor.table import CountersTable, StatesTable
from hexlive.monitor.topography import SurfacePanel
from hexlive.monitor.trends import TrendPanel
from hexlive.monitor.uneven import UnevenTable
from hexlive.monitor.windows import WindowMap, WindowSpectrum
from hexlive.stream.model import Snapshot


class Panel(Protocol):
    """One picture of the screen."""

    @property
    def widget(self) -> Card:
        """What to put on the screen."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot; whatever arrays it holds, of any size."""


class Place(NamedTuple):
    """Cells of the grid of a page that a panel covers."""

    row: int
    column: int
    rows: int
    columns: int


Make = Callable[[Context], Panel]

PAGES: Final[dict[str, dict[Make, Place]]] = {
    "Overview": {
        EmfMap: Place(0, 0, 2, 11),
        SigmaMap: Place(0, 11, 1, 5),
        CountsMap: Place(1, 11, 1, 5),
        SpectrumPanel: Place(0, 16, 2, 10),
        ProfilePanel: Place(0, 26, 2, 10),
        TrendPanel: Place(2, 0, 2, 12),
        CyclingPanel: Place(2, 12, 2, 9),
        CtPanel: Place(2, 21, 2, 15),
    },
    "Maps": {
        EmfMap: Place(0, 0, 2, 16),
        SigmaMap: Place(0, 16, 1, 10),
        CountsMap: Place(0, 26, 1, 10),
        PeakMap: Place(1, 16, 1, 10),
        HitsMap: Place(1, 26, 1, 10),
    },
    "Spectra": {
        WindowSpectrum: Place(0, 0, 1, 22),
        WindowMap: Place(0, 22, 1, 14),
        RegionSpectra: Place(1, 0, 1, 12),
        ComponentSpectra: Place(1, 12, 1, 12),
        ComponentProfiles: Place(1, 24, 1, 12),
    },
    "CT": {
        LinkedSlices: Place(0, 0, 2, 24),
        SurfacePanel: Place(0, 24, 1, 12),
        StagesPanel: Place(1, 24, 1, 12),
    },
    "Cell": {
        TrendPanel: Place(0, 0, 3, 21),
        cycling_with_charge: Place(0, 21, 3, 15),
        StatesTable: Place(3, 0, 2, 36),
    },
    "Compare": {
        ComparePanel: Place(0, 0, 5, 1),
        UnevenTable: Place(5, 0, 2, 1),
    },
    "Health": {
        RatesPanel: Place(0, 0, 1, 14),
        DriftPanel: Place(0, 14, 1, 12),
        CountersTable: Place(0, 26, 2, 10),
        LogPanel: Place(1, 0, 1, 26),
    },
}

# What these show changes with the counts only, so between two exposures there is nothing to draw.
COUNTED: Final = frozenset(
    {
        EmfMap, SigmaMap, CountsMap, PeakMap, HitsMap, SpectrumPanel, ProfilePanel,
        WindowSpectrum, WindowMap, RegionSpectra, ComponentSpectra, ComponentProfiles,
    }
)  # fmt: skip


def counted(snapshot: Snapshot) -> tuple[object, ...]:
    """What differs between two snapshots when frames were counted in between them."""
    segment, health = snapshot.segment, snapshot.health
    number = None if segment is None else segment.number
    return snapshot.series, number, health.frames_received, health.live_time_s, snapshot.status
