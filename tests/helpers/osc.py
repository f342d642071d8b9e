"""A receiver of Open Sound Control, by the decoder and the dispatcher of python-osc."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pytest

dispatcher = pytest.importorskip("pythonosc.dispatcher", reason="needs python-osc")
osc_bundle = pytest.importorskip("pythonosc.osc_bundle", reason="needs python-osc")
osc_message = pytest.importorskip("pythonosc.osc_message", reason="needs python-osc")

_END = b""  # ends the thread that receives


@dataclass(frozen=True)
class Received:
    """A message.

    Attributes:
        arrival: When it came, in seconds since 1970.
        due: Its time tag, in the same way.
        address: Its address, without ``/gradsound/``.
        values: Its arguments.
    """

    arrival: float
    due: float
    address: str
    values: tuple[Any, ...]


class Receiver:
    """Receives datagrams at a free port of this machine while its context lasts.

    Attributes:
        port: The port.
        datagrams: What came, with the time at which it came.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.datagrams: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._receive)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(_END, ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while datagram := self._socket.recv(1 << 16):
            self.datagrams.append((time.time(), datagram))

    def messages(self) -> list[Received]:
        """Returns all messages, in order of their time tags.

        Each went through python-osc's dispatcher, by its address.
        """
        received: list[Received] = []
        for arrival, datagram in self.datagrams:
            due = osc_bundle.OscBundle(datagram).timestamp

            def handle(address: str, *values: Any, at: float = arrival, due=due) -> None:
                name = address.removeprefix("/gradsound/")
                assert name != address
                received.append(Received(at, due, name, values))

            routes = dispatcher.Dispatcher()
            routes.map("/gradsound/*", handle)
            for message in osc_bundle.OscBundle(datagram):  # alone, each is due at once
                routes.call_handlers_for_packet(message.dgram, ("127.0.0.1", 0))
        return sorted(received, key=lambda message: message.due)
