"""The three things that can be asked of a run: on the screen only where its command leg is named.

Each is asked for twice, and the question says what will happen.
"""

from collections.abc import Callable
from typing import Final

from PySide6.QtWidgets import QInputDialog, QMenu, QMessageBox, QToolButton

from hexlive.monitor.commander import Commander
from hexlive.stream.control import MarkState, ReconstructNow, ResetWindow
from hexlive.stream.model import Snapshot

LONGEST_LABEL: Final = 80
RESET: Final = (
    "Let the map of the last seconds begin again now?\n\nThe counts of the exposure stay as they "
    "are; all monitors of this run see it."
)
RECONSTRUCT: Final = (
    "End CT scan {scan} now, after {n_images:,} of {n_expected:,} images, and reconstruct it?\n\n"
    "Images that come later are left out of the volume."
)
Newest = Callable[[], Snapshot | None]


class Controls(QToolButton):
    """A button with a menu of commands.

    Parameters
    ----------
    newest
        Gives the snapshot that commands refer to.
    """

    def __init__(self, commander: Commander, newest: Newest) -> None:
        super().__init__()
        self._commander, self._newest = commander, newest
        self.setText("Commands ▾")
        self.setToolTip(f"Commands to the run at {commander.address}; each asks first.")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        self.mark = menu.addAction("Mark state…", self.mark_state)
        self.reset = menu.addAction("Restart the last seconds…", self.reset_window)
        self.reconstruct = menu.addAction("Reconstruct now…", self.reconstruct_now)
        menu.aboutToShow.connect(self.offer)
        self.setMenu(menu)

    def offer(self) -> None:
        """Enable what the run can do now."""
        snapshot, free = self._newest(), not self._commander.busy
        running = free and snapshot is not None and snapshot.status == "running"
        ct = None if snapshot is None else snapshot.ct
        collecting = ct is not None and ct.status == "collecting"
        self.mark.setEnabled(running)
        self.reset.setEnabled(running)
        self.reconstruct.setEnabled(running and collecting)

    def mark_state(self) -> None:
        """Ask for a label, and mark the present moment with it."""
        snapshot = self._newest()
        if snapshot is None:
            return
        question = "Label, for the trend, the recording and the result:"
        label, wanted = QInputDialog.getText(self, "Mark state", question)
        label = " ".join(label.split())[:LONGEST_LABEL]
        if wanted and label:
            self._commander.send(MarkState(series=snapshot.series, label=label))

    def reset_window(self) -> None:
        """Let the last seconds begin again."""
        snapshot = self._newest()
        if snapshot is not None and self._sure("Restart the last seconds", RESET):
            self._commander.send(ResetWindow(series=snapshot.series))

    def reconstruct_now(self) -> None:
        """End the CT scan that is being collected."""
        snapshot = self._newest()
        if snapshot is None or snapshot.ct is None:
            return
        ct = snapshot.ct
        question = RECONSTRUCT.format(scan=ct.scan, n_images=ct.n_images, n_expected=ct.n_expected)
        if self._sure("Reconstruct now", question):
            self._commander.send(ReconstructNow(series=snapshot.series, scan=ct.scan))

    def _sure(self, title: str, question: str) -> bool:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return QMessageBox.question(self, title, question, yes | no, no) == yes
