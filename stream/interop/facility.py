"""Opens what the configuration names of a facility, around one live run."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from hexlive.stream.config import Config, ConfigError
from hexlive.stream.ct import TomographyReducer
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.interop.watch import FolderWatch, WatchedTomography
from hexlive.stream.pipeline import Reducer, Report, Sink

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MODULES: Final = {"stomp": "broker", "pva_prefix": "epics", "metrics_port": "metrics"}
LOG: Final = logging.getLogger(__name__)


def refuse_missing(facility: FacilitySettings) -> None:
    """Refuse what is named and cannot be, before a run listens to anything.

    Raises
    ------
    ConfigError
        A package is missing.
    """
    for key in MODULES:
        if getattr(facility, key) is not None:
            _module(key)


@contextmanager
def watched(
    tomography: TomographyReducer, config: Config, products: Iterable[Path | None]
) -> Iterator[Reducer]:
    """The CT reducer, which also takes the files of a folder where one is named.

    Parameters
    ----------
    products
        What the run writes; their folder is not to be watched, as scans and volumes come with them.

    Raises
    ------
    ConfigError, FileError
        There is no such folder, or another is needed, or the broker cannot be listened to.
    """
    folder, facility = config.tomography.watch, config.facility
    if folder is None:
        if facility.stomp is not None:
            raise ConfigError("facility.stomp needs tomography.watch, the folder of the scans.")
        yield tomography
        return
    folders = {product.resolve().parent for product in products if product is not None}
    if Path(folder).resolve() in folders:
        raise ConfigError(f"tomography.watch, {folder}, is where this run writes; name another.")
    watch = FolderWatch(Path(folder))
    with ExitStack() as stack:
        if facility.stomp is not None:
            broker = _module("stomp")
            stack.enter_context(closing(broker.BrokerListener(facility, watch)))
        yield stack.enter_context(closing(WatchedTomography(tomography, watch)))


@contextmanager
def reported(config: Config, recording: Callable[[], str]) -> Iterator[list[Sink[Report]]]:
    """Sinks of reports for EPICS and Prometheus, as far as they are named.

    Raises
    ------
    ConfigError, AddressError
        A package is missing, or an address cannot be used.
    """
    facility = config.facility
    sinks: list[Sink[Report]] = []
    with ExitStack() as stack:
        if facility.pva_prefix is not None:
            epics = _module("pva_prefix")
            where = facility.pva_interface
            sinks.append(epics.MapServer(facility.pva_prefix, where, config.detector.shape))
            stack.callback(sinks[-1].close)
            _warn_if_open("the maps", where)
        if facility.metrics_port is not None:
            metrics, where = _module("metrics_port"), facility.metrics_interface
            sinks.append(metrics.MetricsServer(where, facility.metrics_port, recording))
            stack.callback(sinks[-1].close)
            _warn_if_open("the metrics", where)
        yield sinks


def _module(key: str) -> ModuleType:
    """The module that a key turns on, which needs a package that not every installation has."""
    try:
        return import_module(f"hexlive.stream.interop.{MODULES[key]}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"facility.{key} needs {error.name}: pip install 'hexlive[facility]'."
        ) from error


def _warn_if_open(what: str, interface: str) -> None:
    if interface not in LOOPBACK:
        LOG.warning("%s can be read by anyone who reaches %s.", what, interface)
