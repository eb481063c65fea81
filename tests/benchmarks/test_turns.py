import pytest

from hexlive.benchmarks.turns import Contender, Timings, noise_note, take_turns


def test_every_contender_runs_once_per_turn_and_once_to_warm_up() -> None:
    calls: list[str] = []
    contenders = {name: Contender(lambda n=name: calls.append(n), 1) for name in "abc"}
    timings = take_turns(contenders, 3)
    assert "".join(calls) == "abc" + "abc" + "cba" + "abc"
    assert {name: len(rates) for name, rates in timings.rates_hz.items()} == dict.fromkeys("abc", 3)


def test_the_rate_counts_items() -> None:
    timings = take_turns({"one": Contender(list, 1), "many": Contender(list, 10**9)}, 5)
    assert timings.median_hz("many") > 1000 * timings.median_hz("one") > 0


def test_the_ratio_is_the_median_of_the_turns_not_the_ratio_of_the_medians() -> None:
    timings = Timings({"ours": [20.0, 10.0, 90.0], "theirs": [10.0, 10.0, 30.0]})
    assert timings.ratio("ours", "theirs") == 2.0


def test_a_machine_that_slows_all_alike_does_not_spread() -> None:
    timings = Timings({"ours": [20.0, 2.0, 8.0], "theirs": [10.0, 1.0, 4.0]})
    assert timings.spread_percent("ours", "theirs") == 0.0


def test_the_spread_is_the_middle_half_of_the_ratios() -> None:
    timings = Timings({"ours": [1.0, 2.0, 3.0, 4.0, 5.0], "theirs": [1.0] * 5})
    assert timings.spread_percent("ours", "theirs") == pytest.approx(200 / 3)


@pytest.mark.parametrize("figure", ["ratio", "spread_percent"])
def test_who_took_no_part_has_no_figures(figure: str) -> None:
    timings = Timings({"ours": [1.0, 2.0]})
    assert timings.median_hz("theirs") is None
    assert getattr(timings, figure)("ours", "theirs") is None


def test_one_turn_has_no_spread() -> None:
    assert Timings({"ours": [1.0], "theirs": [1.0]}).spread_percent("ours", "theirs") is None


@pytest.mark.parametrize(
    ("spreads", "word"), [([], "Too few"), ([1.0, 3.0], "quiet"), ([1.0, 30.0], "NOISY")]
)
def test_the_note_says_when_the_machine_is_noisy(spreads: list[float], word: str) -> None:
    assert word in noise_note(spreads)
