"""What the screen says in words: banner, age of data, CT scan, notices. No Qt."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from hexlive.monitor.client import Freshness
from hexlive.monitor.figures import (
    Phrase,
    disk,
    lost,
    lost_percent,
    reasons,
    recording,
    rejected,
    shortened,
)
from hexlive.monitor.numbers import duration, rounded, with_sigma
from hexlive.monitor.theme import Level
from hexlive.stream.model import Snapshot
from hexlive.stream.views import CtView

REGIONS: Final = {1: "cathode", 2: "interphase", 3: "anode"}
SEPARATOR: Final = " · "

AGE_LEVELS: Final[dict[Freshness, Level]] = {
    "waiting": "idle",
    "fresh": "good",
    "stale": "warning",
    "old": "alarm",
    "stopped": "idle",
    "error": "alarm",
}


def past(shown: Snapshot, now: Phrase) -> Phrase:
    """The banner while an earlier exposure is looked at; alarms of the present stay in sight."""
    text = SEPARATOR.join(["HISTORY", *_segment(shown)])
    alarmed = now.level == "alarm"
    return Phrase(
        f"{now.text}{SEPARATOR}{text}" if alarmed else text, now.level if alarmed else "idle"
    )


class Notice(NamedTuple):
    """Something that somebody should know; ``kind`` tells it from others while its text changes."""

    kind: str
    text: str
    level: Level


def age(freshness: Freshness, age_s: float | None) -> Phrase:
    """Text of the age-of-data pill; stopped and error are frozen and show no age."""
    word = freshness.upper()
    counted = freshness in ("fresh", "stale", "old") and age_s is not None
    return Phrase(f"{word} {duration(age_s or 0.0)}" if counted else word, AGE_LEVELS[freshness])


def hindrance(invalid: Mapping[str, int], n_refused: int) -> str:
    """Why nothing is heard although somebody is there; empty: nobody is, as far as is known.

    Parameters
    ----------
    invalid, n_refused
        What a client has dropped, by reason, and connections that came to nothing.
    """
    if invalid:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in invalid.items())
        return f"what comes cannot be read ({counts}); is it a pipeline of this version?"
    return "it turns us away; is it a pipeline, and are these its keys?" if n_refused else ""


def banner(
    snapshot: Snapshot | None, freshness: Freshness, address: str, hindered: str = ""
) -> Phrase:
    """One sentence on what is going on, the worst first.

    Parameters
    ----------
    hindered
        Why nothing is heard, see `hindrance`.
    """
    if snapshot is None:
        waiting = f"Waiting for a pipeline at {shortened(address)}"
        return Phrase(f"{waiting}: {hindered}", "warning") if hindered else Phrase(waiting, "idle")
    alarms = _alarms(snapshot, freshness)
    stopped = [_noted("STOPPED", snapshot.note)] if snapshot.status == "stopped" else []
    doing = [*_segment(snapshot), *_scan(snapshot.ct)]
    if recording(snapshot.health).level == "alarm":
        doing.append(shortened(snapshot.health.recording))
    if snapshot.health.result_fault:
        doing.append(shortened(snapshot.health.result_fault))
    level: Level = "alarm" if alarms else "idle" if stopped else "plain"
    return Phrase(SEPARATOR.join([*alarms, *stopped, *doing]) or "Waiting for frames", level)


def _alarms(snapshot: Snapshot, freshness: Freshness) -> list[str]:
    health = snapshot.health
    alarms = []
    if snapshot.status == "error":
        alarms.append(_noted("ERROR", snapshot.note))
    if health.frames_missing:
        alarms.append(f"LOST {lost_percent(health)}")
    if recording(health).level == "alarm":
        alarms.append("NOT RECORDING")
    if health.result_fault:
        alarms.append("NO RESULT")
    if disk(health).level == "alarm":
        alarms.append("DISK FULL")
    if snapshot.ct is not None and snapshot.ct.status == "failed":
        alarms.append(f"CT {snapshot.ct.scan} FAILED")
    if snapshot.gain_alarm:
        alarms.append("GAIN DRIFT")
    if freshness == "old":
        alarms.append("NO NEW DATA")
    return alarms + [shortened(sentence) for sentence in health.suspicions]


def notices(snapshot: Snapshot) -> list[Notice]:
    """What belongs into the log of a monitor: alarms first, then doubts, then notes."""
    health, ct = snapshot.health, snapshot.ct
    cases: list[tuple[str, object, str, Level]] = [
        ("error", snapshot.status == "error", _noted("Error", snapshot.note), "alarm"),
        ("lost", health.frames_missing, f"Lost {lost(health).text} frames.", "alarm"),
        ("recording", recording(health).level == "alarm", health.recording, "alarm"),
        ("result", health.result_fault, health.result_fault, "alarm"),
        ("disk", disk(health).level == "alarm", f"Disk: {disk(health).text} free.", "alarm"),
        ("gain", snapshot.gain_alarm, snapshot.gain_alarm, "alarm"),
        (
            "rejected",
            sum(health.rejected.values()),
            f"{rejected(health).text} rejected. {reasons(health)}",
            "warning",
        ),
        (
            "ct",
            ct and (ct.note or ct.status == "failed"),
            f"CT scan {ct.scan}: {ct.note or ct.status}" if ct else "",
            "alarm" if ct and ct.status == "failed" else "warning",
        ),
    ]
    found = [Notice(kind, shortened(text), level) for kind, is_so, text, level in cases if is_so]
    found += [Notice(f"gap {text[:40]}", shortened(text), "alarm") for text in health.suspicions]
    found += [Notice(f"doubt {text[:40]}", shortened(text), "warning") for text in snapshot.doubts]
    found += [Notice(f"note {text[:40]}", shortened(text), "plain") for text in snapshot.notes]
    return found


def region_name(region: int | None) -> str:
    """A region by number and, where the cell has it, by name."""
    return "no region" if region is None else f"region {region} {REGIONS.get(region, '')}".rstrip()


def _segment(snapshot: Snapshot) -> list[str]:
    segment = snapshot.segment
    if segment is None:
        return []
    parts = []
    if segment.state is not None:
        parts.append(f"State {segment.state}")
    if segment.soc is not None:
        parts.append(f"SoC {100 * segment.soc:.0f} %")
    if segment.region is not None:
        parts.append(region_name(segment.region).capitalize())
    collecting = snapshot.status == "running" and segment.mode == "xcs"
    parts.append(progress(snapshot) if collecting else segment.mode.upper())
    return parts


def progress(snapshot: Snapshot) -> str:
    """How far an exposure has come, as seen by the typical superpixel."""
    target, live_time_s = snapshot.target, snapshot.health.live_time_s
    if target is None or target.superpixel_s is None or live_time_s <= 0:
        return "collecting"
    if target.superpixel_s <= 0:
        return "target reached"
    percent = 100 * live_time_s / (live_time_s + target.superpixel_s)
    return f"collecting: {percent:.0f} % to target, {rounded(target.superpixel_s)}"


def _scan(ct: CtView | None) -> list[str]:
    if ct is None or ct.status == "done":
        return []
    if ct.status == "failed":  # which is among the alarms
        return [shortened(ct.note)] if ct.note else []
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
    """How a scan was reconstructed, for the line under its slices."""
    facts = [
        (ct.state, "state {}"),
        (ct.engine, "{}"),
        (ct.seconds, "{:.1f} s"),
        (ct.centre_px, "centre {:.2f} px"),
    ]
    return SEPARATOR.join(form.format(value) for value, form in facts if value is not None)


def roughness(ct: CtView) -> str:
    """Ra and Rq of the anode's surface, where they are known."""
    known = (("Ra", ct.ra_um, ct.ra_sigma_um), ("Rq", ct.rq_um, ct.rq_sigma_um))
    return SEPARATOR.join(
        f"{name} {with_sigma(value, sigma, percent=False)} µm"
        for name, value, sigma in known
        if value is not None
    )


def _noted(word: str, note: str) -> str:
    return f"{word}: {shortened(note)}" if note else word
