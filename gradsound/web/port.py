"""The port of the page: the fixed one, the next free one, or one that a user chose."""

from __future__ import annotations

import errno
import socket
from importlib.util import find_spec

from gradsound.errors import MissingExtraError

PORT = 8421  # the first port to try; a fixed one, so that a user's ssh tunnel stays valid
_PORTS_TRIED = 10  # from PORT on, before the system chooses a free port
_PORT_MAX = 65535
_PENDING_MAX = 64  # connections that wait until the page is served


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


def bind(port: int | None, host: str) -> socket.socket:
    """Returns a socket that listens on a port.

    Args:
        port: Port, 0 to 65535; None takes the first free port from 8421 on.
        host: Address or name of this machine.

    Raises:
        ValueError: If there is no such host.
        OSError: If the port is taken.
    """
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
