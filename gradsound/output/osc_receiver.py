"""A program that receives Open Sound Control, on this machine or another one.

UDP tells little of the other end: a datagram that nobody receives is lost, and at most a
later one says so.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.osc_messages import bundle, pack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.output.osc_messages import TimedMessage

# Datagrams without a pause: the buffer of a receiver, of 208 KiB in Linux, has room for
# 90 at least, and loses the rest. A pause is time for the receiver to empty it.
_BURST = 64
_PAUSE_SECONDS = 0.002


class OscReceiver:
    """Sends messages to a receiver. It waits for no answer; a lost receiver is a warning.

    Args:
        host: Name or address of the receiver's machine.
        port: Its port, 1 to 65535.

    Raises:
        ValueError: If there is no such host.
        OSError: If this machine has no way to it.

    Example:
        >>> import time
        >>> from gradsound.output.osc_messages import message
        >>> receiver = OscReceiver("127.0.0.1", 57120)
        >>> receiver.send([(time.time() + 0.2, message("end", "i", 7))])
        >>> receiver.close()
    """

    def __init__(self, host: str, port: int) -> None:
        self._name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise ValueError(f"{self._name}: there is no host of this name") from error
        family, kind, _, _, address = found[0]
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)
        self._is_lost = False
        try:
            self._socket.connect(address)  # so that the system reports a closed port
        except OSError as error:
            self._socket.close()
            reason = f"cannot be reached: {error.strerror}"
            raise OSError(error.errno, f"{self._name}: {reason}") from error

    def send(self, messages: Iterable[TimedMessage]) -> None:
        """Sends messages in bundles.

        Args:
            messages: With the time at which each is due, in seconds since 1970.
        """
        for number, (due, together) in enumerate(pack(messages), 1):
            self._send(bundle(together, due))
            if number % _BURST == 0:
                time.sleep(_PAUSE_SECONDS)

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except OSError as error:
            if not self._is_lost:
                warn(f"{self._name}: {_reason(error)}; the notes go on, Ctrl-C ends them")
            self._is_lost = True
            # The error may be that of an earlier datagram, and this one was not sent.
            with suppress(OSError):
                self._socket.send(datagram)
        else:
            self._is_lost = False

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "no program receives there"
    return f"cannot be reached ({error.strerror})"
