"""Charge and the readings of the cycler, on a cell whose charge is known."""

import numpy as np
import pytest

from hexlive.reconstruct.charge import (
    CyclerLog,
    charge_ah,
    doubt_of_charge,
    during_exposures,
    require_cover,
    state_of_charge,
)

CAPACITY_AH = 2e-3
TIME_S = np.linspace(0.0, 36_000.0, 3601)


def log(current_ampere, **more) -> CyclerLog:
    return CyclerLog(
        time_s=TIME_S, voltage_volt=3.6 + TIME_S / 36_000, current_ampere=current_ampere, **more
    )


def test_a_constant_current_charges_the_cell_in_a_straight_line() -> None:
    """C/10 for ten hours fills the cell."""
    soc = state_of_charge(log(np.full(TIME_S.size, CAPACITY_AH / 10)), CAPACITY_AH)
    np.testing.assert_allclose(soc, TIME_S / 36_000, atol=1e-12)


def test_charge_and_discharge_cancel() -> None:
    current = 1e-4 * np.sin(2 * np.pi * TIME_S / TIME_S[-1])
    charge = charge_ah(log(current))
    assert charge[-1] == pytest.approx(0.0, abs=1e-12)
    half = 1e-4 * TIME_S[-1] / np.pi / 3600
    assert charge.max() == pytest.approx(half, rel=1e-5)


def test_the_own_count_of_the_cycler_is_preferred_to_its_current() -> None:
    counted = 5e-3 + 1e-3 * TIME_S / TIME_S[-1]
    soc = state_of_charge(log(np.zeros(TIME_S.size), capacity_ah=counted), CAPACITY_AH, 0.2)
    np.testing.assert_allclose(soc, 0.2 + 0.5 * TIME_S / TIME_S[-1])


@pytest.mark.parametrize("capacity_ah", [0.0, -1.0, np.nan, np.inf])
def test_a_cell_without_capacity_is_refused(capacity_ah: float) -> None:
    with pytest.raises(ValueError, match="capacity of the cell must be positive"):
        state_of_charge(log(np.zeros(TIME_S.size)), capacity_ah)


@pytest.mark.parametrize("initial_soc", [-0.1, 7.0, np.nan])
def test_an_impossible_initial_charge_is_refused(initial_soc: float) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        state_of_charge(log(np.zeros(TIME_S.size)), CAPACITY_AH, initial_soc)


@pytest.mark.parametrize("soc", [[-0.06, 1.0], [0.0, 1.06]])
def test_a_charge_beyond_the_cell_is_doubted_by_the_name_of_the_capacity(soc: list[float]) -> None:
    assert "capacity of 0.002 A h" in doubt_of_charge(np.array(soc), CAPACITY_AH)
    assert not doubt_of_charge(np.clip(soc, -0.05, 1.05), CAPACITY_AH)


def test_current_is_not_integrated_over_a_gap() -> None:
    late = CyclerLog(
        time_s=np.array([0.0, 10.0, 1000.0]),
        voltage_volt=np.full(3, 3.6),
        current_ampere=np.full(3, 1e-4),
    )
    with pytest.raises(ValueError, match="Rows 2 and 3 of the cycler are 990 s apart"):
        charge_ah(late)
    assert charge_ah(late, max_gap_s=990.0)[-1] == pytest.approx(1e-4 * 1000 / 3600)


def test_readings_are_those_of_the_middle_with_their_span() -> None:
    cycler = log(np.zeros(TIME_S.size))
    begin_s, end_s = np.array([101.0, 20_000.0]), np.array([201.0, 20_500.0])
    value, span = during_exposures(cycler, cycler.voltage_volt, begin_s, end_s)
    np.testing.assert_allclose(value, 3.6 + (begin_s + end_s) / 2 / 36_000)
    np.testing.assert_allclose(span, (end_s - begin_s) / 36_000)


def test_a_peak_within_an_exposure_is_in_its_span() -> None:
    voltage = np.where(TIME_S == 150, 4.0, 3.6)
    value, span = during_exposures(
        log(np.zeros(TIME_S.size)), voltage, np.array([101.0]), np.array([260.0])
    )
    assert value[0] == pytest.approx(3.6)
    assert span[0] == pytest.approx(0.4)


def test_exposures_outside_the_log_or_in_a_gap_have_no_reading() -> None:
    sparse = CyclerLog(
        time_s=np.array([0.0, 100.0, 2000.0, 2100.0]),
        voltage_volt=np.full(4, 3.6),
        current_ampere=np.zeros(4),
    )
    begin_s = np.array([10.0, 90.0, 500.0, 2010.0, 2091.0, -15.0])
    value, span = during_exposures(sparse, sparse.voltage_volt, begin_s, begin_s + 20)
    known = np.array([True, False, False, True, False, False])
    np.testing.assert_array_equal(np.isfinite(value), known)
    np.testing.assert_array_equal(np.isfinite(span), known)


def test_the_ends_of_an_exposure_may_lie_outside_the_log() -> None:
    cycler = log(np.zeros(TIME_S.size))
    value, span = during_exposures(
        cycler, cycler.voltage_volt, np.array([35_950.0]), np.array([36_010.0])
    )
    assert value[0] == pytest.approx(3.6 + 35_980 / 36_000)
    assert span[0] == pytest.approx(50 / 36_000)


def test_a_clock_outside_the_run_is_refused() -> None:
    cycler = log(np.zeros(TIME_S.size)).shifted(1e6)
    with pytest.raises(ValueError, match="covers none of them; check the offset"):
        require_cover(cycler, np.array([0.0]), np.array([500.0]))


def test_exposures_without_a_time_are_refused() -> None:
    unknown, cycler = np.full(2, np.nan), log(np.zeros(TIME_S.size))
    with pytest.raises(ValueError, match="exposures have no times"):
        require_cover(cycler, unknown, unknown)


@pytest.mark.parametrize("times", [[0.0, 2.0, 1.0], [0.0, np.nan, 1.0]])
def test_a_time_that_goes_backwards_is_refused(times: list[float]) -> None:
    nothing = np.zeros(3)
    with pytest.raises(ValueError, match=r"row [23]; sort or split"):
        CyclerLog(time_s=np.array(times), voltage_volt=nothing, current_ampere=nothing)
