"""What all devices do alike: which batches they refuse, and how their tally becomes counts."""

from dataclasses import fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import DROP_REASONS, Counts, EventSettings, SpectrumSettings
from hexlive.kernels.state import Tally

MAX_SPECTRA_BYTES: Final = 8 << 30
MAX_FRAMES: Final = 2**32 - 1  # a pixel has at most one event per frame, so uint32 cannot wrap
MAX_FRAME_NUMBER: Final = 2**63 - 1


def check_memory(events: EventSettings, spectrum: SpectrumSettings, n_pixels: int) -> None:
    """Refuse spectra that take too much memory.

    Raises
    ------
    ValueError
        They are larger than 8 GiB; the sentence has the size.
    """
    n_spectra = n_pixels * (2 if events.keep_multiplicity else 1)
    n_bytes = n_spectra * spectrum.n_bins * np.dtype(np.uint32).itemsize
    if n_bytes > MAX_SPECTRA_BYTES:
        raise ValueError(
            f"{n_spectra} spectra of {spectrum.n_bins} bins take {n_bytes / 2**30:.1f} GiB, more "
            f"than the limit of {MAX_SPECTRA_BYTES / 2**30:.0f} GiB; use wider bins."
        )


def check_batch(frames: Any, first_frame: int, shape: tuple[int, int], n_before: int) -> None:
    """Refuse a batch that cannot be counted.

    Parameters
    ----------
    frames
        An array, on whatever device.
    shape
        (rows, columns) of a frame.
    n_before
        Frames counted before.

    Raises
    ------
    ValueError
        The frames have the wrong dtype, shape or numbers.
    OverflowError
        More frames than the counters can hold.
    """
    if frames.dtype != np.uint16:
        raise ValueError(f"Frames must be uint16, not {frames.dtype}.")
    if frames.shape[1:] != shape or frames.ndim != 3:
        raise ValueError(
            f"Frames must have the shape (frames, {shape[0]}, {shape[1]}), not {frames.shape}."
        )
    if not 0 <= first_frame <= MAX_FRAME_NUMBER - len(frames):
        raise ValueError(
            f"Frame numbers must lie in 0 to {MAX_FRAME_NUMBER}, "
            f"but {len(frames)} frames begin at {first_frame}."
        )
    _check_number(n_before + len(frames))


def _check_number(n_frames: int) -> None:
    if n_frames > MAX_FRAMES:
        raise OverflowError(
            f"{n_frames} frames are more than the counters hold ({MAX_FRAMES}); take a snapshot "
            "and clear."
        )


def flat(frames: Any, n_pixels: int) -> NDArray[np.uint16]:
    """Frames on the host as ``(frames, pixels)``, in one layout and always read-only.

    A second kind of array would be compiled for again.
    """
    adu = np.require(np.asarray(frames), requirements=("C", "A")).reshape(len(frames), n_pixels)
    adu.flags.writeable = False
    return adu


def counts_of(tally: Tally, shape: tuple[int, int], n_frames: int, *, singles: bool) -> Counts:
    """Counts made of a tally, checked for conservation; they share its memory.

    Parameters
    ----------
    shape
        (rows, columns) of a frame.
    singles
        Whether the spectra of one-pixel events are kept.
    """

    def image(by_pixel: NDArray[Any], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
        return by_pixel.view(dtype).reshape(*shape, *by_pixel.shape[1:])

    booked, under, over, *dropped = tally.fates.tolist()
    counts = Counts(
        spectra=image(tally.spectra, np.uint32),
        single_spectra=image(tally.single_spectra, np.uint32) if singles else None,
        under=image(tally.under, np.uint32),
        over=image(tally.over, np.uint32),
        hits=image(tally.hits, np.uint64),
        cluster_sizes=tally.cluster_sizes.view(np.uint64),
        window_low=image(tally.window_low, np.uint64),
        window_high=image(tally.window_high, np.uint64),
        booked_hits=booked,
        under_hits=under,
        over_hits=over,
        n_frames=n_frames,
        dropped_hits=dict(zip(DROP_REASONS, dropped, strict=True)),
    )
    counts.check()
    return counts


def tally_of(counts: Counts, counters: Tally, shape: tuple[int, int], n_before: int) -> Tally:
    """The tally that counts were made of; the opposite of `counts_of`.

    Parameters
    ----------
    counters
        To which it is to be added, on whatever device.
    shape
        (rows, columns) of a frame.
    n_before
        Frames counted in these counters.

    Raises
    ------
    ValueError
        The counts are of another camera, axis or setting.
    ArithmeticError
        They lack a hit, or have one twice.
    OverflowError
        More frames than the counters can hold.
    """
    singles = counts.single_spectra
    if (singles is not None) != (counters.single_spectra.size > 0):
        raise ValueError("The counts were made with another events.keep_multiplicity.")
    wanted = (*shape, counters.spectra.shape[1])
    if counts.spectra.shape != wanted:
        raise ValueError(f"The counts are {counts.spectra.shape}, these counters are {wanted}.")
    counts.check()
    _check_number(n_before + counts.n_frames)
    in_events = (counts.booked_hits, counts.under_hits, counts.over_hits)
    dropped = (counts.dropped_hits[reason] for reason in DROP_REASONS)
    arrays = {name: getattr(counts, name) for name in Tally._fields if name != "fates"}
    arrays["single_spectra"] = np.zeros((0, 0)) if singles is None else singles
    arrays["fates"] = np.array([*in_events, *dropped])

    def flattened(name: str) -> NDArray[Any]:
        like = getattr(counters, name)
        return np.asarray(arrays[name].reshape(like.shape).astype(like.dtype, copy=False))

    return Tally(**{name: flattened(name) for name in Tally._fields})


def add_counts(counts: Counts, counters: Tally, shape: tuple[int, int], n_before: int) -> None:
    """Add counts to counters on the host; see `tally_of`."""
    added = tally_of(counts, counters, shape, n_before)
    for name in Tally._fields:
        own = getattr(counters, name)
        own += getattr(added, name)


def without(counts: Counts, before: Counts) -> Counts:
    """What was counted after ``before``, by the same backend without a clear in between."""

    def left(name: str) -> Any:
        now, then = getattr(counts, name), getattr(before, name)
        if isinstance(now, dict):
            return {reason: n - then[reason] for reason, n in now.items()}
        return None if now is None else now - then

    return Counts(**{field.name: left(field.name) for field in fields(Counts)})
