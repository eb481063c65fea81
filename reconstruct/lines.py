"""Lines of known energy: what an Am-241 source emits, and fluorescence by name."""

from typing import Final, NamedTuple

Components = tuple[tuple[float, float], ...]

# K alpha 2, alpha 1, beta 3, beta 1, beta 2: energy, keV, and radiative rate (xraylib 4.3). Others
# are taken from xraylib where it is installed.
K_LINES: Final[dict[str, Components]] = {
    "Ag": ((21.990, 0.286), (22.163, 0.541), (24.912, 0.050), (24.943, 0.097), (25.458, 0.017)),
    "Cd": ((22.984, 0.286), (23.174, 0.539), (26.061, 0.050), (26.095, 0.098), (26.644, 0.017)),
    "Sn": ((25.044, 0.286), (25.271, 0.535), (28.444, 0.051), (28.486, 0.099), (29.111, 0.019)),
    "Te": ((27.202, 0.285), (27.472, 0.531), (30.944, 0.052), (30.995, 0.100), (31.704, 0.020)),
    "W": ((57.981, 0.289), (59.318, 0.502), (66.950, 0.056), (67.244, 0.108), (69.100, 0.026)),
    "Pb": ((72.805, 0.293), (74.969, 0.492), (84.450, 0.056), (84.938, 0.109), (87.360, 0.027)),
}  # fmt: skip
K_NAMES: Final = ("KA2_LINE", "KA1_LINE", "KB3_LINE", "KB1_LINE", "KB2_LINE")
N_ALPHA: Final = 2


class LineError(ValueError):
    """A line that nobody knows; the sentence says how to name one."""


class Line(NamedTuple):
    """A line, or several that no detector here separates and that are fitted as one.

    Attributes
    ----------
    components
        (energy, keV, relative intensity) of each.
    """

    name: str
    components: Components

    @property
    def energy_kev(self) -> float:
        """Energy of the strongest component, for which the whole is named."""
        return max(self.components, key=lambda part: part[1])[0]


# Photons per decay of Am-241: Np L lines and gammas (xraylib 4.3, after Bé et al., Table of
# Radionuclides 5, BIPM 2010). The four lines to calibrate with, and what else is emitted.
NP_LA: Final = Line("Np La", ((13.761, 0.0107), (13.946, 0.096)))
NP_LB: Final = Line(
    "Np Lb", ((16.839, 0.025), (17.061, 0.015), (17.505, 0.0065), (17.751, 0.057), (17.992, 0.0137))
)
AM_26: Final = Line("Am-241 26", ((26.345, 0.024),))
AM_60: Final = Line("Am-241 60", ((59.541, 0.359),))
AM_241: Final = (NP_LA, NP_LB, AM_26, AM_60)
AM_241_EMITTED: Final = (
    Line("Np Ll", ((11.871, 0.0066),)),
    NP_LA,
    NP_LB,
    Line("Np Lg", ((20.784, 0.0139), (21.099, 0.0065), (21.342, 0.0059), (21.491, 0.0029))),
    AM_26,
    Line("Am-241 33", ((33.196, 0.00126),)),
    AM_60,
)
SOURCES: Final = {"am241": AM_241}


def find_line(name: str) -> Line:
    """A line by its energy in keV, or by name: "W Ka", "Pb Kb"; "Ag" alone is its K alpha.

    Raises
    ------
    LineError
        Neither, or an element that is not in the table while xraylib is not installed.
    """
    try:
        energy_kev = float(name)
    except ValueError:
        return _fluorescence(name)
    if not 1.0 <= energy_kev <= 1000.0:
        raise LineError(f"A line of {name} keV is out of range; give an energy from 1 to 1000 keV.")
    return Line(f"{name} keV", ((energy_kev, 1.0),))


def _fluorescence(name: str) -> Line:
    element, _, series = name.partition(" ")
    lines = K_LINES.get(element) or _from_xraylib(element)
    parts = {"": lines[:N_ALPHA], "Ka": lines[:N_ALPHA], "Kb": lines[N_ALPHA:]}.get(series)
    if not parts:
        known = ", ".join(f"{known} Ka" for known in K_LINES)
        raise LineError(f"There is no line {name!r}; give keV, or a name such as {known}.")
    return Line(f"{element} {series or 'Ka'}", parts)


def _from_xraylib(element: str) -> Components:
    """K lines of an element; none where it, or xraylib, is unknown."""
    try:
        import xraylib

        number = xraylib.SymbolToAtomicNumber(element)
        codes = [getattr(xraylib, code) for code in K_NAMES]
        return tuple(
            (xraylib.LineEnergy(number, code), xraylib.RadRate(number, code)) for code in codes
        )
    except (ImportError, ValueError):
        return ()
