"""The monitor's own window without a screen, with a stop watch.

Run: python -m hexlive.benchmarks.watcher ADDRESS PAGE SECONDS. It counts from the first snapshot
and prints one JSON line: redraws per second, share of a core that the GUI thread took, age of data.
"""

import json
import os
import statistics
import sys
import time

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from hexlive.monitor.client import Client
from hexlive.monitor.main_window import MonitorWindow
from hexlive.monitor.panels import PAGES


class Watched(MonitorWindow):
    """Notes how old each snapshot is when it is drawn, and what drawing costs."""

    def __init__(self, client: Client, page: str, seconds: float) -> None:
        self._seconds = seconds
        self._began_s: float | None = None
        self._began_cpu_s, self._drawn_before = 0.0, 0
        self._ages_s: list[float] = []
        super().__init__(client)
        self.view.turn_to(next(name for name in PAGES if name.lower() == page))

    def tick(self) -> None:
        """Draw, then note the time once the event loop has come round."""
        before = self.n_redraws
        super().tick()
        if self.n_redraws > before:
            QTimer.singleShot(0, self._note)

    def _note(self) -> None:
        if self._began_s is None:
            self._began_s, self._began_cpu_s = time.monotonic(), time.thread_time()
            self._drawn_before = self.n_redraws
            return
        assert self.shown is not None
        self._ages_s.append(time.time() - self.shown.created_s)
        if time.monotonic() - self._began_s > self._seconds:
            self._say(time.monotonic() - self._began_s)

    def _say(self, elapsed_s: float) -> None:
        found = {
            "redraws_per_s": (self.n_redraws - self._drawn_before) / elapsed_s,
            "gui_percent": 100 * (time.thread_time() - self._began_cpu_s) / elapsed_s,
            "age_ms": 1e3 * statistics.median(self._ages_s),
            "oldest_ms": 1e3 * max(self._ages_s),
        }
        print(json.dumps(found), flush=True)
        self.close()
        QApplication.quit()


def main() -> None:
    """Watch one page."""
    address, page, seconds = sys.argv[1:]
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QApplication([sys.argv[0]])
    with Client(address) as client:
        window = Watched(client, page, float(seconds))
        window.show()
        application.exec()


if __name__ == "__main__":
    main()
