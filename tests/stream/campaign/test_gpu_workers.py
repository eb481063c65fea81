"""Workers by resource: who offers a GPU counts, and nobody else. A CPU stands in for the GPU."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hexlive.stream.campaign.cluster import GPU, ClusterError, ClusterSettings, open_cluster
from hexlive.stream.campaign.running import Campaign, Order, Watcher
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.stopping import Stop

pytest.importorskip("distributed", reason="pip install 'hexlive[campaign]'")


@contextmanager
def gpu_worker(address: str, folder: Path) -> Iterator[None]:
    """A worker as docs/campaign.md has it."""
    words = ["worker", address, "--nthreads", "1", "--resources", f"{GPU}=1", "--no-dashboard"]
    command = [sys.executable, "-m", "dask", *words, "--local-directory", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_batches_go_to_the_workers_that_offer_a_gpu_alone(
    config, calibration, record, assert_same_results, tmp_path: Path
) -> None:
    path = record("a.h5", lose=(3,))
    (tmp_path / "out").mkdir()
    with open_cluster(ClusterSettings(workers=1)) as without:
        settings = ClusterSettings(scheduler=without.scheduler.address, gpu=True)
        with pytest.raises(ClusterError, match="No worker offers a GPU"), open_cluster(settings):
            pass
        with gpu_worker(without.scheduler.address, tmp_path / "scratch"):
            without.wait_for_workers(2, timeout=60)
            with open_cluster(settings) as client:
                order = Order(
                    files=[path], out=tmp_path / "out", config=config, calibration=calibration,
                    resources=settings.resources, batch_frames=37,
                )  # fmt: skip
                campaign = Campaign(order)
                campaign.run(client, Stop(), Watcher())
                workers = client.scheduler_info(n_workers=-1)["workers"]
                counted = client.run(lambda dask_worker: dask_worker.state.executed_count)
    (entry,) = campaign.entries()
    assert entry.status == "done"
    by_gpu = {GPU in workers[address]["resources"]: n for address, n in counted.items()}
    assert by_gpu[True] >= 840 / 37
    assert by_gpu[False] <= 1  # the rules themselves, which any worker hands on
    run_session(open_file(path), config, calibration, Outputs(result=tmp_path / "p.nxs"))
    assert_same_results(order.out / entry.result, tmp_path / "p.nxs")
