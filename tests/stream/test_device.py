"""The device that counts is named as it is."""

from types import SimpleNamespace

import pytest

from hexlive.kernels import cupy_device
from hexlive.kernels.cupy_device import find_gpu
from hexlive.stream import device
from hexlive.stream.device import describe_device


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
    monkeypatch.setattr(cupy_device, "find_spec", lambda name: None)
    monkeypatch.setattr(cupy_device, "gpu_seen", lambda: True)
    assert find_gpu() == (
        False,
        "a GPU seems to be here, but CuPy is missing: pip install 'hexlive[cuda]'",
    )


def test_a_gpu_that_cupy_reaches_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = {"name": b"Imagined GPU"}
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 2, getDeviceProperties=lambda number: properties
    )
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), __version__="99.0")
    monkeypatch.setattr(cupy_device, "find_spec", lambda name: object())
    monkeypatch.setattr(cupy_device, "import_module", lambda name: cupy)
    assert find_gpu() == (True, "Imagined GPU (2 in all), CuPy 99.0")
    assert describe_device("auto", "cuda") == (
        "events are counted on the GPU: Imagined GPU (2 in all), CuPy 99.0"
    )
