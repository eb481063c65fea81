"""A simulated CT scan: projections of a phantom, with flats, darks, noise and uneven pixels."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled
from hexlive.reconstruct.compton import FloatArray
from hexlive.stream.model import AnyMessage, Projections, ScanEnd, ScanStart
from hexlive.stream.nxtomo import DARK, FLAT, PROJECTION
from hexlive.stream.simulator.phantom import FloatImage, Phantom, ScanSettings, make_phantom

FLAT_COUNTS: Final = 50_000.0
FLAT_WAVE: Final = 0.10
FLAT_GRAIN: Final = 0.02
DARK_COUNTS: Final = 100.0
DARK_NOISE: Final = 2.0
RING_SHARE: Final = 0.002  # of the pixels
RING_CHANGE: Final = 0.03  # of their response, between flats and projections
CT_MAX: Final = 65535
HALF_TURN_DEG: Final = 180.0
SCAN_STREAM: Final = 4


class ImageBatch(NamedTuple):
    """Images of a scan: ``(images, rows, columns) uint16``, angles, and NXtomo image keys."""

    images: NDArray[np.uint16]
    angles_deg: FloatArray
    image_key: NDArray[np.uint8]


def scan_images(phantom: Phantom, settings: ScanSettings, seed: int) -> Iterator[ImageBatch]:
    """The images of a scan, in the order darks, flats, projections, with Poisson noise."""
    random = np.random.default_rng((seed, SCAN_STREAM))
    flat = _flat_counts(settings, random)
    drifted = flat * _ring_response(flat.shape, random)
    slices_last = np.ascontiguousarray(np.moveaxis(phantom.volume, 0, -1))
    step = settings.batch_images

    def batch(counts: FloatArray, angles_deg: FloatArray, key: int) -> ImageBatch:
        level = random.poisson(counts) + random.normal(DARK_COUNTS, DARK_NOISE, counts.shape)
        images = np.clip(np.rint(level), 0, CT_MAX).astype(np.uint16)
        return ImageBatch(images, angles_deg, np.full(len(images), key, np.uint8))

    for key, count, level in ((DARK, settings.n_darks, 0.0), (FLAT, settings.n_flats, 1.0)):
        for first in range(0, count, step):
            n = min(step, count - first)
            yield batch(np.repeat(level * flat[None], n, axis=0), np.zeros(n), key)
    angles_deg = np.linspace(0.0, HALF_TURN_DEG, settings.n_projections, endpoint=False)
    for first in range(0, settings.n_projections, step):
        some_deg = angles_deg[first : first + step]
        angles_rad: FloatArray = np.radians(some_deg)
        integrals = project(slices_last, angles_rad, settings.centre_px, settings.columns)
        yield batch(drifted * np.exp(-integrals.astype(np.float64)), some_deg, PROJECTION)


def scan_messages(
    series: str,
    number: int,
    state: int,
    scan: ScanSettings,
    seed: int,
    started_s: float | None = None,
) -> Iterator[AnyMessage]:
    """A CT scan of the cell in this state."""
    yield ScanStart(
        series=series,
        scan=number,
        rows=scan.rows,
        columns=scan.columns,
        n_images=scan.n_images,
        pixel_um=scan.pixel_um,
        state=state,
        started_s=started_s,
    )
    sent = 0
    for batch in scan_images(make_phantom(state, scan, seed), scan, seed):
        yield Projections(
            series=series,
            scan=number,
            first_image=sent,
            angles_deg=batch.angles_deg,
            image_key=batch.image_key,
            images=batch.images,
        )
        sent += len(batch.images)
    yield ScanEnd(series=series, scan=number, n_images=sent)


def _flat_counts(settings: ScanSettings, random: np.random.Generator) -> FloatArray:
    """Counts without a sample, ``(rows, columns)``: a wide beam profile, and pixel gains."""
    shape = settings.rows, settings.columns
    profile = 1 - FLAT_WAVE * np.linspace(-1.0, 1.0, settings.columns) ** 2
    return FLAT_COUNTS * profile * random.normal(1.0, FLAT_GRAIN, shape)


def _ring_response(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Response in projections relative to that in flats: a few pixels differ and cause rings."""
    changed = random.uniform(size=shape) < RING_SHARE
    change: FloatArray = RING_CHANGE * changed * random.choice([-1.0, 1.0], shape)
    return 1 + change


@compiled(fastmath=True)
def project(
    slices_last: FloatImage, angles_rad: FloatArray, centre_px: float, columns: int
) -> FloatImage:
    """Line integrals of a volume, ``(angles, z, columns) float32`` (Joseph 1982).

    Parameters
    ----------
    slices_last
        ``(y, x, z) float32``, attenuation per pixel; z is contiguous, so all slices share the
        geometry of each step. A point (x, y) from the middle is seen in column
        ``centre_px + x cos(angle) + y sin(angle)``.
    """
    n, _, slices = slices_last.shape
    middle = (n - 1) / 2.0
    result = np.zeros((angles_rad.size, columns, slices), np.float32)
    for i in range(angles_rad.size):
        cosine, sine = np.cos(angles_rad[i]), np.sin(angles_rad[i])
        along_y = abs(cosine) >= abs(sine)
        major, minor = (cosine, sine) if along_y else (sine, cosine)
        length = np.float32(1.0 / abs(major))
        for step in range(n):
            for column in range(columns):
                across = (column - centre_px - (step - middle) * minor) / major + middle
                near = int(np.floor(across))
                if near < 0 or near + 1 >= n:
                    continue
                far_part = np.float32(across - near) * length
                first = slices_last[step, near] if along_y else slices_last[near, step]
                second = slices_last[step, near + 1] if along_y else slices_last[near + 1, step]
                line = result[i, column]
                for z in range(slices):
                    line[z] += (length - far_part) * first[z] + far_part * second[z]
    return result.transpose(0, 2, 1)
