"""The maps: EMF with its uncertainty, and what it rests on, on the detector's pixels."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QComboBox

from hexlive.monitor.card import Card
from hexlive.monitor.context import MODES, Context
from hexlive.monitor.mapview import MapView
from hexlive.monitor.numbers import NONE, brief, duration, mean_emf, with_sigma
from hexlive.reconstruct.compton import peak_kev
from hexlive.reconstruct.emf import REASONS
from hexlive.stream.model import Snapshot
from hexlive.stream.views import MapView as Pair

MINUS: Final = "measured − geometry (keV)"
MASKED: Final = REASONS.index("masked")
PERCENT: Final = 100.0
SIGMA_PER_MAD: Final = 1.4826  # of a normal distribution
MEDIAN_OVER_MEAN: Final = 1.2533  # standard errors, sqrt(pi / 2)
NAMES: Final = {
    "EMF": "EMF since start",
    "relative": "relative EMF",
    "superpixels": "superpixels",
    "adaptive": "adaptive",
    "recent": "last seconds",
}


def chosen_map(snapshot: Snapshot, mode: str) -> Pair | None:
    """EMF and its uncertainty in one of `MODES`; None where the snapshot has none."""
    match mode:
        case "EMF":
            return Pair(value=snapshot.emf, sigma=snapshot.emf_sigma)
        case "relative":
            return snapshot.relative.map if snapshot.relative is not None else None
        case "superpixels":
            return snapshot.superpixels
        case "adaptive":
            return snapshot.adaptive
    return snapshot.recent


def detector_weights(snapshot: Snapshot, pair: Pair) -> NDArray[Any] | None:
    """How much each pixel is to be believed; a coarser map has no counts of its own."""
    return snapshot.compton_counts if pair.value.shape == snapshot.compton_counts.shape else None


def masked(snapshot: Snapshot) -> NDArray[np.bool_] | None:
    """Pixels that can not be hit."""
    return None if snapshot.undefined is None else snapshot.undefined == MASKED


class EmfMap:
    """Fig. 3A: the map of the electron momentum factor, and its mean over the region."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Electron momentum factor: Compton profile in |pz| < 1 a.u. over that in 1 to 5 a.u. "
            "Grey: undefined. Red border: masked pixels. Relative: over the reference."
        )
        self.widget = Card(context.theme, "EMF map", hint)
        self._context = context
        self._view = MapView(self.widget, "viridis", "EMF (valence / core)", reading=self._reading)
        self._modes = QComboBox()
        for mode in MODES:
            self._modes.addItem(NAMES[mode], mode)
        self._modes.activated.connect(
            lambda place: context.choose(mode=self._modes.itemData(place))
        )
        self.widget.control(self._modes)
        self._snapshot: Snapshot | None = None
        context.changed.connect(self._again)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the map that is chosen and say its mean."""
        self._snapshot = snapshot
        mode = self._context.mode
        self._modes.setCurrentIndex(MODES.index(mode))
        pair = chosen_map(snapshot, mode)
        if pair is None:
            self._view.draw(np.empty((0, 0)), self._context)
            self.widget.say("no reference" if mode == "relative" else NONE, "")
            self.widget.keep()
            return
        relative = mode == "relative"
        self._view.label("EMF / EMF of reference" if relative else "EMF (valence / core)")
        self._view.draw(
            pair.value,
            self._context,
            detector_weights(snapshot, pair),
            1.0 if relative else None,
            snapshot.emf.shape,
        )
        self._view.outline(masked(snapshot) if self._context.outlined else None)
        self.widget.say(_mean(snapshot, mode), _explained(snapshot, mode))
        self.widget.keep(emf=pair.value, emf_sigma=pair.sigma)

    def _again(self) -> None:
        if not self._context.locked:
            self._view.release()
        if self._snapshot is not None:
            self.show(self._snapshot)

    def _reading(self, row: int, column: int) -> str:
        """EMF of one pixel with its uncertainty, or why there is none."""
        snapshot = self._snapshot
        if snapshot is None or snapshot.emf.size == 0:
            return ""
        value, sigma = float(snapshot.emf[row, column]), float(snapshot.emf_sigma[row, column])
        if np.isfinite(value):
            said = f"EMF {with_sigma(value, sigma)}"
        else:
            code = 0 if snapshot.undefined is None else int(snapshot.undefined[row, column])
            said = REASONS[code] if 0 < code < len(REASONS) else "no EMF"
        return (
            f"row {row}, column {column}: {said}, {snapshot.compton_counts[row, column]:.0f} counts"
        )


def _mean(snapshot: Snapshot, mode: str) -> str:
    """The mean that belongs to a map."""
    if mode != "relative" or snapshot.relative is None:
        return mean_emf(snapshot)
    return with_sigma(snapshot.relative.mean, snapshot.relative.mean_sigma)


def _explained(snapshot: Snapshot, mode: str) -> str:
    """What a map is of, where its name does not say it."""
    match mode:
        case "relative" if snapshot.relative is not None:
            return f"relative to {snapshot.relative.source}"
        case "superpixels" if snapshot.target is not None:
            side = snapshot.target.side_px
            return f"L and H summed over {side} x {side} pixels"
        case "adaptive" if snapshot.target is not None:
            percent = PERCENT * snapshot.target.relative_sigma
            return f"pixels joined until σ(EMF)/EMF is {percent:g} %"
        case "recent" if snapshot.recent_s is not None:
            return f"of the last {duration(snapshot.recent_s)} of live time"
    return f"of the whole exposure, {duration(snapshot.health.live_time_s)} of live time"


class SigmaMap:
    """How uncertain each pixel's EMF is, in percent."""

    def __init__(self, context: Context) -> None:
        hint = "Standard uncertainty of the EMF map that is chosen, over that EMF, in percent."
        self.widget = Card(context.theme, "σ(EMF)", hint)
        self._context = context
        self._view = MapView(self.widget, "magma", "%", axes=False)
        self._snapshot: Snapshot | None = None
        context.changed.connect(self._again)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the relative uncertainty where EMF is defined and positive."""
        self._snapshot = snapshot
        pair = chosen_map(snapshot, self._context.mode)
        if pair is None:
            self._view.draw(np.empty((0, 0)), self._context)
            self.widget.say(NONE)
            return
        positive = np.isfinite(pair.sigma) & (pair.value > 0)
        percent = np.full(pair.value.shape, np.nan, np.float32)
        np.divide(PERCENT * pair.sigma, pair.value, out=percent, where=positive)
        weights = detector_weights(snapshot, pair)
        self._view.draw(percent, self._context, weights, area=snapshot.emf.shape)
        typical = np.median(percent[positive]) if positive.any() else None
        self.widget.say(NONE if typical is None else f"median {typical:.2g} %")
        self.widget.keep(sigma_percent=percent)

    def _again(self) -> None:
        if not self._context.locked:
            self._view.release()
        if self._snapshot is not None:
            self.show(self._snapshot)


class CountsMap:
    """Compton intensity: counts in \\|pz\\| < outer limit."""

    def __init__(self, context: Context) -> None:
        hint = "Events with |pz| below the outer limit, per pixel: the Compton intensity."
        self.widget = Card(context.theme, "Counts", hint)
        self._context = context
        self._view = MapView(self.widget, "cividis", "counts", axes=False)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the counts and say what a typical pixel has."""
        counts = snapshot.compton_counts
        self._view.draw(counts, self._context)
        finite = counts[np.isfinite(counts)]
        self.widget.say(f"median {brief(float(np.median(finite)))}" if finite.size else NONE)
        self.widget.keep(compton_counts=counts)


class HitsMap:
    """Hits per pixel before any rejection: dead and hot pixels stand out."""

    def __init__(self, context: Context) -> None:
        hint = "Hits above threshold per pixel, before clusters are judged. Red border: masked."
        self.widget = Card(context.theme, "Hits", hint)
        self._context = context
        self._view = MapView(self.widget, "cividis", "hits", axes=False)
        self._snapshot: Snapshot | None = None
        context.changed.connect(self._again)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the hits and count the pixels that have none."""
        self._snapshot, hits = snapshot, snapshot.hits
        self._view.draw(hits, self._context)
        self._view.outline(masked(snapshot) if self._context.outlined else None)
        hidden = masked(snapshot)
        dead = int((hits == 0).sum()) - (0 if hidden is None else int((hits == 0)[hidden].sum()))
        n_masked = 0 if hidden is None else int(hidden.sum())
        self.widget.say(f"{dead:,} dead, {n_masked:,} masked" if hits.any() else "no hits yet")
        self.widget.keep(hits=hits)

    def _again(self) -> None:
        if self._snapshot is not None:
            self.show(self._snapshot)


class PeakMap:
    """Measured Compton peak minus that of the geometry: a slope means a wrong angle map."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Median energy inside the Compton windows, minus the peak that the geometry gives or "
            "as it is; minus the geometry in colours around the median of the map, since shared "
            "charge moves all pixels alike. A slope or a step: check axis offset, sign, or "
            "calibration. Above: the median, with the uncertainty that the scatter of the pixels "
            "gives it."
        )
        self.widget = Card(context.theme, "Compton peak", hint)
        self._context = context
        self._view = MapView(self.widget, "viridis", MINUS, axes=False)
        self._kinds = QComboBox()
        self._kinds.addItems(["− geometry", "measured"])
        self._kinds.activated.connect(self._again)
        self.widget.control(self._kinds)
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw one of both where the pixel has an EMF, and say what is typical."""
        self._snapshot, residual = snapshot, snapshot.peak_residual_kev
        if residual is None or residual.size == 0:
            self._view.draw(np.empty((0, 0)), self._context)
            self.widget.say(NONE)
            return
        geometry = peak_kev(np.radians(snapshot.theta_deg), snapshot.incident_kev)
        centre = (residual + geometry).astype(np.float32)
        minus = self._kinds.currentIndex() == 0
        seen = np.isfinite(residual) & np.isfinite(snapshot.emf)
        drawn = np.where(seen, residual if minus else centre, np.float32("nan"))
        usual = float(np.median(drawn[seen])) if seen.any() else None
        sigma = median_sigma(drawn[seen]) if seen.any() else None
        self._view.label(MINUS if minus else "Compton peak (keV)")
        around = (usual or 0.0) if minus else None
        self._view.draw(drawn, self._context, snapshot.compton_counts, centre=around)
        said = f"{with_sigma(usual, sigma, percent=False)} keV"
        self.widget.say(NONE if usual is None else said)
        self.widget.keep(peak_residual_kev=residual, peak_kev=centre)

    def _again(self) -> None:
        self._view.release()
        if self._snapshot is not None:
            self.show(self._snapshot)


def median_sigma(values: NDArray[Any]) -> float:
    """Standard error of the median of values that scatter normally, but for a few."""
    scatter = SIGMA_PER_MAD * float(np.median(np.abs(values - np.median(values))))
    return MEDIAN_OVER_MEAN * scatter / float(np.sqrt(values.size))
