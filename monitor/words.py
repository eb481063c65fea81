"""What the screen says in words: the banner, the age of the data and the status line. No Qt."""

from typing import Final, NamedTuple

from hexlive.monitor.client import Freshness
from hexlive.monitor.theme import Level
from hexlive.stream.model import CtView, Health, Segment, Snapshot

REGIONS: Final = {1: "cathode", 2: "interphase", 3: "anode"}
OCCUPANCY_WARNING: Final = 0.10
BACKLOG_WARNING_MS: Final = 1000.0
LONGEST_NOTE: Final = 200
SECONDS_PER_MINUTE: Final = 60
SEPARATOR: Final = "  ·  "
NONE: Final = "–"

AGE_LEVELS: Final[dict[Freshness, Level]] = {
    "waiting": "idle",
    "fresh": "good",
    "stale": "warning",
    "old": "alarm",
    "stopped": "idle",
    "error": "alarm",
}


class Phrase(NamedTuple):
    """Some words and how urgent they are."""

    text: str
    level: Level = "plain"


class Tile(NamedTuple):
    """One figure of the status line."""

    label: str
    value: Phrase
    hint: str


def age(freshness: Freshness, age_s: float | None) -> Phrase:
    """Text of the age-of-data pill; stopped and error are frozen and show no age."""
    word = freshness.upper()
    counted = freshness in ("fresh", "stale", "old") and age_s is not None
    return Phrase(f"{word} {duration(age_s or 0.0)}" if counted else word, AGE_LEVELS[freshness])


def duration(seconds: float) -> str:
    """Seconds below a minute, then minutes and seconds, then hours and minutes."""
    if seconds < SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest_s = divmod(int(seconds), SECONDS_PER_MINUTE)
    if minutes < SECONDS_PER_MINUTE:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // SECONDS_PER_MINUTE} h {minutes % SECONDS_PER_MINUTE:02d} min"


def banner(snapshot: Snapshot | None, freshness: Freshness, address: str) -> Phrase:
    """One sentence on what is going on, the worst first."""
    if snapshot is None:
        return Phrase(f"Waiting for a pipeline at {shortened(address)}", "idle")
    alarms = _alarms(snapshot, freshness)
    stopped = [_noted("STOPPED", snapshot.note)] if snapshot.status == "stopped" else []
    doing = [*_segment(snapshot.segment), *_scan(snapshot.ct)]
    if _recording(snapshot.health).level == "alarm":
        doing.append(shortened(snapshot.health.recording))
    level: Level = "alarm" if alarms else "idle" if stopped else "plain"
    return Phrase(SEPARATOR.join([*alarms, *stopped, *doing]) or "Waiting for frames", level)


def _alarms(snapshot: Snapshot, freshness: Freshness) -> list[str]:
    health = snapshot.health
    alarms = []
    if snapshot.status == "error":
        alarms.append(_noted("ERROR", snapshot.note))
    if health.frames_missing:
        alarms.append(f"LOST {_lost_percent(health)}")
    if _recording(health).level == "alarm":
        alarms.append("NOT RECORDING")
    if snapshot.gain_alarm:
        alarms.append("GAIN DRIFT")
    if freshness == "old":
        alarms.append("NO NEW DATA")
    return alarms + [shortened(sentence) for sentence in health.suspicions]


def _segment(segment: Segment | None) -> list[str]:
    if segment is None:
        return []
    parts = []
    if segment.state is not None:
        parts.append(f"State {segment.state}")
    if segment.soc is not None:
        parts.append(f"SoC {100 * segment.soc:.0f} %")
    if segment.region is not None:
        parts.append(f"Region {segment.region} {REGIONS.get(segment.region, '')}".rstrip())
    parts.append(segment.mode.upper())
    return parts


def _scan(ct: CtView | None) -> list[str]:
    if ct is None or ct.status == "done":
        return []
    return [f"CT {ct.scan} {scan_progress(ct)}"]


def scan_progress(ct: CtView) -> str:
    """How far a scan has come."""
    if ct.status == "collecting":
        percent = 100 * ct.n_images / max(ct.n_expected, 1)
        return f"collecting {ct.n_images:,} of {ct.n_expected:,} images ({percent:.0f} %)"
    if ct.status == "failed":
        return _noted("FAILED", ct.note)
    if ct.status == "done" or ct.progress is None:
        return ct.status
    left = "" if ct.eta_s is None else f", {duration(ct.eta_s)} left"
    return f"{ct.status}, {ct.stage} {100 * ct.progress:.0f} %{left}"


def scan_facts(ct: CtView) -> str:
    """What is known of a reconstruction, for the line under its slices."""
    facts = [
        (ct.state, "state {}"),
        (ct.engine, "{}"),
        (ct.seconds, "{:.1f} s"),
        (ct.centre_px, "centre {:.2f} px"),
        (ct.ra_um, "Ra {:.2f} µm"),
        (ct.rq_um, "Rq {:.2f} µm"),
    ]
    return SEPARATOR.join(form.format(value) for value, form in facts if value is not None)


def tiles(snapshot: Snapshot) -> list[Tile]:
    """The status line, left to right."""
    health = snapshot.health
    return [
        Tile("frame rate", _rate(snapshot), "Frames taken in per second."),
        Tile("backlog", _backlog(health), "Age of the newest frame when it was counted."),
        Tile(
            "received / expected",
            Phrase(f"{health.frames_received:,} / {health.frames_expected:,}"),
            "Frames of the whole series; expected = received + lost.",
        ),
        Tile("lost", _lost(health), "Frames of the series that never came."),
        Tile("rejected", _rejected(health), _reasons(health)),
        Tile("live time", Phrase(f"{health.live_time_s:,.1f} s"), "Of the present exposure."),
        Tile("occupancy", _occupancy(health), "Mean fraction of pixels hit per frame."),
        Tile("clusters 1 / 2 / >2 pixels", _clusters(health), "Fractions of all clusters."),
        Tile("recording", _recording(health), _recorded(health)),
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


def _lost(health: Health) -> Phrase:
    if not health.frames_missing:
        return Phrase("0", "good")
    return Phrase(f"{health.frames_missing:,} ({_lost_percent(health)})", "alarm")


def _lost_percent(health: Health) -> str:
    return f"{100 * health.frames_missing / max(health.frames_expected, 1):.2g} %"


def _rejected(health: Health) -> Phrase:
    total = sum(health.rejected.values())
    return Phrase(f"{total:,}", "warning" if total else "plain")


def _reasons(health: Health) -> str:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in health.rejected.items())
    return shortened(f"Messages or frames refused: {reasons or 'none'}.")


def _occupancy(health: Health) -> Phrase:
    crowded = health.occupancy > OCCUPANCY_WARNING
    return Phrase(f"{100 * health.occupancy:.1f} %", "warning" if crowded else "plain")


def _clusters(health: Health) -> Phrase:
    return Phrase(" / ".join(f"{100 * part:.0f}" for part in health.cluster_fractions) + " %")


def _recording(health: Health) -> Phrase:
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


def _noted(word: str, note: str) -> str:
    return f"{word}: {shortened(note)}" if note else word


def shortened(text: str) -> str:
    """One line of at most 200 characters."""
    line = " ".join(text[: 2 * LONGEST_NOTE].split())
    return line if len(line) <= LONGEST_NOTE else line[: LONGEST_NOTE - 1] + "…"
