"""Colours and text sizes: one theme for a dark control room, sizes for reading at two metres.

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
    void
        Where a map is undefined.
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
    void: str
    curve: str
    valence: str
    core: str
    levels: dict[Level, tuple[str, str]]
    figures: dict[Level, str]
    components: dict[str, str]
    others: tuple[str, ...]

    def style_sheet(self) -> str:
        """Style sheet of the window."""
        return (
            f"QWidget {{ background: {self.background}; color: {self.text}; }}"
            f"QFrame#card {{ background: {self.panel}; border-radius: 6px; }}"
            f"QFrame#card QLabel {{ background: transparent; }}"
            f"QLabel#title {{ font-size: {TITLE_PX}px; font-weight: 600; }}"
            f"QLabel#value {{ font-size: {TITLE_PX}px; color: {self.text}; }}"
            f"QLabel#caption {{ font-size: {LABEL_PX}px; color: {self.muted}; }}"
            f"QLabel#number {{ font-size: {VALUE_PX}px; font-weight: 600; }}"
            f"QToolTip {{ font-size: {LABEL_PX}px; }}"
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
    void="#3a424d",
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
