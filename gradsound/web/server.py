"""Serves the page and its socket, to whoever has the token, on this machine alone.

Every request is checked before anything is read of it: the token is the first part of its
path; its host must be a name of this machine, or a page elsewhere could reach it by a name
of its own (DNS rebinding); and its origin, where it has one, must be that host. The socket
must have an origin.
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
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from websockets.asyncio import server
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gradsound.web.listener import Listener
from gradsound.web.messages import alive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_METHODS = ("GET", "HEAD")
_PAGE = Path(__file__).with_name("page")
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_MESSAGE_MAX = 256  # bytes that a page may send in one go; it has little to say
_SAID_MAX = 8  # messages of a page that wait to be read
_LISTENERS_MAX = 64  # pages at the same time
_BEAT = 5  # seconds; a page that hears nothing for three times as long connects anew
_ANSWERS = 20  # seconds in which a page must answer, or it is gone
_BEGINS = 5  # seconds that a request may take
_ENDS = 0.5  # seconds in which a page should say goodbye

# Nothing but what is served here is run or shown, and no other page learns the address.
# What may show it in a frame is a page of this machine, such as a notebook: whoever serves
# one here and knows the address could ask for all of it anyway. A frame might have a reader
# press what they do not see; here that is to listen, or to be silent. A policy cannot name
# the loopback of IPv6.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' {}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors http://localhost:* http://127.0.0.1:*"
)


class Server:
    """Serves a page.

    Args:
        attend: Called for each page that connects, until it returns.
        token: What the path of every request begins with.
        files: What is served besides the files of the page, by name.
        elsewhere: Whether other machines may ask, by addresses and names of this one.
    """

    def __init__(
        self,
        attend: Callable[[Listener], Awaitable[None]],
        token: str,
        files: Mapping[str, str],
        *,
        elsewhere: bool,
    ) -> None:
        self._attend, self._token, self._elsewhere = attend, token, elsewhere
        own = (socket.gethostname(), socket.getfqdn()) if elsewhere else ()
        self._hosts = {*_LOOPBACK, *(name.lower() for name in own)}
        self._files = {path.name: path.read_bytes() for path in _PAGE.iterdir()}
        self._files |= {name: text.encode() for name, text in files.items()}
        self._listeners, self._empty = 0, asyncio.Event()
        self._empty.set()

    async def serve(self, listening: socket.socket, done: Awaitable[None]) -> None:
        """Serves on a socket until something is done."""
        # Whoever knocks at the port without a word of HTTP is no news to the training.
        silent = logging.Logger("gradsound.web", logging.CRITICAL + 1)
        asyncio.get_running_loop().set_exception_handler(_ignore_strangers)
        async with server.serve(
            self._listen,
            sock=listening,
            process_request=self._answered,
            compression=None,  # a few kilobytes a second; and every page would need its own
            max_size=_MESSAGE_MAX,
            max_queue=_SAID_MAX,
            ping_interval=_ANSWERS,
            ping_timeout=_ANSWERS,
            open_timeout=_BEGINS,
            close_timeout=_ENDS,
            server_header=None,
            logger=silent,
        ):
            await done
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), _ENDS)

    async def _listen(self, connection: server.ServerConnection) -> None:
        self._listeners += 1
        self._empty.clear()
        listener = Listener(connection)
        beating = asyncio.create_task(_beat(listener))
        try:
            await self._attend(listener)
        finally:
            beating.cancel()
            self._listeners -= 1
            if not self._listeners:
                self._empty.set()

    def _answered(self, _: server.ServerConnection, request: Request) -> Response | None:
        method = getattr(request, "method", "GET")  # older websockets take no other
        response = self._answer(request, method)
        if response is not None and method == "HEAD":
            response.body = b""
        return response

    def _answer(self, request: Request, method: str) -> Response | None:
        """The answer to a request; None has it go on as a socket."""
        if method not in _METHODS:
            refusal = _refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not answered")
            refusal.headers["Allow"] = ", ".join(_METHODS)
            return refusal
        hosts = request.headers.get_all("Host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._ours(host):
            return _refusal(HTTPStatus.FORBIDDEN, f"{host or 'this host'!r} is not served")
        origins = request.headers.get_all("Origin")
        if origins and origins != [f"http://{host}"]:
            return _refusal(HTTPStatus.FORBIDDEN, "another page may not ask for this")
        path = urlsplit(request.path).path
        token, slash, file = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            why = (
                "this address is of an earlier run; the new one is printed where it trains"
            )
            return _refusal(HTTPStatus.FORBIDDEN, why)
        if file == "socket":
            if not origins:
                return _refusal(HTTPStatus.FORBIDDEN, "this is for the page alone")
            if self._listeners >= _LISTENERS_MAX:
                why = f"{self._listeners} pages listen already"
                return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, why)
            return None
        if not slash:  # or what the page asks for would be looked for beside it
            headers = {"Location": f"{path}/"}
            return Response(*_status(HTTPStatus.PERMANENT_REDIRECT), Headers(**headers))
        file = file or "index.html"
        if file not in self._files:
            return _refusal(HTTPStatus.NOT_FOUND, "there is no such page")
        return _response(
            HTTPStatus.OK, _TYPES[Path(file).suffix], self._files[file], f"ws://{host}"
        )

    def _ours(self, host: str) -> bool:
        """Whether a host is this machine; an address leads to no other, as a name may."""
        named = _HOST.fullmatch(host)
        if named is None:
            return False
        name = named[1].strip("[]").lower()
        return name in self._hosts or (self._elsewhere and _is_address(name))


def _ignore_strangers(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Says nothing of connections that fail, of which anybody can make any number."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


async def _beat(listener: Listener) -> None:
    """Lets a page know that it is connected, where nothing else does for long."""
    while True:
        await asyncio.sleep(_BEAT)
        listener.send(alive())


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _refusal(status: HTTPStatus, why: str) -> Response:
    return _response(status, "text/plain", f"gradsound: {why}\n".encode())


def _response(status: HTTPStatus, kind: str, body: bytes, connected: str = "") -> Response:
    headers = Headers(
        **_HEADERS,
        **{
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY.format(connected),
            "Connection": "close",
        },
    )
    return Response(*_status(status), headers, body)


def _status(status: HTTPStatus) -> tuple[int, str]:
    return status.value, status.phrase
