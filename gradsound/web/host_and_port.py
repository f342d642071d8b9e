"""Where a page is: the socket that it is served on, and the address that leads to it."""

from __future__ import annotations

import errno
import getpass
import os
import secrets
import socket
from importlib.util import find_spec
from ipaddress import ip_address

from gradsound.errors import MissingExtraError, warn

PORT = 8421  # the first that is tried, always the same, so that a tunnel is found again
_TRIED = 10  # ports, until any is taken that is free
_PORT_MAX = 65535
_WAITING = 64  # browsers that may knock before the page is up


class Address:
    """A socket of this machine, and how to get there.

    Args:
        port: Which; None takes the first that is free.
        host: Address or name to be reached by; loopback is this machine alone.

    Attributes:
        listening: The socket; connections wait until somebody serves them.
        token: What nobody can guess, part of the address.
        elsewhere: Whether other machines can reach it.

    Raises:
        ValueError: If there is no such port or host.
        OSError: If the port is taken.
        MissingExtraError: If websockets is not installed.
    """

    def __init__(self, port: int | None = None, host: str = "127.0.0.1") -> None:
        check_port(port)
        self.token = secrets.token_urlsafe(16)
        self.listening = _bound(port, host)
        self._host, self._port = self.listening.getsockname()[:2]
        self.elsewhere = not ip_address(self._host).is_loopback
        if self.elsewhere:
            warn(
                f"whoever can reach {self._host} and learns the address of this page can "
                "open it, and it is not encrypted; browsers play its sound only through "
                f"ssh -L {self._port}:localhost:{self._port}, which needs no --host"
            )

    @property
    def url(self) -> str:
        """What to open in a browser of this machine."""
        anywhere = ip_address(self._host).is_unspecified
        host = "127.0.0.1" if anywhere else self._host
        return f"http://{_bracketed(host)}:{self._port}/{self.token}/"

    def __str__(self) -> str:
        """Two lines: what to open, and what makes that work from another machine."""
        host = "127.0.0.1" if self.elsewhere else _bracketed(self._host)
        at = f"{self._port}:{host}:{self._port}"
        return (
            f"hear it at {self.url}\nfrom another machine, after: ssh -N -L {at} {_login()}"
        )


def check_port(port: int | None) -> None:
    """Raises as `Address` does, but that no port is taken."""
    if find_spec("websockets") is None:
        raise MissingExtraError("websockets", "web")
    if port is not None and not (isinstance(port, int) and 0 <= port <= _PORT_MAX):
        raise ValueError(f"port must be 0 to {_PORT_MAX}, got {port!r}")


def _bound(port: int | None, host: str) -> socket.socket:
    ports = [*range(PORT, PORT + _TRIED), 0] if port is None else [port]
    not_here = f"host must be a name or address of this machine, got {host!r}"
    try:
        family, *_, found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ValueError(not_here) from error
    for number in ports:
        listening = socket.socket(family)
        # A port whose last connections are not quite over yet is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((found[0], number))
            listening.listen(_WAITING)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE and number != ports[-1]:
                continue
            if error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(not_here) from error
            raise OSError(error.errno, f"port {number}: {error.strerror}") from error
        return listening
    raise AssertionError


def _bracketed(host: str) -> str:
    """As it is written before a port."""
    return f"[{host}]" if ":" in host else host


def _login() -> str:
    """Who and where to ssh to, as it was done to get here, if it was."""
    # Address and port of the client, then of this machine as the client knows it.
    here = os.environ.get("SSH_CONNECTION", "").split()
    host, port = (here[2], here[3]) if len(here) == 4 else (socket.gethostname(), "22")
    try:
        user = f"{getpass.getuser()}@"
    except (OSError, KeyError, ImportError):  # a number without a name, as in containers
        user = ""
    return f"{user}{host}" if port == "22" else f"-p {port} {user}{host}"
