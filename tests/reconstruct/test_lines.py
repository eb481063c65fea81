"""Lines by name."""

import sys

import pytest

from hexlive.reconstruct.lines import AM_241, K_LINES, K_NAMES, LineError, find_line


def test_the_am_241_lines_are_those_of_the_specification():
    assert [line.energy_kev for line in AM_241] == pytest.approx(
        [13.94, 17.75, 26.34, 59.54], abs=0.01
    )


def test_the_lines_of_the_beamline_have_their_names():
    assert find_line("W Ka").energy_kev == pytest.approx(59.32, abs=0.01)
    assert find_line("Pb Ka").energy_kev == pytest.approx(74.97, abs=0.01)
    assert find_line("Pb Kb").energy_kev == pytest.approx(84.94, abs=0.01)
    assert find_line("Ag").name == "Ag Ka"


def test_an_energy_is_a_line_of_its_own():
    assert find_line("59.54").components == ((59.54, 1.0),)


@pytest.mark.parametrize("element", K_LINES)
def test_constants_are_those_of_xraylib(element):
    xraylib = pytest.importorskip("xraylib")
    number = xraylib.SymbolToAtomicNumber(element)
    for (energy_kev, rate), code in zip(K_LINES[element], K_NAMES, strict=True):
        line = getattr(xraylib, code)
        assert energy_kev == pytest.approx(xraylib.LineEnergy(number, line), abs=1e-3)
        assert rate == pytest.approx(xraylib.RadRate(number, line), abs=1e-3)


def test_other_elements_come_from_xraylib():
    pytest.importorskip("xraylib")
    assert find_line("Mo Ka").energy_kev == pytest.approx(17.48, abs=0.01)


@pytest.mark.parametrize("name", ["W La", "tungsten", "", "0.1", "nan", "Xx Ka"])
def test_what_is_no_line_is_refused_in_one_sentence(name):
    with pytest.raises(LineError, match=r"give (keV|an energy).*\.$"):
        find_line(name)


def test_without_xraylib_only_the_table_is_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "xraylib", None)
    assert find_line("W Ka").energy_kev == pytest.approx(59.32, abs=0.01)
    with pytest.raises(LineError, match="'Mo Ka'"):
        find_line("Mo Ka")
