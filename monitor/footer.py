"""The foot of the screen: the pages, earlier exposures, and what is locked."""

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

from hexlive.monitor.context import Context
from hexlive.monitor.history import exposure_name

LABEL_WIDTH_PX: Final = 420
SLIDER_WIDTH_PX: Final = 260


class Footer(QWidget):
    """A button for each page, and a slider over the exposures of the history.

    Attributes
    ----------
    page_chosen, moment_chosen
        Emitted with the name of a page; with an earlier snapshot, or None for the present.
    """

    page_chosen = Signal(str)
    moment_chosen = Signal(object)

    def __init__(self, pages: list[str], context: Context) -> None:
        super().__init__()
        self._context = context
        self._buttons = {name: QPushButton(f"{n}  {name}") for n, name in enumerate(pages, 1)}
        self._group = QButtonGroup(self)
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setFixedWidth(SLIDER_WIDTH_PX)
        self._slider.setMaximum(0)
        self._slider.setToolTip("Earlier exposures that this monitor has seen; right end: now.")
        self._slider.valueChanged.connect(self._slid)
        self._label, self._where, self._keys = QLabel("exposures"), QLabel("now"), QLabel()
        self._where.setTextFormat(Qt.TextFormat.PlainText)
        self._where.setFixedWidth(LABEL_WIDTH_PX)
        for label in (self._label, self._where, self._keys):
            label.setObjectName("caption")
        layout = self._layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for name, button in self._buttons.items():
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _, name=name: self.page_chosen.emit(name))
            self._group.addButton(button)
            layout.addWidget(button)
        layout.addStretch(1)
        layout.addWidget(self._label)
        layout.addWidget(self._slider)
        layout.addWidget(self._where)
        layout.addWidget(self._keys)
        self.mark(pages[0])
        context.changed.connect(self._say_keys)
        self._say_keys()

    def attach(self, control: QWidget) -> None:
        """Put something behind the pages."""
        self._layout.insertWidget(len(self._buttons), control)

    def mark(self, page: str) -> None:
        """Show which page is on."""
        self._buttons[page].setChecked(True)

    def offer(self) -> None:
        """Take the exposures of the history into the slider; the present stays the present."""
        n_exposures = len(self._context.history.exposures)
        if n_exposures != self._slider.maximum():
            at_present = self._slider.value() == self._slider.maximum()
            self._slider.setMaximum(n_exposures)
            if at_present:
                self._slider.setValue(n_exposures)

    def step(self, n_exposures: int) -> None:
        """Go on by so many exposures, backwards where negative."""
        self._slider.setValue(self._slider.value() + n_exposures)

    def go_to_present(self) -> None:
        """Leave the history."""
        self._slider.setValue(self._slider.maximum())

    def _slid(self, place: int) -> None:
        exposures = list(self._context.history.exposures.values())
        past = exposures[place] if place < len(exposures) else None
        self._where.setText("now" if past is None else exposure_name(past))
        self.moment_chosen.emit(past)

    def _say_keys(self) -> None:
        locked = "LEVELS LOCKED (L)   " if self._context.locked else ""
        self._keys.setText(f"{locked}? keys")
