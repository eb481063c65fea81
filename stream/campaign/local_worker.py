"""What a worker on this machine does first: Dask imports this module in each."""

import logging
import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the command: a terminal sends it to every process, workers too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence()


def silence() -> None:
    """Keep to itself what Dask says of connections that end: its processes come and go here."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    for name in ("distributed", *names):
        logging.getLogger(name).setLevel(logging.CRITICAL)
