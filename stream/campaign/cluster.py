"""The cluster: processes on this machine, or a Dask scheduler that runs already."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from hexlive.kernels.cpu import available_cores
from hexlive.kernels.cupy_device import find_gpu
from hexlive.stream.campaign.local_worker import silence

if TYPE_CHECKING:
    from distributed import Client

GPU: Final = "GPU"  # the name of the resource that a worker with a GPU offers
CONNECT_S: Final = 10.0
WORKERS_S: Final = 60.0
MEMORY_MB: Final = 2048.0
MB: Final = 1_000_000
CONFIG: Final = {
    # Losing workers is what a campaign survives; a batch that takes more than these is at fault.
    "distributed.scheduler.allowed-failures": 3,
    # No page of its own in a browser, and nothing else that listens beyond the cluster.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.preload": ["hexlive.stream.campaign.local_worker"],
    # Not even that it imports this module; it reads this before anything else of the configuration.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
}


class ClusterError(RuntimeError):
    """The cluster cannot be used; the sentence says why."""


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Where batches are counted.

    Attributes
    ----------
    scheduler
        Address of a scheduler that runs already; None: processes on this machine.
    workers
        So many of them; None: one per core, or one with a GPU.
    memory_mb
        A worker that needs more is replaced.
    gpu
        Count on workers that offer the resource "GPU", one batch at a time.
    """

    scheduler: str | None = None
    workers: int | None = None
    memory_mb: float = MEMORY_MB
    gpu: bool = False

    @property
    def resources(self) -> dict[str, float]:
        """What a batch takes of a worker."""
        return {GPU: 1.0} if self.gpu else {}


@contextmanager
def open_cluster(settings: ClusterSettings) -> "Iterator[Client]":
    """A client of the cluster, with at least one worker that can count.

    Raises
    ------
    ClusterError
        Dask is not installed, the scheduler does not answer, or there is no such worker or GPU.
    """
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            f"A campaign needs {error.name}: pip install 'hexlive[campaign]'."
        ) from error
    with dask.config.set(CONFIG), _scheduler(settings) as where:
        try:
            client = Client(where, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"No Dask scheduler answers at {settings.scheduler}: {error}."
            ) from error
        with client:
            _require_workers(client, settings)
            yield client


@contextmanager
def _scheduler(settings: ClusterSettings) -> Iterator[Any]:
    """What a client connects to."""
    if settings.scheduler is not None:
        yield settings.scheduler
        return
    from distributed import LocalCluster

    if settings.gpu:
        usable, detail = find_gpu()
        if not usable:
            raise ClusterError(f"The workers of this machine have no GPU to count on: {detail}.")
    silence()
    n_workers = settings.workers or (1 if settings.gpu else available_cores())
    with (
        TemporaryDirectory(prefix="hexlive_campaign_", ignore_cleanup_errors=True) as folder,
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=int(settings.memory_mb * MB),
            resources=settings.resources,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # any port, and nothing on it
            local_directory=folder,
            silence_logs=False,
        ) as cluster,
    ):
        yield cluster


def _require_workers(client: "Client", settings: ClusterSettings) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError as error:
        raise ClusterError(
            f"{settings.scheduler} has no worker: start some with dask worker {settings.scheduler}."
        ) from error
    if settings.gpu and not any(_offers(client)):
        raise ClusterError(
            f"No worker offers a GPU: start them with dask worker ... --resources {GPU}=1."
        )


def _offers(client: "Client") -> Iterator[bool]:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return (GPU in worker["resources"] for worker in workers.values())
