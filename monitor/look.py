"""What a picture of the monitor looks like. No Qt: the command line is read before Qt is there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FULL_HD: Final = (1920, 1080)


class PageName(StrEnum):
    """Pages of the screen."""

    overview = "overview"
    maps = "maps"
    spectra = "spectra"
    ct = "ct"
    cell = "cell"
    compare = "compare"
    health = "health"


class ThemeName(StrEnum):
    """Colours of the screen."""

    dark = "dark"
    light = "light"


@dataclass(frozen=True, kw_only=True)
class Look:
    """Width and height in pixels, page and theme."""

    size: tuple[int, int] = FULL_HD
    page: PageName = PageName.overview
    theme: ThemeName = ThemeName.dark


PLAIN: Final = Look()
