"""The device that counts is named as it is."""

import pytest

from hexlive.stream import device
from hexlive.stream.device import describe_device, find_gpu, gpu_seen


def test_a_gpu_that_is_seen_but_not_used_is_said_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "gpu_seen", lambda: True)
    said = describe_device("auto", "cpu")
    assert said.startswith("events are counted on the CPU, although there seems to be a GPU")
    assert find_gpu()[1] in said
    assert describe_device("cpu", "cpu") == "events are counted on the CPU"


def test_without_a_gpu_there_is_nothing_to_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpu_seen", lambda: False)
    assert describe_device("auto", "cpu") == "events are counted on the CPU"


def test_a_missing_cupy_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    monkeypatch.setattr(device, "gpu_seen", lambda: True)
    assert find_gpu() == (
        False,
        "a GPU seems to be here, but CuPy is missing: pip install 'hexlive[cuda]'",
    )


def test_cupy_reaching_a_gpu_means_that_one_is_seen() -> None:
    usable, detail = find_gpu()
    assert usable <= gpu_seen()
    assert detail
