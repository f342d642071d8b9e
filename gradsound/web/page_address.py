"""The page's address: host, port, secret token, and the socket that serves it."""

from __future__ import annotations

import errno
import secrets
import socket
from importlib.util import find_spec
from ipaddress import ip_address

from gradsound.errors import MissingExtraError, warn
from gradsound.web.ssh_command import ssh_command

PORT = 8421  # the first port to try; a fixed one, so that a user's ssh tunnel stays valid
_PORTS_TRIED = 10  # from PORT on, before the system chooses a free port
_PORT_MAX = 65535
_PENDING_MAX = 64  # connections that wait until the page is served


class PageAddress:
    """A listening socket of this machine, and the address of the page on it.

    Args:
        port: Port, 0 to 65535; None takes the first free port from 8421 on.
        host: Address or name of this machine; loopback serves this machine alone.

    Attributes:
        socket: The listening socket; connections wait until a server accepts them.
        token: 128 random bits as text; the first part of the page's path.
        is_public: Whether other machines can reach the socket.

    Raises:
        ValueError: If there is no such port or host.
        OSError: If the port is taken.
        MissingExtraError: If websockets is not installed.

    Example:
        >>> address = PageAddress(0)
        >>> address.url.startswith("http://127.0.0.1:"), address.is_public
        (True, False)
        >>> address.socket.close()
    """

    def __init__(self, port: int | None = None, host: str = "127.0.0.1") -> None:
        check_port(port)
        self.token = secrets.token_urlsafe(16)
        self.socket = _bind(port, host)
        self._host, self._port = self.socket.getsockname()[:2]
        self.is_public = not ip_address(self._host).is_loopback
        if self.is_public:
            warn(
                f"anyone who can reach {self._host} and learns the page's address can open "
                "it, and the connection is not encrypted; browsers play its sound only "
                f"through ssh -L {self._port}:localhost:{self._port}, which needs no --host"
            )

    @property
    def url(self) -> str:
        """Address to open in a browser on this machine."""
        any_host = ip_address(self._host).is_unspecified
        host = "127.0.0.1" if any_host else self._host
        return f"http://{_bracket(host)}:{self._port}/{self.token}/"

    def __str__(self) -> str:
        """Two lines: the address to open, and the ssh command for another machine."""
        host = "127.0.0.1" if self.is_public else _bracket(self._host)
        forward = f"{self._port}:{host}:{self._port}"
        return f"hear it at {self.url}\nfrom another machine, after: {ssh_command(forward)}"


def check_port(port: int | None) -> None:
    """Checks that a page can be served on a port, which may be taken.

    Raises:
        ValueError: If the port is not 0 to 65535 or None.
        MissingExtraError: If websockets is not installed.

    Example:
        >>> check_port(65536)
        Traceback (most recent call last):
        ValueError: port must be 0 to 65535, got 65536
    """
    if find_spec("websockets") is None:
        raise MissingExtraError("websockets")
    if port is not None and not (isinstance(port, int) and 0 <= port <= _PORT_MAX):
        raise ValueError(f"port must be 0 to {_PORT_MAX}, got {port!r}")


def _bind(port: int | None, host: str) -> socket.socket:
    ports = [*range(PORT, PORT + _PORTS_TRIED), 0] if port is None else [port]
    bad_host = f"host must be a name or address of this machine, got {host!r}"
    try:
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ValueError(bad_host) from error
    for number in ports:
        listening = socket.socket(family)
        # Without it, the port stays taken for a minute after the last page's connections.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], number))
            listening.listen(_PENDING_MAX)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE and number != ports[-1]:
                continue
            if error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(bad_host) from error
            raise OSError(error.errno, f"port {number}: {error.strerror}") from error
        return listening
    raise AssertionError


def _bracket(host: str) -> str:
    """Returns a host as a URL writes it before a port."""
    return f"[{host}]" if ":" in host else host
