"""What else of a facility takes part in a run; each is off until it is named."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FacilitySettings:
    """Message broker, EPICS and Prometheus: ``pip install 'hexlive[facility]'``.

    Attributes
    ----------
    stomp
        ``host:port`` of a message broker that says when a scan is over; needs ``tomography.watch``.
    stomp_user, stomp_password_file
        Login, and a file with the password that nobody else may read.
    pva_prefix
        The maps are PVs: this, and ``emf``, ``emf_sigma``, ``compton_counts``.
    pva_interface
        Address of the network card on which they are served; more by the EPICS_PVAS_ variables.
    metrics_port
        Prometheus reads ``/metrics`` there; 0: any free one, which is logged.
    metrics_interface
        Address of the network card for it.
    """

    stomp: str | None = None
    stomp_user: str | None = None
    stomp_password_file: str | None = None
    pva_prefix: str | None = None
    pva_interface: str = "127.0.0.1"
    metrics_port: int | None = None
    metrics_interface: str = "127.0.0.1"

    def __post_init__(self) -> None:
        """Refuse what could not be reached.

        Raises
        ------
        ValueError
            A port or an address that is none, or half a login.
        """
        if self.metrics_port is not None and not 0 <= self.metrics_port < 2**16:
            raise ValueError(f"facility.metrics_port must be a port, not {self.metrics_port}.")
        if self.stomp is not None:
            self.broker()
        if (self.stomp_user is None) != (self.stomp_password_file is None):
            raise ValueError("facility.stomp_user and facility.stomp_password_file go together.")

    def broker(self) -> tuple[str, int]:
        """Host and port of the message broker.

        Raises
        ------
        ValueError
            ``stomp`` is not ``host:port``.
        """
        host, _, port = (self.stomp or "").rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise ValueError(
                f"facility.stomp is host:port, such as localhost:61613, not {self.stomp!r}."
            )
        return host, int(port)
