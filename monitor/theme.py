"""Colours and text sizes: a dark theme for a control room, a light one for print and daylight.

The hues of curves are those of Okabe and Ito (Color Universal Design, 2008), which people with
colour-blindness tell apart; maps use viridis, cividis and magma, which are perceptually uniform.
"""

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["plain", "good", "warning", "alarm", "idle"]

TICK_PX: Final = 14
LABEL_PX: Final = 15
TITLE_PX: Final = 18
VALUE_PX: Final = 22
BANNER_PX: Final = 30
MARGIN_PX: Final = 8


@dataclass(frozen=True)
class Theme:
    """Colours as ``#rrggbb``.

    Attributes
    ----------
    void, mask
        Where a map is undefined, and the border of masked pixels.
    levels
        What a state of affairs is painted in: (fill, text) for each `Level`.
    figures
        Colour of a figure on a panel at each `Level`.
    components
        Curve of each component of the cell; ``others`` serve further names in turn.
    """

    background: str
    panel: str
    text: str
    muted: str
    button: str
    void: str
    mask: str
    curve: str
    valence: str
    core: str
    levels: dict[Level, tuple[str, str]]
    figures: dict[Level, str]
    components: dict[str, str]
    others: tuple[str, ...]
    regions: tuple[str, ...] = ("#9aa7b4", "#cc79a7", "#d55e00")

    def component(self, name: str, place: int) -> str:
        """Colour of a component, or of another name at its place in the legend."""
        return self.components.get(name, self.others[place % len(self.others)])

    def style_sheet(self) -> str:
        """Style sheet of the window."""
        return (
            f"QWidget {{ background: {self.background}; color: {self.text}; }}"
            f"QFrame#card {{ background: {self.panel}; border-radius: 6px; }}"
            f"QFrame#card QLabel {{ background: transparent; }}"
            f"QFrame#card QGraphicsView {{ background: {self.panel}; }}"
            f"QLabel#title {{ font-size: {TITLE_PX}px; font-weight: 600; }}"
            f"QLabel#value {{ font-size: {TITLE_PX}px; color: {self.text}; }}"
            f"QLabel#caption {{ font-size: {LABEL_PX}px; color: {self.muted}; }}"
            f"QLabel#number {{ font-size: {VALUE_PX}px; font-weight: 600; }}"
            f"QToolTip {{ font-size: {LABEL_PX}px; }}"
            f"QComboBox, QPushButton, QToolButton, QCheckBox {{ font-size: {LABEL_PX}px; }}"
            f"QComboBox, QPushButton, QToolButton {{ background: {self.button}; border: 0;"
            f" border-radius: 4px; padding: 2px 10px; }}"
            f"QFrame#card QToolButton {{ background: transparent; color: {self.muted};"
            f" padding: 0 4px; font-size: {TITLE_PX}px; }}"
            f"QToolButton::menu-indicator {{ image: none; }}"
            f"QPushButton:checked {{ background: {self.levels['good'][0]}; color: #ffffff; }}"
            f"QComboBox QAbstractItemView {{ background: {self.button}; }}"
            f"QFrame#card QCheckBox {{ background: transparent; }}"
            f"QCheckBox::indicator {{ width: {TICK_PX}px; height: {TICK_PX}px; border-radius: 3px;"
            f" border: 1px solid {self.muted}; }}"
            f"QCheckBox::indicator:checked {{ background: {self.levels['good'][0]}; }}"
            f"QTableWidget, QListWidget {{ background: {self.panel}; border: 0;"
            f" font-size: {TITLE_PX}px; gridline-color: {self.void}; }}"
            f"QScrollBar {{ background: {self.panel}; width: 12px; height: 12px; }}"
            f"QScrollBar::handle {{ background: {self.void}; border-radius: 4px; }}"
            f"QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}"
            f"QHeaderView::section {{ background: {self.button}; color: {self.muted}; border: 0;"
            f" font-size: {LABEL_PX}px; padding: 4px; }}"
        )

    def badge(self, level: Level, size_px: int) -> str:
        """Style sheet of a filled label (banner, pill)."""
        fill, text = self.levels[level]
        return (
            f"background: {fill}; color: {text}; border-radius: 6px;"
            f"font-size: {size_px}px; font-weight: 700;"
        )


DARK: Final = Theme(
    background="#0d1117",
    panel="#161b22",
    text="#e6edf3",
    muted="#9aa7b4",
    button="#2a323d",
    void="#3a424d",
    mask="#ff7b84",
    curve="#e6edf3",
    valence="#56b4e9",
    core="#e69f00",
    levels={
        "plain": ("#1b2a41", "#e6edf3"),
        "good": ("#1f7a4d", "#ffffff"),
        "warning": ("#e6a700", "#14181d"),
        "alarm": ("#c62f3b", "#ffffff"),
        "idle": ("#4b5563", "#ffffff"),
    },
    figures={
        "plain": "#e6edf3",
        "good": "#4ec98a",
        "warning": "#ffc53d",
        "alarm": "#ff7b84",
        "idle": "#9aa7b4",
    },
    components={"anode": "#e69f00", "electrolyte": "#56b4e9", "cathode": "#2fb88f"},
    others=("#cc79a7", "#f0e442", "#d55e00", "#9aa7b4"),
)

LIGHT: Final = Theme(
    background="#e8ebef",
    panel="#ffffff",
    text="#14181d",
    muted="#4b5563",
    button="#dde2e8",
    void="#c9cfd6",
    mask="#c62f3b",
    curve="#14181d",
    valence="#0072b2",
    core="#b87400",
    levels={
        "plain": ("#cfdcec", "#14181d"),
        "good": ("#1f7a4d", "#ffffff"),
        "warning": ("#e6a700", "#14181d"),
        "alarm": ("#c62f3b", "#ffffff"),
        "idle": ("#6b7280", "#ffffff"),
    },
    figures={
        "plain": "#14181d",
        "good": "#1f7a4d",
        "warning": "#8a6100",
        "alarm": "#c62f3b",
        "idle": "#4b5563",
    },
    components={"anode": "#b87400", "electrolyte": "#0072b2", "cathode": "#00805a"},
    others=("#a8457e", "#857a00", "#d55e00", "#4b5563"),
    regions=("#6b7280", "#a8457e", "#d55e00"),
)

THEMES: Final = {"dark": DARK, "light": LIGHT}
