"""A message broker (STOMP) that says when scans are over, as at Diamond: GDA and bluesky.

A message names a file, and only the last part of that name is used, to be looked for in the listing
of the watched folder: nothing that comes over the network is opened.
"""

import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import msgspec
import stomp
from stomp.exception import StompException

from hexlive.stream.files import FileError
from hexlive.stream.interop.settings import FacilitySettings
from hexlive.stream.interop.watch import FolderWatch

GDA_TOPIC: Final = "/topic/gda.messages.scan"
BLUESKY_TOPIC: Final = "/topic/public.worker.event"
RETRY_S: Final = 5.0
HEARTBEAT_MS: Final = 10_000
MAX_BODY_CHARS: Final = 1 << 20
MAX_RUNS: Final = 100  # that began and did not stop
# A plan that is over says nothing of the file writer; its file is then quiet for so many looks.
SETTLE_LOOKS: Final = 10
LOG: Final = logging.getLogger(__name__)
logging.getLogger("stomp.py").setLevel(logging.ERROR)  # each attempt to connect is a warning there


class _GdaMessage(msgspec.Struct, rename="camel"):
    """A scan of GDA, or the file that bluesky's file writer makes."""

    status: str
    file_path: str


class _Document(msgspec.Struct):
    """The parts of bluesky's documents that name files."""

    uid: str = ""
    run_start: str = ""
    scan_file: str = ""
    uri: str = ""


class _DataEvent(msgspec.Struct):
    """What blueapi sends for each document."""

    name: str
    doc: _Document


class Announcements:
    """Which file names the messages of the broker declare to be over."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, list[str]] = OrderedDict()

    def names(self, topic: str, body: str) -> dict[str, int]:
        """File names, each with the looks for which the file must be quiet from now on.

        Messages of other kinds and bodies that are no message name nothing.
        """
        if len(body) > MAX_BODY_CHARS:
            return {}
        try:
            if topic == GDA_TOPIC:
                message = msgspec.json.decode(body, type=_GdaMessage)
                return {last_part(message.file_path): 0} if message.status == "FINISHED" else {}
            return self._of_document(msgspec.json.decode(body, type=_DataEvent))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return {}

    def _of_document(self, event: _DataEvent) -> dict[str, int]:
        doc = event.doc
        match event.name:
            case "start":
                self._runs[doc.uid] = [f"{last_part(doc.scan_file)}.nxs"] if doc.scan_file else []
                if len(self._runs) > MAX_RUNS:
                    self._runs.popitem(last=False)
            case "stream_resource" if doc.run_start in self._runs and doc.uri:
                self._runs[doc.run_start].append(last_part(doc.uri))
            case "stop":
                return dict.fromkeys(self._runs.pop(doc.run_start, []), SETTLE_LOOKS)
        return {}


def last_part(path: str) -> str:
    """The file name in a path or address of whatever system."""
    return path.replace("\\", "/").rpartition("/")[2]


class BrokerListener(stomp.ConnectionListener):  # type: ignore[misc]
    """Listens to a broker; a thread of its own connects again whenever it has to.

    Raises
    ------
    FileError
        The file with the password cannot be used.
    """

    def __init__(self, settings: FacilitySettings, watch: FolderWatch) -> None:
        self._watch, self._announcements = watch, Announcements()
        self._broker, self._login = settings.broker(), _login(settings)
        self._well = True
        self._over, self._lost = threading.Event(), threading.Event()
        self._connection = self._new_connection()
        self._thread = threading.Thread(target=self._listen, name="broker", daemon=True)
        self._thread.start()

    def on_connected(self, frame: Any) -> None:
        """Subscribe, as the broker has let us in."""
        for number, topic in enumerate((GDA_TOPIC, BLUESKY_TOPIC)):
            self._connection.subscribe(topic, id=number)
        LOG.info("listening to the broker at %s:%d", *self._broker)
        self._well = True

    def on_message(self, frame: Any) -> None:
        """Tell the watch what a message declares to be over."""
        topic = str(frame.headers.get("destination", ""))
        for name, looks in self._announcements.names(topic, frame.body).items():
            self._watch.announce(name, looks)

    def on_error(self, frame: Any) -> None:
        """Say what the broker does not like; after an error it has nothing more to say."""
        LOG.warning("the broker says: %.200s", frame.headers.get("message", ""))
        self._lost.set()

    def on_disconnected(self) -> None:
        """Have the thread connect again."""
        self._lost.set()

    def close(self) -> None:
        """Listen no longer."""
        self._over.set()
        self._lost.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.is_set():
            self._lost.clear()
            try:
                self._connection.connect(**self._login)
                self._lost.wait()
                self._connection.transport.disconnect_socket()
            except (StompException, OSError):
                pass
            if self._well and not self._over.is_set():
                LOG.warning("no broker at %s:%d; trying every %g s", *self._broker, RETRY_S)
                self._well = False
            if not self._over.wait(RETRY_S):
                self._connection = self._new_connection()

    def _new_connection(self) -> stomp.Connection11:
        connection = stomp.Connection11(
            [self._broker],
            reconnect_attempts_max=1,
            timeout=RETRY_S,
            heartbeats=(HEARTBEAT_MS, HEARTBEAT_MS),
        )
        connection.set_listener("hexlive", self)
        return connection


def _login(settings: FacilitySettings) -> dict[str, str]:
    if settings.stomp_user is None or settings.stomp_password_file is None:
        return {}
    path = Path(settings.stomp_password_file)
    try:
        if path.stat().st_mode & 0o077:
            raise FileError(f"Others may read the password in {path}; run chmod 600 on it.")
        password = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise FileError(f"Cannot read the password in {path}: {error.strerror}.") from error
    return {"username": settings.stomp_user, "passcode": password}
