"""What this machine offers: one line per thing, OK, absent (with what to install), or ERROR."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import zmq

from hexlive.kernels.cupy_device import find_gpu

GB: Final = 1e9
PROBE_BYTES: Final = 64 << 20
DATA_RATE_BYTES_S: Final = 9000 * 80 * 80 * 2  # 9 kHz of 80 x 80 uint16

OPTIONAL: Final = {
    "finufft": "pip install 'hexlive[ct]'  (Fourier reconstruction)",
    "astra": "pip install 'hexlive[ct]'  (ASTRA reconstruction)",
    "algotom": "pip install 'hexlive[ct]'  (ring removal by wavelet or all)",
    "skimage": "pip install 'hexlive[ct]'  (the anode's surface)",
    "stomp": "pip install 'hexlive[facility]'  (a message broker as trigger)",
    "p4p": "pip install 'hexlive[facility]'  (maps as EPICS PVs)",
    "prometheus_client": "pip install 'hexlive[facility]'  (metrics)",
    "distributed": "pip install 'hexlive[campaign]'  (many recordings on a cluster)",
    "xraylib": "pip install xraylib  (the efficiency of the sensor, the simulator's profiles)",
}
DISTRIBUTIONS: Final = {"astra": "astra-toolbox", "skimage": "scikit-image", "stomp": "stomp.py"}
DRAW: Final = """
import PySide6, pyqtgraph
from PySide6.QtWidgets import QApplication
QApplication(["hexlive", "-platform", "offscreen"])
print("Qt", PySide6.__version__)
"""
DRAW_TIMEOUT_S: Final = 60.0
USING_CPU: Final = "; the CPU is used"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    verdict: Literal["OK", "absent", "ERROR"]
    subject: str
    detail: str


def examine() -> Iterator[Finding]:
    """Look at everything in turn; nothing here raises."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("kernels", _kernels),
        ("GPU", _gpu),
        ("sockets", _sockets),
        ("disk", _disk),
        ("monitor", examine_monitor),
        *((module, partial(_optional, module, remedy)) for module, remedy in OPTIONAL.items()),
    ]
    for subject, check in checks:
        try:
            yield check()
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            yield Finding("ERROR", subject, str(error))


def _kernels() -> Finding:
    numba = import_module("numba")
    return Finding("OK", "kernels", f"numba {numba.__version__}, {os.cpu_count()} cores")


def _gpu() -> Finding:
    usable, detail = find_gpu()
    return Finding("OK", "GPU", detail) if usable else Finding("absent", "GPU", detail + USING_CPU)


def _sockets() -> Finding:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.PULL) as socket:
        socket.bind_to_random_port("tcp://127.0.0.1")
    curve = "CurveZMQ" if zmq.has("curve") else "no CurveZMQ"
    return Finding("OK", "sockets", f"ZeroMQ {zmq.zmq_version()}, loopback, {curve}")


def _disk() -> Finding:
    """Write speed of the present folder, by 64 MB written and flushed."""
    free = shutil.disk_usage(Path.cwd()).free
    block = os.urandom(1 << 20)
    with tempfile.TemporaryFile(dir=Path.cwd()) as file:
        began = time.perf_counter()
        for _ in range(PROBE_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        seconds = time.perf_counter() - began
    speed = PROBE_BYTES / seconds
    hours = free / DATA_RATE_BYTES_S / 3600
    return Finding(
        "OK" if speed > DATA_RATE_BYTES_S else "ERROR",
        "disk",
        f"{free / GB:.0f} GB free here ({hours:.1f} h at 9 kHz uncompressed), "
        f"writes {speed / 1e6:.0f} MB/s (9 kHz is {DATA_RATE_BYTES_S / 1e6:.0f} MB/s)",
    )


def examine_monitor() -> Finding:
    """Whether the monitor can draw, tried in a process of its own, which Qt may well end."""
    command = [sys.executable, "-c", DRAW]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, timeout=DRAW_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("absent", "monitor", f"Qt does not start within {DRAW_TIMEOUT_S:g} s")
    if tried.returncode == 0:
        return Finding("OK", "monitor", tried.stdout.strip())
    why = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
    if why.startswith("ModuleNotFoundError"):
        return Finding("absent", "monitor", "pip install 'hexlive[monitor]'  (the monitor window)")
    return Finding("absent", "monitor", f"{why}; hexlive monitor says which packages Qt needs")


def _optional(module: str, remedy: str) -> Finding:
    if find_spec(module) is None:
        return Finding("absent", module, remedy)
    try:
        found = version(DISTRIBUTIONS.get(module, module))
    except PackageNotFoundError:
        found = "version unknown"
    if module != "astra":
        return Finding("OK", module, found)
    # Never call an ASTRA CUDA function without this gate: it kills the process.
    cuda = "with CUDA" if import_module("astra").use_cuda() else "CPU only"
    return Finding("OK", module, f"{found}, {cuda}")
