"""How fast EMF changes between states, with uncertainties that know what the values share."""

from dataclasses import dataclass

import numpy as np

from hexlive.reconstruct.compton import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rates:
    """Changes from each state to the next.

    Attributes
    ----------
    value
        ``(states - 1,) float64``: change of EMF over the change of time, or of charge; NaN where
        that does not change.
    covariance
        ``(states - 1, states - 1)``: neighbours share a state, so they are anticorrelated; all
        share the reference of relative values.
    """

    value: FloatArray
    covariance: FloatArray

    @property
    def sigma(self) -> FloatArray:
        """Standard uncertainty of each."""
        return np.sqrt(np.diagonal(self.covariance))


def rates(values: FloatArray, covariance: FloatArray, along: FloatArray) -> Rates:
    """Rates between consecutive states: d(values)/d(along).

    Parameters
    ----------
    values, covariance
        ``(states,)`` and ``(states, states)``: EMF of independent exposures (a diagonal), or what
        `relative_to` gives.
    along
        ``(states,)``: time in s, or state of charge from 0 to 1.
    """
    step = np.diff(along)
    per_step = 1 / np.where(step == 0, np.nan, step)
    difference = np.diff(np.eye(values.size), axis=0) * per_step[:, None]
    return Rates(
        value=np.diff(values) * per_step, covariance=difference @ covariance @ difference.T
    )


def relative_to(
    values: FloatArray, sigma: FloatArray, reference: int
) -> tuple[FloatArray, FloatArray]:
    """EMF of independent exposures over that of one of them, and the covariance of the ratios.

    All ratios share the noise of the reference; that of the reference with itself is 1 exactly.

    Parameters
    ----------
    values, sigma
        ``(states,)``.
    reference
        Index of the reference state.

    Returns
    -------
    tuple
        ``(states,)`` and ``(states, states)``.
    """
    ratio = values / values[reference]
    jacobian = np.eye(values.size)
    jacobian[:, reference] -= ratio
    jacobian /= values[reference]
    return ratio, (jacobian * sigma**2) @ jacobian.T
