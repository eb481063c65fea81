"""CurveZMQ: key files, who may read them, and sockets that speak to listed keys only.

Both ends name the same kind of folder. The end that binds is the server: it needs
``server.key_secret`` and accepts the clients whose public ``.key`` lies beside it. The end that
connects needs ``server.key`` and one secret key of a client.
"""

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq
from zmq.auth import create_certificates, load_certificate
from zmq.auth.thread import ThreadAuthenticator

SERVER: Final = "server"
DOMAIN: Final = "hexlive"
KEY_BYTES: Final = 40  # of a Z85 text
FOLDER_MODE: Final = 0o700
SECRET_MODE: Final = 0o600
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class KeysError(ValueError):
    """Keys that cannot be used; the sentence says which and what to do."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What one end needs: its own pair, and the public keys of whom it speaks to."""

    public: bytes
    secret: bytes
    peers: frozenset[bytes]

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a client may come in; asked by the authenticator."""
        return domain == DOMAIN and key in self.peers


def make_keys(folder: Path, clients: Sequence[str]) -> list[Path]:
    """Make the server's pair of keys, unless it is there, and one pair for each client.

    Returns
    -------
    list of Path
        The files that are new; secret ones are readable by their owner only.

    Raises
    ------
    KeysError
        A client has its keys already, or a name that is no name.
    OSError
        The folder cannot be written to.
    """
    for client in clients:
        if client == SERVER or not NAME.fullmatch(client):
            raise KeysError(f"{client!r} is no name of a client; use letters, digits, - and _.")
        if any((folder / f"{client}{kind}").exists() for kind in (".key", ".key_secret")):
            raise KeysError(f"{folder} has keys of {client!r} already; keys are never overwritten.")
    if folder.exists() and not folder.is_dir():
        raise KeysError(f"{folder} is a file; keys are kept in a folder of their own.")
    folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    new = [] if (folder / f"{SERVER}.key").exists() else [SERVER]
    if not new:
        server_pair(folder)
    kept = os.umask(0o077)
    try:
        made = [create_certificates(folder, name) for name in [*new, *clients]]
    finally:
        os.umask(kept)
    return [Path(path) for pair in made for path in pair]


def server_pair(folder: Path) -> tuple[bytes, bytes]:
    """Public and secret key of the server, from a folder that nobody else can add clients to.

    Raises
    ------
    KeysError
        A file is missing, damaged, or open to others.
    """
    pair = _secret(folder / f"{SERVER}.key_secret")
    _require_private(folder, 0o022, "changed")
    return pair


def server_keys(folder: Path) -> Keys:
    """The server's pair, and the public keys of all clients.

    Raises
    ------
    KeysError
        A file is missing, damaged, or open to others.
    """
    public, secret = server_pair(folder)
    clients = sorted(set(folder.glob("*.key")) - {folder / f"{SERVER}.key"})
    if not clients:
        raise KeysError(
            f"{folder} lists no client; make keys with hexlive keys --out {folder} --client NAME."
        )
    return Keys(
        public=public, secret=secret, peers=frozenset(_public(client) for client in clients)
    )


def client_keys(folder: Path) -> Keys:
    """The pair of the one client whose secret is here, and the public key of the server.

    Raises
    ------
    KeysError
        A file is missing, damaged, or open to others, or there are several secrets.
    """
    server = _public(folder / f"{SERVER}.key")
    _require_private(folder, 0o022, "changed")
    secrets = sorted(set(folder.glob("*.key_secret")) - {folder / f"{SERVER}.key_secret"})
    if len(secrets) != 1:
        names = ", ".join(path.stem for path in secrets) or "none"
        raise KeysError(
            f"{folder} must hold the secret key of one client, not of {len(secrets)} ({names}); "
            "leave the one that this end is."
        )
    public, secret = _secret(secrets[0])
    return Keys(public=public, secret=secret, peers=frozenset({server}))


def secure(
    socket: "zmq.Socket[bytes]", folder: Path, *, listening: bool
) -> ThreadAuthenticator | None:
    """Let a socket speak to listed keys only; call before it binds or connects.

    Returns
    -------
    ThreadAuthenticator or None
        Of a listening socket; stop it after the socket is closed.

    Raises
    ------
    KeysError
        The keys cannot be used.
    """
    if not zmq.has("curve"):
        raise KeysError("This ZeroMQ was built without CurveZMQ; install pyzmq from PyPI.")
    keys = server_keys(folder) if listening else client_keys(folder)
    socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
    if not listening:
        (socket.curve_serverkey,) = keys.peers
        return None
    authenticator = ThreadAuthenticator(socket.context)
    authenticator.configure_curve_callback(DOMAIN, keys)
    authenticator.start()
    socket.curve_server = True
    socket.zap_domain = DOMAIN.encode()
    # Without it, ZeroMQ lets any key in where nobody answers for the authenticator.
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return authenticator


def _secret(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    _require_private(path, 0o077, "read")
    if secret is None:
        raise KeysError(f"{path} holds no secret key.")
    return public, secret


def _public(path: Path) -> bytes:
    """A key that anyone may read; whoever could change it would decide who is let in."""
    public, _ = _load(path)
    _require_private(path, 0o022, "changed")
    return public


def _load(path: Path) -> tuple[bytes, bytes | None]:
    if not path.is_file():
        raise KeysError(f"There is no key {path}; all keys or none: see docs/security.md.")
    try:
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise KeysError(f"{path} is not a key file ({error}).") from error
    if any(key is not None and len(key) != KEY_BYTES for key in (public, secret)):
        raise KeysError(f"{path} holds a damaged key.")
    return public, secret


def _require_private(path: Path, forbidden: int, verb: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & forbidden:
        good = FOLDER_MODE if path.is_dir() else SECRET_MODE
        raise KeysError(
            f"{path} can be {verb} by others (mode {mode:04o}); run chmod {good:o} {path}."
        )
