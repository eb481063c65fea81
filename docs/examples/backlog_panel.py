"""A panel for the monitor: how far the run is behind its camera, in the course of time.

Example: python backlog_panel.py tcp://127.0.0.1:5556
"""

from collections import deque

from hexlive.monitor.app import main
from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.panels import PAGES, Place
from hexlive.stream.model import Snapshot


class BacklogPanel:
    """The last thousand snapshots."""

    def __init__(self, context: Context) -> None:
        self.widget = Card(context.theme, "Backlog", "Age of a frame when it is counted, ms.")
        self._plot = self.widget.plot(0, 0, "snapshot", "backlog (ms)")
        self._curve = self._plot.plot(pen=context.theme.curve)
        self._ms: deque[float] = deque(maxlen=1000)

    def show(self, snapshot: Snapshot) -> None:
        """Take one more value; recordings have none."""
        if snapshot.health.backlog_ms is None:
            return
        self._ms.append(snapshot.health.backlog_ms)
        self._curve.setData(list(self._ms))
        self.widget.say(f"{self._ms[-1]:.0f} ms")
        self.widget.keep(backlog_ms=list(self._ms))


PAGES["Health"][BacklogPanel] = Place(2, 0, 1, 36)  # a third row, of full width

if __name__ == "__main__":
    main()
