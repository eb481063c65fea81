"""Fig. S26: the surface of the anode from above, levelled, with its roughness."""

from typing import Final

import numpy as np
import pyqtgraph as pg

from hexlive.monitor.card import Card
from hexlive.monitor.context import Context
from hexlive.monitor.levels import balanced_levels, robust_levels, thinned
from hexlive.monitor.mapview import BAR_AXIS_PX, BAR_PX, DIVERGING
from hexlive.monitor.numbers import with_sigma
from hexlive.monitor.slice_view import SliceView
from hexlive.monitor.words import roughness
from hexlive.stream.model import Snapshot
from hexlive.stream.views import CtView

UM3_PER_MM3: Final = 1e9


class SurfacePanel:
    """Height of the anode's surface, its roughness, and what volume lies below it."""

    def __init__(self, context: Context) -> None:
        hint = (
            "Height of the anode's surface above its best plane. Ra: mean distance from that "
            "plane; Rq: root of the mean square. Grey: no surface found."
        )
        self.widget = Card(context.theme, "Anode surface", hint)
        self._view = SliceView(self.widget, (0, 0, 1), "height above the best plane")
        self._bar = pg.ColorBarItem(
            colorMap=pg.colormap.get(DIVERGING), width=BAR_PX, interactive=False, colorMapMenu=False
        )
        self.widget.style_axis(self._bar.getAxis("right"), "height (µm)")
        self._bar.getAxis("right").setWidth(BAR_AXIS_PX)
        self._bar.setImageItem(self._view.image, insert_in=self._view.plot)
        self._bar.hide()
        self._drawn: int | None = None
        self.widget.say("no surface yet", "")

    def show(self, snapshot: Snapshot) -> None:
        """Draw the surface, once per reconstruction."""
        ct = snapshot.ct
        if ct is None or ct.surface_um is None or ct.surface_um.size == 0 or self._drawn == ct.scan:
            return
        self._drawn = ct.scan
        levels = balanced_levels(robust_levels(thinned(ct.surface_um)), 0.0)
        self._view.draw(ct.surface_um, ct.pixel_um, ct.scan, levels)
        self._bar.setLevels(levels)
        self._bar.show()
        self.widget.say(roughness(ct), volumes(ct))
        self.widget.keep(surface_um=np.asarray(ct.surface_um))


def volumes(ct: CtView) -> str:
    """Volumes of the anode and of the voids in it."""
    parts = []
    if (anode_um3 := ct.anode_volume_um3) is not None:
        parts.append(f"anode {in_mm3(anode_um3, ct.anode_volume_sigma_um3)} mm³")
    if ct.void_volume_um3 is not None and ct.n_voids is not None:
        parts.append(f"{ct.n_voids:,} voids, {ct.void_volume_um3 / UM3_PER_MM3:.3g} mm³")
    return "   ".join(parts)


def in_mm3(volume_um3: float | None, sigma_um3: float | None) -> str:
    """A volume with its uncertainty, mm3."""
    volume, sigma = (None if x is None else x / UM3_PER_MM3 for x in (volume_um3, sigma_um3))
    return with_sigma(volume, sigma, percent=False)
