"""What can be done with a panel: save its picture or its numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QToolButton

from hexlive.monitor.card import Card
from hexlive.monitor.saving import SavingError, png, save_bytes, save_data

BUTTON_PX: Final = 20
FILTERS: Final = "HDF5 (*.h5);;CSV (*.csv)"


def add_menu(card: Card) -> None:
    """Give a panel a button with what can be done with it."""
    button = QToolButton()
    button.setText("⋮")
    button.setFixedWidth(BUTTON_PX)
    button.setToolTip("Save this panel")
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    menu = QMenu(button)
    menu.addAction("Save picture…", lambda: _ask_picture(card))
    menu.addAction("Save data…", lambda: _ask_data(card))
    button.setMenu(menu)
    card.append(button)


def _ask_picture(card: Card) -> None:
    name, _ = QFileDialog.getSaveFileName(card, "Save picture", _name(card, ".png"), "PNG (*.png)")
    if name:
        _try(card, lambda: save_bytes(png(card.grab()), Path(name).with_suffix(".png")))


def _ask_data(card: Card) -> None:
    name, chosen = QFileDialog.getSaveFileName(card, "Save data", _name(card, ".h5"), FILTERS)
    if name:
        path = Path(name)
        suffix = ".csv" if "csv" in chosen else ".h5"
        path = path if path.suffix in (".h5", ".csv") else path.with_suffix(suffix)
        _try(card, lambda: save_data(card.data, path))


def _name(card: Card, suffix: str) -> str:
    return "_".join(card.title.lower().replace(",", "").split()) + suffix


def _try(card: Card, save: Callable[[], None]) -> None:
    try:
        save()
    except SavingError as error:
        QMessageBox.warning(card, "hexlive", str(error))
