"""What a worker on this machine does first: Dask imports this module in each."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the command: a terminal sends it to every process, workers too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
