"""What the seven-state experiment accepts; the experiment itself is in ``test_export.py``."""

import pytest

from hexlive.stream.commands.experiment import Agreement, Check, summary
from hexlive.stream.simulator.truth import EmfTruth

KNOWN = EmfTruth(
    state=4, soc=1.0, name="anode", free=2.4, isolated=1.3, isolated_sigma=0.0, seen=1.2,
    seen_sigma=0.0,
)  # fmt: skip
CHECK = Check(known=KNOWN, emf=1.2, sigma=0.01)


@pytest.mark.parametrize(
    ("whole", "low", "high", "says"),
    [(True, 0.7, 1.3, "whole experiment"), (False, 0.319, 2.182, "chance within 3 sigma")],
)
def test_chi_squares_are_accepted_by_the_length_of_the_experiment(
    whole: bool, low: float, high: float, says: str
) -> None:
    def found(full: float) -> Agreement:
        return Agreement(checks=[CHECK] * 21, simple=0.5, full=full, whole=whole)

    assert found(low + 0.01).accepted
    assert found(high - 0.01).accepted
    assert not found(low - 0.01).accepted
    assert not found(high + 0.01).accepted
    accepted = list(summary(found(1.0)))[-1]
    assert accepted.startswith(f"Accepted: {low:.2f} to {high:.2f} ({says}")
