"""The page's address: host, port, secret token, and the socket that serves it."""

from __future__ import annotations

import secrets
from ipaddress import ip_address

from gradsound.errors import warn
from gradsound.web.port import bind, check_port
from gradsound.web.ssh_command import ssh_command


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
        self.socket = bind(port, host)
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


def _bracket(host: str) -> str:
    """Returns a host as a URL writes it before a port."""
    return f"[{host}]" if ":" in host else host
