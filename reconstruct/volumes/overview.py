"""A comparison of stages in a few pictures and one table, collected while its slices go by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.volumes.morphology import Change, Layer, Morphology


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Overview:
    """All slices of a comparison, in a few pictures.

    Attributes
    ----------
    changes
        Of each stage, the first included.
    xy, xz
        The slices through the middle of the surface that changed most, and through the middle.
    from_above, from_aside
        ``(y, x)`` and ``(z, x) uint8``: maximum projections of the stages.
    columns_um
        ``(stages - 1, y, x)``: thickness gained against the first stage.
    xy_slice
        The slice of ``xy``.
    """

    changes: tuple[Change, ...]
    xy: Layer
    xz: Layer
    from_above: NDArray[np.uint8]
    from_aside: NDArray[np.uint8]
    columns_um: NDArray[np.float64]
    xy_slice: int


class Overviewing:
    """Collects an `Overview` while the layers go by."""

    def __init__(self, morphology: Morphology) -> None:
        depth, height, width = morphology.shape
        n_later = len(morphology.stages) - 1
        self._morphology = morphology
        self._z, self._most = 0, -1
        self._columns = np.zeros((n_later, height, width), np.int32)
        self._counts = np.zeros((n_later, 2), np.int64)
        self._above = np.zeros((height, width), np.uint8)
        self._aside = np.zeros((depth, width), np.uint8)
        self._xz = Layer(
            np.zeros((depth, width), np.uint8), np.zeros((n_later, depth, width), "i1")
        )
        self._xy, self._xy_slice = Layer(self._above, self._columns.astype(np.int8)), 0

    def add(self, layer: Layer) -> None:
        """Take the next slice."""
        z, middle = self._z, layer.stage.shape[0] // 2
        np.maximum(self._above, layer.stage, out=self._above)
        self._aside[z] = layer.stage.max(axis=0)
        self._xz.stage[z], self._xz.changes[:, z] = layer.stage[middle], layer.changes[:, middle]
        self._columns += layer.changes
        counts = np.stack(
            [(layer.changes > 0).sum((1, 2)), (layer.changes < 0).sum((1, 2))], axis=1
        )
        self._counts += counts
        if counts.sum() > self._most:
            self._most, self._xy, self._xy_slice = int(counts.sum()), layer, z
        self._z += 1

    def overview(self) -> Overview:
        """What was seen."""
        counts = [(0, 0), *((int(grown), int(removed)) for grown, removed in self._counts)]
        return Overview(
            changes=tuple(self._morphology.change(i, *pair) for i, pair in enumerate(counts)),
            xy=self._xy,
            xz=self._xz,
            from_above=self._above,
            from_aside=self._aside,
            columns_um=self._columns.astype(np.float64) * self._morphology.voxel_um,
            xy_slice=self._xy_slice,
        )
