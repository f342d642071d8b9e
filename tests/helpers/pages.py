"""A page as a test sees it: what is served, and what its socket is told."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

GRADSOUND = [sys.executable, "-m", "gradsound"]
EVENTS = np.dtype("<f8, <u4, <u2, <i2, <u4, <u4, <u4, <i4, <u4, (2,)<f4, (2,)<f4, (3,2)<f4")
EVENTS.names = (
    *("first", "count", "voice", "line", "slot", "phase", "step", "glide", "fade"),
    *("gain", "pan", "controls"),
)
_HEAD = struct.Struct("<IIddII")


class Events:
    """A message of notes."""

    def __init__(self, message: bytes) -> None:
        _, count, self.now, self.begin, self.first, self.last = _HEAD.unpack_from(message)
        self.notes = np.frombuffer(message, EVENTS, count, _HEAD.size)
        assert len(message) == _HEAD.size + self.notes.nbytes


class Column:
    """A column of the picture."""

    def __init__(self, record: np.void) -> None:
        self.time, self.first, self.last, self.norms = (*record.tolist()[:3], record["f3"])


class Page:
    """A socket, and what it was told so far.

    Args:
        url: The page's.
        since: Number of the last step that it has.
        parse: What reads a message in words.
    """

    def __init__(
        self,
        url: str,
        since: int | None = None,
        parse: Callable[[str], dict] = json.loads,
        **options: object,
    ) -> None:
        self._parse = parse
        self.origin = "http://" + urlsplit(url).netloc
        address = url.replace("http://", "ws://") + "socket"
        address += "" if since is None else f"?since={since}"
        self._opened = connect(address, **{"origin": self.origin, **options})
        self.socket = self._opened.__enter__()
        self.told: list[dict] = []
        self.columns: list[Column] = []
        self.events: list[Events] = []
        self.hello = self.next()

    def next(self, seconds: float = 10) -> dict | None:
        """Takes the next message; what it says, if it is in words."""
        message = self.socket.recv(seconds)
        if isinstance(message, str):
            said = self._parse(message)
            if said["kind"] != "alive":
                self.told.append(said)
            return said
        kind, count = struct.unpack_from("<II", message)
        if kind == 1:
            self.events.append(Events(message))
        else:
            layers = len(self.hello["layers"])
            record = np.dtype(f"<f8, <u4, <u4, ({layers},)<f4")
            made = np.frombuffer(message, record, count, 8)
            assert len(message) == 8 + made.nbytes
            self.columns += map(Column, made)
        return None

    def waiting(self) -> Iterator[str | bytes]:
        """Yields the messages that are there already, as they came."""
        with suppress(TimeoutError):
            while True:
                yield self.socket.recv(0)

    def until(self, done, otherwise: str) -> None:
        """Takes messages until something is so."""
        while not done():
            try:
                self.next()
            except TimeoutError:
                raise AssertionError(otherwise) from None

    def say(self, **message: object) -> None:
        self.socket.send(json.dumps(message))

    def end(self) -> int:
        """Takes messages until the socket is closed; with which code."""
        try:
            while True:
                self.next()
        except ConnectionClosed as closed:
            self.close()
            return (closed.rcvd or closed.sent).code

    def close(self) -> None:
        """Goes."""
        self._opened.__exit__(None, None, None)

    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.told]

    def captions(self) -> list[str]:
        return [one["text"] for one in self.told if one["kind"] == "caption"]


def get(
    url: str, path: str = "", method: str = "GET", **headers: str | None
) -> tuple[int, str, dict]:
    """What is answered: its status, text and headers. Headers of None are left out."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname, address.port, timeout=10)
    sent = {"Host": address.netloc, **headers}
    connection.putrequest(method, address.path + path, skip_host=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text, dict(response.headers)


@contextmanager
def served(*arguments: object, first: bytes = b"", warns: str = "") -> Iterator[tuple]:
    """`gradsound serve`: the address that it prints, and the process.

    Args:
        arguments: Of the command.
        first: What it is given to begin with.
        warns: What it warns of; of nothing, if empty.
    """
    command = [*GRADSOUND, "serve", *map(str, arguments)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as process:
        try:
            process.stdin.write(first)
            process.stdin.flush()
            said = process.stdout.readline().decode() + process.stdout.readline().decode()
            if not said:
                raise AssertionError(process.stderr.read().decode())
            yield re.search(r"http://\S+/", said)[0], process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        said = process.stderr.read().decode()
        assert warns in said if warns else not said, said
