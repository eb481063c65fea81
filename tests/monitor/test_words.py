"""What the screen says: the worst first, in words and numbers that add up."""

import pytest
from msgspec.structs import replace

from hexlive.monitor.figures import tiles
from hexlive.monitor.history import History
from hexlive.monitor.numbers import brief, duration, signed, with_sigma
from hexlive.monitor.words import age, banner, hindrance, roughness, scan_facts, scan_progress
from hexlive.stream.model import Snapshot


def health(snapshot: Snapshot, **changes: object) -> Snapshot:
    return replace(snapshot, health=replace(snapshot.health, **changes))


def value(snapshot: Snapshot, label: str) -> tuple[str, str]:
    (tile,) = (t for t in tiles(snapshot) if t.label.startswith(label))
    return tile.value.text, tile.value.level


def test_the_banner_names_state_region_and_what_is_still_to_do(snapshot: Snapshot) -> None:
    text, level = banner(snapshot, "fresh", "")
    assert [part.strip() for part in text.split("·")] == [
        "State 5",
        "SoC 78 %",
        "Region 3 anode",
        "collecting: 62 % to target, 3 min",
    ]
    assert level == "plain"


def test_lost_frames_come_first_and_alarm(snapshot: Snapshot) -> None:
    lossy = health(snapshot, frames_expected=10_000, frames_received=9_880, frames_missing=120)
    text, level = banner(lossy, "fresh", "")
    assert text.startswith("LOST 1.2 %")
    assert level == "alarm"
    assert value(lossy, "lost") == ("120 (1.2 %)", "alarm")
    assert value(lossy, "received") == ("9,880 / 10,000", "plain")


def test_one_lost_frame_in_millions_is_not_rounded_away(snapshot: Snapshot) -> None:
    lossy = health(snapshot, frames_expected=4_500_000, frames_missing=1)
    assert banner(lossy, "fresh", "").text.startswith("LOST 2.2e-05 %")


def test_a_recorder_that_failed_alarms_with_its_sentence(snapshot: Snapshot) -> None:
    failed = health(snapshot, recording="No space left on device.")
    text, level = banner(failed, "fresh", "")
    assert text.startswith("NOT RECORDING")
    assert text.endswith("No space left on device.")
    assert level == "alarm"
    assert value(failed, "recording") == ("FAILED", "alarm")


def test_the_recording_says_how_much_it_has(snapshot: Snapshot) -> None:
    growing = health(snapshot, written_mb=1234.4, written_mb_per_s=70.9, unwritten_mb=3.0)
    (tile,) = (tile for tile in tiles(growing) if tile.label == "recording")
    assert tile.hint == "Recorded 1,234 MB, 71 MB/s; 3 MB wait to be written."


def test_a_result_that_cannot_be_written_alarms_with_its_sentence(snapshot: Snapshot) -> None:
    failed = health(snapshot, result_fault="No result: the disk is gone.")
    text, level = banner(failed, "fresh", "")
    assert text.startswith("NO RESULT")
    assert text.endswith("No result: the disk is gone.")
    assert level == "alarm"


def test_what_keeps_a_monitor_from_hearing_a_run_is_said() -> None:
    said = hindrance({"header": 12}, 0)
    assert said == "what comes cannot be read (header 12); is it a pipeline of this version?"
    text, level = banner(None, "waiting", "tcp://i12:5556", said)
    assert text == f"Waiting for a pipeline at tcp://i12:5556: {said}"
    assert level == "warning"
    assert "keys" in hindrance({}, 3)
    assert hindrance({}, 0) == ""


def test_what_is_rounded_to_nothing_has_no_sign() -> None:
    assert [signed(value, 3) for value in (-0.0004, 0.0004, -0.271, 0.271)] == [
        "0.000", "0.000", "-0.271", "+0.271"
    ]  # fmt: skip
    assert with_sigma(-0.0004, 0.02) == "0.000 ± 0.020  (5e+03 %)"


def test_a_reconstruction_under_way_is_announced(snapshot: Snapshot) -> None:
    busy = replace(snapshot, ct=replace(snapshot.ct, status="reconstructing"))
    assert "CT 4 reconstructing" in banner(busy, "fresh", "").text


def test_a_scan_that_failed_alarms_until_the_next(snapshot: Snapshot) -> None:
    failed = replace(snapshot, ct=replace(snapshot.ct, status="failed", note="No flat fields."))
    text, level = banner(failed, "fresh", "")
    assert text.startswith("CT 4 FAILED")
    assert text.endswith("No flat fields.")
    assert level == "alarm"
    history = History()
    history.take(replace(failed, ct=replace(failed.ct, status="reconstructing")))
    history.take(failed)
    (event,) = (event for event in history.events if "No flat fields." in event.text)
    assert event.level == "alarm"
    assert banner(snapshot, "fresh", "").level == "plain"


def test_an_error_shows_its_reason(snapshot: Snapshot) -> None:
    broken = replace(snapshot, status="error", note="The GPU is gone.")
    text, level = banner(broken, "error", "")
    assert text.startswith("ERROR: The GPU is gone.")
    assert level == "alarm"


def test_silence_alarms_and_an_end_does_not(snapshot: Snapshot) -> None:
    assert banner(snapshot, "old", "").text.startswith("NO NEW DATA")
    assert banner(replace(snapshot, status="stopped"), "stopped", "").level == "idle"


def test_before_the_first_snapshot_the_banner_names_the_address() -> None:
    assert banner(None, "waiting", "tcp://i12:5556").text == (
        "Waiting for a pipeline at tcp://i12:5556"
    )


def test_a_note_of_any_length_stays_one_short_line(snapshot: Snapshot) -> None:
    endless = replace(snapshot, status="error", note="a\n" * 1_000_000)
    text = banner(endless, "error", "").text
    assert len(text) < 500
    assert "\n" not in text


@pytest.mark.parametrize(
    ("freshness", "age_s", "text", "level"),
    [
        ("waiting", None, "WAITING", "idle"),
        ("fresh", 0.4, "FRESH 0 s", "good"),
        ("stale", 12.0, "STALE 12 s", "warning"),
        ("old", 130.0, "OLD 2 min 10 s", "alarm"),
        ("stopped", 130.0, "STOPPED", "idle"),
        ("error", 130.0, "ERROR", "alarm"),
    ],
)
def test_the_pill_tells_the_age_of_data(
    freshness: str, age_s: float | None, text: str, level: str
) -> None:
    assert age(freshness, age_s) == (text, level)


@pytest.mark.parametrize(
    ("count", "text"), [(0.0, "0"), (9876.0, "9,876"), (12_345.0, "12.3k"), (270_000.0, "270k")]
)
def test_counts_of_a_long_exposure_are_brief(count: float, text: str) -> None:
    assert brief(count) == text


def test_long_ages_are_in_hours() -> None:
    assert duration(2 * 3600 + 5 * 60 + 59) == "2 h 05 min"


@pytest.mark.parametrize(
    ("changes", "label", "expected"),
    [
        ({"occupancy": 0.1001}, "occupancy", ("10.0 %", "warning")),
        ({"occupancy": 0.1}, "occupancy", ("10.0 %", "plain")),
        ({"backlog_ms": None}, "backlog", ("–", "plain")),
        ({"backlog_ms": 2500.0}, "backlog", ("2,500 ms", "warning")),
        ({"rejected": {"length": 2, "dtype": 1}}, "rejected", ("3", "warning")),
        ({"rate_hz": 0.0}, "frame rate", ("0 /s", "warning")),
        ({"recording": "off"}, "recording", ("off", "idle")),
        ({"cluster_fractions": (0.5, 0.3, 0.2)}, "clusters", ("50 / 30 / 20 %", "plain")),
    ],
)
def test_figures_are_coloured_when_they_need_attention(
    snapshot: Snapshot, changes: dict[str, object], label: str, expected: tuple[str, str]
) -> None:
    assert value(health(snapshot, **changes), label) == expected


def test_a_finished_run_need_not_have_a_rate(snapshot: Snapshot) -> None:
    over = replace(health(snapshot, rate_hz=0.0), status="stopped")
    assert value(over, "frame rate") == ("0 /s", "plain")


def test_reasons_of_rejection_are_in_the_hint(snapshot: Snapshot) -> None:
    refused = health(snapshot, rejected={"length": 2, "dtype": 1})
    (tile,) = (t for t in tiles(refused) if t.label == "rejected")
    assert tile.hint == "Messages or frames refused: length 2, dtype 1."


def test_the_progress_of_a_scan_is_counted(snapshot: Snapshot) -> None:
    collecting = replace(snapshot.ct, status="collecting", n_images=900)
    assert scan_progress(collecting) == "collecting 900 of 3,600 images (25 %)"
    assert scan_progress(replace(collecting, n_expected=0)).startswith("collecting 900 of 0")
    failed = replace(snapshot.ct, status="failed", note="No flat fields.")
    assert scan_progress(failed) == "FAILED: No flat fields."
    at_work = replace(collecting, status="reconstructing", stage="volume")
    assert scan_progress(at_work) == "reconstructing"
    assert scan_progress(replace(at_work, progress=0.0)) == "reconstructing, volume 0 %"
    going = replace(at_work, progress=0.42, eta_s=75.0)
    assert scan_progress(going) == "reconstructing, volume 42 %, 1 min 15 s left"


def test_only_known_facts_of_a_reconstruction_are_listed(snapshot: Snapshot) -> None:
    assert scan_facts(replace(snapshot.ct, engine=None)) == "state 5 · 14.2 s · centre 209.25 px"
    assert roughness(replace(snapshot.ct, rq_um=None)) == "Ra 3.42 ± 0.11 µm"
    assert roughness(replace(snapshot.ct, ra_um=None, rq_sigma_um=None)) == "Rq 4.31 µm"


def test_the_banner_says_what_a_pattern_of_losses_looks_like(snapshot: Snapshot) -> None:
    sentence = "1 of every 2 messages are missing: another receiver is connected to this sender."
    text, level = banner(health(snapshot, suspicions=(sentence,)), "fresh", "")
    assert sentence in text
    assert level == "alarm"
