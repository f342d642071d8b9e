"""A page without a browser, as a WebSocket client, and the command that serves it."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
from helpers.processes import started
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

GRADSOUND = [sys.executable, "-m", "gradsound"]
# Written down again rather than imported: the tests check the format of docs/web.md.
EVENTS = np.dtype("<f8, <u4, <u2, <i2, <u4, <u4, <u4, <i4, <u4, (2,)<f4, (2,)<f4, (3,2)<f4")
EVENTS.names = (
    *("first", "count", "voice", "track", "slot", "phase", "increment", "glide", "fade"),
    *("gain", "pan", "controls"),
)
_HEAD = struct.Struct("<IIddII")
_UNTIL_SECONDS = 60.0  # in which a condition must hold
_COLUMNS_HEAD = struct.Struct("<II")


class Events:
    """A message of note events."""

    def __init__(self, message: bytes) -> None:
        _, count, self.now, self.begin, self.first, self.last = _HEAD.unpack_from(message)
        self.notes = np.frombuffer(message, EVENTS, count, _HEAD.size)
        assert len(message) == _HEAD.size + self.notes.nbytes


class Column:
    """A column of the picture."""

    def __init__(self, record: np.void) -> None:
        self.time, self.first, self.last, self.norms = (*record.tolist()[:3], record["f3"])


class Page:
    """A WebSocket to the server, and the messages received so far.

    Args:
        url: Address of the page.
        since: Number of the last step that the page claims to have.
        opened: Path of the open groups, as in "0.2"; empty for none.
        decode: Decodes a text message.
        options: Passed to `websockets.sync.client.connect`.
    """

    def __init__(
        self,
        url: str,
        since: int | None = None,
        opened: str = "",
        decode: Callable[[str], dict] = json.loads,
        **options: object,
    ) -> None:
        self._decode = decode
        self.origin = "http://" + urlsplit(url).netloc
        address = url.replace("http://", "ws://") + "socket"
        address += "?" if since is None else f"?since={since}&"
        address += f"open={opened}"
        self._connection = connect(address, **{"origin": self.origin, **options})
        self.socket = self._connection.__enter__()
        self.messages: list[dict] = []
        self.columns: list[Column] = []
        self.events: list[Events] = []
        self.rows: list[dict] = []
        self.hello = self.receive()

    def receive(self, seconds: float = 10) -> dict | None:
        """Receives a message; returns it if it is a text message."""
        data = self.socket.recv(seconds)
        if isinstance(data, str):
            message = self._decode(data)
            if message["kind"] == "rows":
                self.rows, self.columns = message["rows"], []
            elif message["kind"] != "alive":
                self.messages.append(message)
            return message
        kind, count = _COLUMNS_HEAD.unpack_from(data)
        if kind == 1:
            self.events.append(Events(data))
        else:
            record = np.dtype(f"<f8, <u4, <u4, ({len(self.rows)},)<f4")
            columns = np.frombuffer(data, record, count, _COLUMNS_HEAD.size)
            assert len(data) == _COLUMNS_HEAD.size + columns.nbytes
            self.columns += map(Column, columns)
        return None

    def receive_raw(self) -> Iterator[str | bytes]:
        """Yields the messages that have arrived, undecoded."""
        with suppress(TimeoutError):
            while True:
                yield self.socket.recv(0)

    def receive_until(self, condition: Callable[[], object], failure: str) -> None:
        """Receives messages until a condition holds; a page that is alive gets others."""
        deadline = time.monotonic() + _UNTIL_SECONDS
        while not condition():
            assert time.monotonic() < deadline, failure
            with suppress(TimeoutError):
                self.receive()

    def send(self, **message: object) -> None:
        """Sends a message."""
        self.socket.send(json.dumps(message))

    def receive_close(self) -> int:
        """Receives messages until the server closes the WebSocket; returns its code."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            self.close()
            return (closed.rcvd or closed.sent).code

    def close(self) -> None:
        """Closes the WebSocket."""
        self._connection.__exit__(None, None, None)

    def kinds(self) -> list[str]:
        """Returns the kinds of all text messages."""
        return [message["kind"] for message in self.messages]

    def captions(self) -> list[str]:
        """Returns the texts of all captions."""
        return [one["text"] for one in self.messages if one["kind"] == "caption"]


def get(
    url: str, path: str = "", method: str = "GET", **headers: str | None
) -> tuple[int, str, dict]:
    """Requests a path; returns status, text and headers. Leaves out headers of None."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname, address.port, timeout=10)
    all_headers = {"Host": address.netloc, **headers}
    connection.putrequest(method, address.path + path, skip_host=True)
    for name, value in all_headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text, dict(response.headers)


@contextmanager
def served(*arguments: object, stdin: bytes = b"", warning: str = "") -> Iterator[tuple]:
    """Runs `gradsound serve`; yields the page's address and the process.

    Args:
        arguments: Arguments of the command.
        stdin: First data on its standard input, which stays open.
        warning: A part of its only warning; empty if it must not warn.
    """
    command = [*GRADSOUND, "serve", *map(str, arguments)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with started(command, **pipes) as process:
        try:
            process.stdin.write(stdin)
            process.stdin.flush()
            output = process.stdout.readline().decode() + process.stdout.readline().decode()
            if not output:
                raise AssertionError(process.stderr.read().decode())
            yield re.search(r"http://\S+/", output)[0], process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        stderr = process.stderr.read().decode()
        assert warning in stderr if warning else not stderr, stderr
