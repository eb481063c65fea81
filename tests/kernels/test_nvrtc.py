"""Every CUDA kernel compiles for every supported GPU; NVRTC needs neither a GPU nor a driver."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hexlive.kernels import cuda
from hexlive.kernels.cuda import COMPILE_OPTIONS
from hexlive.kernels.launches import SOURCES

nvrtc = pytest.importorskip(
    "cuda.bindings.nvrtc", reason="cuda-bindings and nvidia-cuda-nvrtc-cu12 are not installed"
)

try:
    nvrtc.nvrtcVersion()
except RuntimeError as error:  # cuda-bindings without the library that it binds
    pytest.skip(f"NVRTC does not load: {error}", allow_module_level=True)

AS_CUPY = (*COMPILE_OPTIONS, "-ftz=true")  # which CuPy adds by itself
FILES = sorted(Path(cuda.__file__).parent.glob("*.cu"))
ARCHITECTURES = ("sm_70", "sm_80", "sm_90", "sm_120")  # V100, A100, H100, RTX 50
# About the GPU, not about the kernel; NVRTC has no option to leave it out.
OLD_ARCHITECTURE = "Architectures prior to"
ENTRY = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)'.*?"
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers",
    re.DOTALL,
)


class Refused(Exception):
    """NVRTC failed, warned, or spilled registers."""


class Kernel(NamedTuple):
    name: str
    registers: int


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    status, *values = function(*arguments)
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, f"{function.__name__}: {status}"
    return values[0] if values else None


def compile_log(source: str, options: Sequence[str]) -> str:
    program = call(nvrtc.nvrtcCreateProgram, source.encode(), b"kernel.cu", 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    log = bytes(call(nvrtc.nvrtcGetProgramLogSize, program))
    call(nvrtc.nvrtcGetProgramLog, program, log)
    text = log.decode().rstrip("\0")
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise Refused(f"does not compile: {text}")
    return text


def build(source: str, architecture: str) -> list[Kernel]:
    """Compile as the backend does; give back the kernels, or refuse with the reason."""
    options = [f"--gpu-architecture={architecture}", "--ptxas-options=-v", *AS_CUPY]
    log = compile_log(source, options)
    lines = [line for line in log.splitlines() if OLD_ARCHITECTURE not in line]
    if any("warning" in line.lower() for line in lines):
        raise Refused(f"warns: {log}")
    entries = list(ENTRY.finditer(log))
    if any(int(entry["stores"]) or int(entry["loads"]) for entry in entries):
        raise Refused(f"spills: {log}")
    return [Kernel(entry["kernel"], int(entry["registers"])) for entry in entries]


class Summary:
    """Adds a section to the end of pytest's report."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("CUDA kernels compiled, no warnings, no spills")
        for line in self.lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def summary(request: pytest.FixtureRequest) -> Summary:
    plugin = Summary()
    request.config.pluginmanager.register(plugin)
    return plugin


def skip_unless_known(architecture: str) -> None:
    known = call(nvrtc.nvrtcGetSupportedArchs)
    if int(architecture.removeprefix("sm_")) not in known:
        version = ".".join(map(str, nvrtc.nvrtcVersion()[1:]))
        pytest.skip(f"NVRTC {version} does not know {architecture}")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", FILES, ids=lambda source: source.stem)
def test_the_kernel_compiles_without_warnings_or_spills(
    source: Path, architecture: str, summary: Summary
) -> None:
    skip_unless_known(architecture)
    kernels = build(source.read_text(), architecture)
    assert {kernel.name for kernel in kernels} == {
        k for k, file in SOURCES.items() if file == source
    }
    for name, registers in kernels:
        summary.lines.append(f"{source.name:20} {name:24} {architecture:7} {registers:4} registers")


def test_every_kernel_of_the_backend_has_its_file_among_those_compiled() -> None:
    assert set(SOURCES.values()) == set(FILES)


BROKEN = {
    "does not compile": "x[0] = undeclared;",
    "warns": "int unused; x[0] = 1;",
    # 96 values at once, in 1024 threads that have 64 registers each
    "spills": """
        float held[96];
        #pragma unroll
        for (int i = 0; i < 96; ++i) held[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 96; ++i) x[i * 1024 + threadIdx.x] = held[i] * held[(7 * i) % 96];
    """,
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_kernel_is_refused(reason: str, architecture: str) -> None:
    skip_unless_known(architecture)
    body = BROKEN[reason]
    source = f'extern "C" __global__ void __launch_bounds__(1024) broken(float *x) {{ {body} }}'
    with pytest.raises(Refused, match=reason):
        build(source, architecture)
