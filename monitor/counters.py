"""Every counter of a run as words: what came, was lost, refused or dropped, and why. No Qt."""

from collections.abc import Iterator

from hexlive.monitor.numbers import size
from hexlive.stream.views import Health


def counter_rows(health: Health, hits: float) -> Iterator[tuple[str, str, str]]:
    """Counters with their share of what they are part of."""
    expected = max(health.frames_expected, 1)
    yield "frames expected", f"{health.frames_expected:,}", ""
    yield (
        "frames received",
        f"{health.frames_received:,}",
        _share(health.frames_received / expected),
    )
    yield "frames lost", f"{health.frames_missing:,}", _share(health.frames_missing / expected)
    for reason, count in health.rejected.items():
        yield f"rejected: {reason}", f"{count:,}", ""
    yield "hits of this exposure", f"{hits:,.0f}", ""
    for reason, count in health.dropped.items():
        yield (
            f"hits dropped: {reason.replace('_', ' ')}",
            f"{count:,}",
            _share(count / max(hits, 1)),
        )
    for name, fraction in zip(
        ("1 pixel", "2 pixels", "more pixels"), health.cluster_fractions, strict=True
    ):
        yield f"clusters of {name}", "", _share(fraction)
    if health.disk_free_bytes is not None:
        yield "room on the disk", size(health.disk_free_bytes), ""
    yield from _device_rows(health)


def _device_rows(health: Health) -> Iterator[tuple[str, str, str]]:
    """What counts events; nothing where the run does not say."""
    if health.computing:
        yield f"counted on {health.computing}", "", ""
    used_mb, total_mb = health.gpu_used_mb, health.gpu_total_mb
    if used_mb is not None and total_mb:
        yield f"GPU memory, of {total_mb:,.0f} MB", f"{used_mb:,.0f} MB", _share(used_mb / total_mb)


def _share(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"
