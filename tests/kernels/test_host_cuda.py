"""What runs the CUDA kernels on the CPU finds their mistakes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Compile = Callable[..., Callable[..., None]]

MEETINGS = """
// Each thread gives a number to the next of its block, by way of the block's memory.
extern "C" __global__ void meet(unsigned int* sum, int kind, unsigned int more)
{
    __shared__ unsigned int seen[64];
    const unsigned int i = threadIdx.x;
    seen[i] = i + more;
    if (kind == 1 && i < 7) return;
    if (kind == 2 && i >= 40) __syncwarp();
    if (kind == 3) sum[0] = __ballot_sync(0xff, 1);
    if (kind == 4 && i % 2) sum[0] = __ballot_sync(0xffffffff, 1);
    if (kind != 5) __syncthreads();
    atomicAdd(sum, seen[(i + 1) % 64]);
    if (kind == 6) sum[0] = __ballot_sync(0xffffffff, i % 3 == 0);
    if (kind == 7) sum[i] = __shfl_up_sync(0xffffffff, i * i, 2) + __shfl_sync(0xffffffff, i, 31);
}
"""


@pytest.fixture(scope="module")
def meet(
    compile_kernel: Compile, host_device: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Run the kernel above; give back what it wrote."""
    source = tmp_path_factory.mktemp("meetings") / "meet.cu"
    source.write_text(MEETINGS)
    kernel = compile_kernel(source, "meet")

    def run(kind: int, more: int = 0, n_threads: int = 64) -> Any:
        sums = host_device.zeros((64,), np.uint32)
        kernel(1, n_threads, (sums, np.int32(kind), np.uint32(more)))
        return sums

    return run


def test_threads_that_meet_see_what_the_others_wrote(meet: Callable[..., Any]) -> None:
    assert [meet(0, more)[0] for more in range(9)] == [
        sum(range(64)) + 64 * more for more in range(9)
    ]


def test_a_missing_barrier_shows(meet: Callable[..., Any]) -> None:
    assert [meet(5, more)[0] for more in range(9)] != [
        sum(range(64)) + 64 * more for more in range(9)
    ]


def test_votes_and_shuffles_reach_the_whole_warp(meet: Callable[..., Any]) -> None:
    thirds = [sum(1 << i for i in range(32) if (first + i) % 3 == 0) for first in (0, 32)]
    assert meet(6)[0] in thirds
    lane, first = np.arange(64) % 32, np.arange(64) // 32 * 32
    taken = np.where(lane < 2, first + lane, first + lane - 2)
    assert meet(7)[1:].tolist() == (taken**2 + first + 31)[1:].tolist()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (1, "cannot meet: from thread 0 has returned; from thread 7 waits at __syncthreads"),
        (2, "from thread 0 waits at __syncthreads; from thread 40 waits at __syncwarp"),
        (3, "Only meetings of all 32 lanes are known here"),
        (4, "from thread 0 waits at __syncthreads; from thread 1 waits at __ballot_sync"),
    ],
)
def test_a_divergent_barrier_is_reported(meet: Callable[..., Any], kind: int, wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        meet(kind)


def test_a_block_of_a_broken_warp_is_refused(meet: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError, match="whole warps"):
        meet(0, n_threads=40)


@pytest.mark.parametrize(
    "arguments",
    [(np.int32(1), np.int64(0)), (np.int32(1),), (np.int32(1), np.int32(1), np.int32(1))],
    ids=["size", "too few", "too many"],
)
def test_arguments_that_do_not_fit_the_parameters_are_refused(
    compile_kernel: Compile, host_device: Any, tmp_path: Path, arguments: tuple[Any, ...]
) -> None:
    (tmp_path / "nothing.cu").write_text(
        'extern "C" __global__ void nothing(int* out, int a, int b) { *out = a + b; }'
    )
    kernel = compile_kernel(tmp_path / "nothing.cu", "nothing")
    with pytest.raises(AssertionError, match="number and sizes of the parameters"):
        kernel(1, 32, (host_device.zeros((1,), np.int32), *arguments))


OUTSIDE = """
extern "C" __global__ void outside(unsigned int* sum, int n)
{
    sum[n * (blockDim.x - 31)] = 1;
}
"""


def run_sanitised(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Python with every kernel compiled under the sanitisers of the compiler."""
    libraries = [sanitiser(name) for name in ("libasan.so", "libubsan.so")]
    checks = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    return subprocess.run(
        [sys.executable, *words],
        cwd=Path(__file__).parents[2],
        env=os.environ
        | {"HEXLIVE_HOST_CUDA_FLAGS": checks, "LD_PRELOAD": " ".join(libraries)}
        | {"ASAN_OPTIONS": "detect_leaks=0"},  # Python's own
        capture_output=True,
        text=True,
    )


def test_the_kernels_stay_within_their_arrays_and_within_the_language() -> None:
    """The tests of the CUDA backend again, with crowded frames and odd numbers of pixels."""
    tests = str(Path(__file__).with_name("test_cuda.py"))
    finished = run_sanitised(["-m", "pytest", "-p", "no:cacheprovider", "-k", "host", tests])
    assert finished.returncode == 0, finished.stdout + finished.stderr


if "HEXLIVE_HOST_CUDA_FLAGS" in os.environ:  # what the next test runs

    def test_a_write_beyond_an_array(
        compile_kernel: Compile, bare_device: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "outside.cu").write_text(OUTSIDE)
        kernel = compile_kernel(tmp_path / "outside.cu", "outside")
        kernel(1, 32, (bare_device.zeros((100,), np.uint32), np.int32(100)))


def test_a_write_beyond_an_array_is_found() -> None:
    name = f"{__file__}::test_a_write_beyond_an_array"
    finished = run_sanitised(["-m", "pytest", "-s", "-p", "no:cacheprovider", name])
    assert "heap-buffer-overflow" in finished.stderr, finished.stdout + finished.stderr
    assert "heap-buffer-overflow" in finished.stdout + finished.stderr


def sanitiser(name: str) -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    command = [compiler, f"-print-file-name={name}"]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"g++ comes without {name}")
    return path
