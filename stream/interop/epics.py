"""Maps as EPICS PVs: NTNDArray over PV Access, as area detector viewers and archivers read it."""

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from p4p.nt import NTNDArray
from p4p.server import Server
from p4p.server.thread import SharedPV

from hexlive.stream.pipeline import Report
from hexlive.stream.results import ComptonResult
from hexlive.stream.sockets import AddressError

MAPS: Final = ("emf", "emf_sigma", "compton_counts")
NT: Final = NTNDArray()


class MapServer:
    """A sink of reports that serves the latest maps; clients may read them, and no more.

    Parameters
    ----------
    prefix
        Of the names of the PVs.
    interface
        Address of the network card; what else is to be set is in the EPICS_PVAS_ variables.

    Raises
    ------
    AddressError
        Nothing can be served there.
    """

    def __init__(self, prefix: str, interface: str, shape: tuple[int, int]) -> None:
        self._n_reports = 0
        empty = np.full(shape, np.nan)
        self._pvs = {name: SharedPV(initial=self._packed(empty, {})) for name in MAPS}
        addresses = {
            "EPICS_PVAS_INTF_ADDR_LIST": interface,
            "EPICS_PVAS_BEACON_ADDR_LIST": interface,
            "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
        }
        names = {prefix + name: pv for name, pv in self._pvs.items()}
        try:
            self._server = Server(providers=[names], conf=addresses)
        except (RuntimeError, OSError) as error:
            raise AddressError(f"Cannot serve PVs at {interface}: {error}.") from error

    @property
    def conf(self) -> dict[str, str]:
        """How a client finds it, as EPICS variables."""
        return dict(self._server.conf())

    def put(self, item: Report) -> None:
        """Post the maps of a report; clients that are slow miss some."""
        compton = item.find(ComptonResult)
        if compton is None or compton.segment is None:
            return
        self._n_reports += 1
        about = {
            "series": item.series,
            "segment": compton.segment.number,
            "live_time_s": compton.live_time_s,
            "final": item.final,
        }
        maps = {
            "emf": compton.emf.emf,
            "emf_sigma": compton.emf.sigma,
            "compton_counts": compton.compton_counts,
        }
        for name, pv in self._pvs.items():
            pv.post(self._packed(maps[name], about))

    def _packed(self, array: NDArray[np.float64], about: dict[str, Any]) -> Any:
        value = NT.wrap(np.asarray(array, np.float64), attrib=dict(about), timestamp=time.time())
        value["uniqueId"] = self._n_reports
        return value

    def close(self) -> None:
        """Serve no longer."""
        self._server.stop()
        for pv in self._pvs.values():
            pv.close(destroy=True)
