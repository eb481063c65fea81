"""The line of figures at the top of the screen: what each says, and how urgent it is. No Qt."""

from typing import Final, NamedTuple

from hexlive.monitor.numbers import NONE, duration, rounded, size
from hexlive.monitor.theme import Level
from hexlive.stream.model import Snapshot
from hexlive.stream.views import Health, TargetView

OCCUPANCY_WARNING: Final = 0.10
BACKLOG_WARNING_MS: Final = 1000.0
DISK_WARNING_BYTES: Final = 100_000_000_000  # two exposures of the paper are 115 GB
DISK_ALARM_BYTES: Final = 5_000_000_000
LONGEST_NOTE: Final = 200


class Phrase(NamedTuple):
    """Some words and how urgent they are."""

    text: str
    level: Level = "plain"


class Tile(NamedTuple):
    """One figure of the status line."""

    label: str
    value: Phrase
    hint: str


def tiles(snapshot: Snapshot) -> list[Tile]:
    """The status line, left to right."""
    health = snapshot.health
    return [
        Tile("frame rate", _rate(snapshot), "Frames taken in per second."),
        Tile("backlog", _backlog(health), "Age of the newest frame when it was counted, ms."),
        Tile(
            "received / expected",
            Phrase(f"{health.frames_received:,} / {health.frames_expected:,}"),
            "Frames of the whole series; expected = received + lost.",
        ),
        Tile("lost", lost(health), "Frames of the series that never came."),
        Tile("rejected", rejected(health), reasons(health)),
        Tile(
            "live time",
            Phrase(duration(health.live_time_s)),
            "Of the present exposure, from received frames only.",
        ),
        Tile("to target", _to_target(snapshot.target), _target_hint(snapshot.target)),
        Tile("occupancy", _occupancy(health), "Mean fraction of pixels hit per frame."),
        Tile("clusters 1 / 2 / >2 pixels", _clusters(health), "Fractions of all clusters."),
        Tile("recording", recording(health), _recorded(health)),
        Tile("disk free", disk(health), "Room left for result and recording."),
    ]


def _rate(snapshot: Snapshot) -> Phrase:
    """A Compton exposure without frames is worth a warning."""
    segment, rate_hz = snapshot.segment, snapshot.health.rate_hz
    exposing = snapshot.status == "running" and segment is not None and segment.mode == "xcs"
    return Phrase(f"{rate_hz:,.0f} /s", "warning" if exposing and rate_hz <= 0 else "plain")


def _backlog(health: Health) -> Phrase:
    if health.backlog_ms is None:
        return Phrase(NONE)
    late = health.backlog_ms > BACKLOG_WARNING_MS
    return Phrase(f"{health.backlog_ms:,.0f} ms", "warning" if late else "plain")


def lost(health: Health) -> Phrase:
    """Frames that never came, in number and in percent."""
    if not health.frames_missing:
        return Phrase("0", "good")
    return Phrase(f"{health.frames_missing:,} ({lost_percent(health)})", "alarm")


def lost_percent(health: Health) -> str:
    """The same of all that were expected."""
    return f"{100 * health.frames_missing / max(health.frames_expected, 1):.2g} %"


def rejected(health: Health) -> Phrase:
    """Number of messages and frames refused."""
    total = sum(health.rejected.values())
    return Phrase(f"{total:,}", "warning" if total else "plain")


def reasons(health: Health) -> str:
    """Why they were."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in health.rejected.items())
    return shortened(f"Messages or frames refused: {reasons or 'none'}.")


def _occupancy(health: Health) -> Phrase:
    crowded = health.occupancy > OCCUPANCY_WARNING
    return Phrase(f"{100 * health.occupancy:.1f} %", "warning" if crowded else "plain")


def _clusters(health: Health) -> Phrase:
    return Phrase(" / ".join(f"{100 * part:.0f}" for part in health.cluster_fractions) + " %")


def recording(health: Health) -> Phrase:
    """What the recorder does."""
    known: dict[str, Phrase] = {
        "off": Phrase("off", "idle"),
        "recording": Phrase("on", "good"),
    }
    return known.get(health.recording, Phrase("FAILED", "alarm"))


def _recorded(health: Health) -> str:
    if health.recording != "recording":
        return shortened(health.recording)
    written = f"{health.written_mb:,.0f} MB, {health.written_mb_per_s:,.0f} MB/s"
    return f"Recorded {written}; {health.unwritten_mb:,.0f} MB wait to be written."


def disk(health: Health) -> Phrase:
    """Room left for result and recording."""
    free = health.disk_free_bytes
    if free is None:
        return Phrase(NONE)
    low = free < DISK_WARNING_BYTES
    level: Level = "alarm" if free < DISK_ALARM_BYTES else "warning" if low else "plain"
    return Phrase(size(free), level)


def _to_target(target: TargetView | None) -> Phrase:
    if target is None or target.superpixel_s is None:
        return Phrase(NONE)
    if target.superpixel_s <= 0:
        return Phrase("reached", "good")
    return Phrase(rounded(target.superpixel_s))


def _target_hint(target: TargetView | None) -> str:
    if target is None:
        return "Live time still needed."
    spans = {
        f"the median block of {target.side_px} x {target.side_px} pixels": target.superpixel_s,
        "the median pixel": target.pixel_s,
        "all pixels together": target.mean_s,
    }
    needed = ", ".join(
        f"{what}: {NONE if seconds is None else rounded(seconds)}"
        for what, seconds in spans.items()
    )
    percent = 100 * target.relative_sigma
    return f"Live time until σ(EMF)/EMF is {percent:g} % at the present rate; {needed}."


def shortened(text: str) -> str:
    """One line of at most 200 characters."""
    line = " ".join(text[: 2 * LONGEST_NOTE].split())
    return line if len(line) <= LONGEST_NOTE else line[: LONGEST_NOTE - 1] + "…"
