"""The web server of the page: files, WebSocket and access checks.

The server checks every request before it answers. The first part of the path must be the
token. The host must be a name of this machine; otherwise a foreign page could reach the
server by a name of its own (DNS rebinding). The origin, if any, must be that host; a
WebSocket request must have one.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import socket
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from websockets.asyncio import server

from gradsound.web.listener import Listener
from gradsound.web.messages import encode_alive
from gradsound.web.responses import redirect, refuse, respond_with_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from websockets.http11 import Request, Response

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_METHODS = ("GET", "HEAD")
_PAGE = Path(__file__).with_name("page")
_FURTHER = "run/"  # before the identifier of a further page
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)
_MESSAGE_BYTES_MAX = 256  # of one message from a page; play and pause are shorter
_UNREAD_MAX = 8  # messages from one page
_LISTENERS_MAX = 64  # pages at the same time
_HEARTBEAT_SECONDS = 5  # a page connects again after 15 s without a message
_PING_SECONDS = 20  # without an answer after that long, the page is dropped
_OPEN_SECONDS = 5  # that a request may take
_CLOSE_SECONDS = 0.5  # that a page has to close its WebSocket


class FurtherPage(Protocol):
    """A page with a WebSocket and files of its own, besides the first one."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Its files by name, besides those of every page."""

    async def serve_listener(self, listener: Listener) -> None:
        """Sends to a page until it closes; its return closes the WebSocket."""


class Server:
    """Serves the files of the page and its WebSocket.

    Args:
        serve_listener: Called for each page that connects; its return closes the WebSocket.
        token: The first part of every request's path.
        files: Texts by name, to serve besides the files of the page.
        is_public: Whether to accept addresses and names of this machine other than
            loopback as the host of a request.
        find_page: Returns a further page by its identifier, for requests of
            ``run/IDENTIFIER/``; raises ValueError if there is none, OSError if it cannot
            be opened.

    Example:
        >>> from gradsound.web.page_address import PageAddress
        >>> address = PageAddress(0)
        >>> async def serve_listener(listener):
        ...     listener.send("hello")
        >>> async def serve_briefly():
        ...     server = Server(serve_listener, address.token, {}, is_public=False)
        ...     await server.serve(address.socket, asyncio.sleep(0.01))
        >>> asyncio.run(serve_briefly())
    """

    def __init__(
        self,
        serve_listener: Callable[[Listener], Awaitable[None]],
        token: str,
        files: Mapping[str, str],
        *,
        is_public: bool,
        find_page: Callable[[str], Awaitable[FurtherPage]] | None = None,
    ) -> None:
        self._serve_listener, self._token = serve_listener, token
        self._find_page = find_page
        self._is_public = is_public
        public = (socket.gethostname(), socket.getfqdn()) if is_public else ()
        self._hosts = {*_LOOPBACK, *(name.lower() for name in public)}
        self._page_files = {path.name: path.read_bytes() for path in _PAGE.iterdir()}
        self._files = self._page_files | {
            name: text.encode() for name, text in files.items()
        }
        self._listeners, self._no_listeners = 0, asyncio.Event()
        self._no_listeners.set()

    async def serve(self, listening: socket.socket, done: Awaitable[None]) -> None:
        """Serves on a listening socket until an awaitable is done."""
        # A port scanner, or any connection without HTTP, must not fill the training's log.
        silent = logging.Logger("gradsound.web", logging.CRITICAL + 1)
        asyncio.get_running_loop().set_exception_handler(_ignore_connection_errors)
        async with server.serve(
            self._handle_connection,
            sock=listening,
            process_request=self._process_request,
            compression=None,  # saves a few kB/s, but costs a compressor for each page
            max_size=_MESSAGE_BYTES_MAX,
            max_queue=_UNREAD_MAX,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            open_timeout=_OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            server_header=None,
            logger=silent,
        ):
            await done
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._no_listeners.wait(), _CLOSE_SECONDS)

    async def _handle_connection(self, connection: server.ServerConnection) -> None:
        self._listeners += 1
        self._no_listeners.clear()
        listener = Listener(connection)
        heartbeats = asyncio.create_task(_send_heartbeats(listener))
        path = "" if connection.request is None else connection.request.path
        try:
            try:
                page = await self._find(self._split(path)[1])
            except (OSError, ValueError):  # its request has found the page a moment ago
                return
            await (self._serve_listener if page is None else page.serve_listener)(listener)
        finally:
            heartbeats.cancel()
            self._listeners -= 1
            if not self._listeners:
                self._no_listeners.set()

    async def _process_request(
        self, _: server.ServerConnection, request: Request
    ) -> Response | None:
        method = getattr(request, "method", "GET")  # websockets < 17 accepts no other
        response = await self._respond(request, method)
        if response is not None and method == "HEAD":
            response.body = b""
        return response

    async def _respond(self, request: Request, method: str) -> Response | None:
        """Returns the response to a request; None opens the WebSocket."""
        if method not in _METHODS:
            refusal = refuse(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{method} is not allowed; use {' or '.join(_METHODS)}",
            )
            refusal.headers["Allow"] = ", ".join(_METHODS)
            return refusal
        hosts = request.headers.get_all("Host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_own_host(host):
            reason = f"{host or 'this host'!r} is not a name of this server"
            return refuse(HTTPStatus.FORBIDDEN, reason)
        origins = request.headers.get_all("Origin")
        if origins and origins != [f"http://{host}"]:
            return refuse(HTTPStatus.FORBIDDEN, "another page may not request this")
        token, place, file = self._split(request.path)
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            reason = "no run has this address; the training prints the right one"
            return refuse(HTTPStatus.FORBIDDEN, reason)
        if file is None:  # the page's relative links need the slash
            return redirect(f"{urlsplit(request.path).path}/")
        if file == "socket":
            if not origins:
                return refuse(HTTPStatus.FORBIDDEN, "only the page may open this socket")
            if self._listeners >= _LISTENERS_MAX:
                reason = f"{self._listeners} pages listen already; close one of them"
                return refuse(HTTPStatus.SERVICE_UNAVAILABLE, reason)
        try:
            page = await self._find(place)
        except (OSError, ValueError) as error:
            return refuse(HTTPStatus.NOT_FOUND, str(error))
        if file == "socket":
            return None
        files = self._files if page is None else self._page_files | dict(page.files)
        file = file or "index.html"
        if file not in files:
            return refuse(HTTPStatus.NOT_FOUND, "the page has no such file")
        return respond_with_file(file, files[file], f"ws://{host}")

    def _split(self, address: str) -> tuple[str, str | None, str | None]:
        """Returns the parts of an address: token, identifier of a further page, file.

        The identifier is None for the first page, and the file is None without a slash.
        """
        token, slash, file = urlsplit(address).path.removeprefix("/").partition("/")
        if self._find_page is None or not file.startswith(_FURTHER):
            return token, None, file if slash else None
        identifier, slash, file = file.removeprefix(_FURTHER).partition("/")
        return token, identifier, file if slash else None

    async def _find(self, identifier: str | None) -> FurtherPage | None:
        """Returns a further page; None for the first one."""
        if self._find_page is None or identifier is None:
            return None
        return await self._find_page(identifier)

    def _is_own_host(self, host: str) -> bool:
        """Returns whether a host is this machine.

        A public server accepts every IP address: DNS rebinding needs a name.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        return name in self._hosts or (self._is_public and _is_address(name))


def _ignore_connection_errors(
    loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """Does not log failed connections: anyone can cause any number of them."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


async def _send_heartbeats(listener: Listener) -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        listener.send(encode_alive())


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
