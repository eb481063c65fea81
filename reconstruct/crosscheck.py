"""EMF with bins against EMF without: whether the spectra and the window sums count the same."""

from dataclasses import dataclass
from typing import Final

from hexlive.reconstruct.emf import EmfResult

# The spline is right to 0.015 % for free atoms; sharper structure may cost a little more. The noise
# of the two is common but for the bins at the window edges, a fraction of one sigma.
UNBINNED_TOLERANCE: Final = 0.002


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CrossCheck:
    """One EMF by three ways: from the spectra, and twice without any normalisation.

    Attributes
    ----------
    binned
        `emf` of the spectra.
    plain
        The same spline through plain counts: no cross-section, efficiency or background.
    unbinned
        Sums of the event kernels over the windows: plain counts without any bins.
    """

    binned: EmfResult
    plain: EmfResult
    unbinned: EmfResult

    @property
    def explained(self) -> float:
        """What normalisation and background change in EMF, relative."""
        return float(self.plain.emf / self.binned.emf - 1)

    @property
    def unexplained(self) -> float:
        """What is left between bins and no bins, relative; of the same events."""
        return float(self.unbinned.emf / self.plain.emf - 1)

    @property
    def difference_sigma(self) -> float:
        """Unbinned minus binned EMF, in its sigmas."""
        return float((self.unbinned.emf - self.binned.emf) / self.binned.sigma)

    @property
    def doubt(self) -> str | None:
        """The sentence that says that the two do not count the same; None: they do."""
        allowed = UNBINNED_TOLERANCE + float(self.plain.relative_sigma)
        if not abs(self.unexplained) > allowed:
            return None
        return (
            f"The unbinned window sums give an EMF of {float(self.unbinned.emf):.4f}, the spectra "
            f"{float(self.plain.emf):.4f} without normalisation and background, "
            f"{abs(self.unexplained):.1%} apart; the bins are too coarse or the windows differ, so "
            "reduce spectrum.bin_kev or report it."
        )
