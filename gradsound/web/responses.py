"""HTTP responses of the page's server: files, redirects and refusals."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from websockets.datastructures import Headers
from websockets.http11 import Response

_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

# The browser runs and shows only files of this server, and tells no other page the address.
# Pages of this machine, such as a notebook, may show the page in a frame: a local server
# that knows the address could request all files anyway. A frame can trick a user into
# clicks on a hidden page; here such a click only starts or stops the sound. A policy cannot
# name the loopback of IPv6. 'wasm-unsafe-eval' lets the page compile WebAssembly, and no
# JavaScript: the module is in a script of this server, which the page runs anyway.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self' {}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors http://localhost:* http://127.0.0.1:*"
)


def respond_with_file(name: str, body: bytes, socket_origin: str) -> Response:
    """Returns a file of the page.

    Args:
        name: Name of the file; its ending gives the media type.
        body: Content of the file.
        socket_origin: Origin of the WebSocket, which the policy lets the page connect to.

    Example:
        >>> response = respond_with_file("page.js", b"1;", "ws://localhost:8421")
        >>> response.status_code, response.headers["Content-Type"]
        (200, 'text/javascript; charset=utf-8')
    """
    media_type = _MEDIA_TYPES[Path(name).suffix]
    return _make_response(HTTPStatus.OK, media_type, body, socket_origin)


def redirect(location: str) -> Response:
    """Returns a permanent redirect to a path of this server.

    Example:
        >>> redirect("/TOKEN/").headers["Location"]
        '/TOKEN/'
    """
    status = HTTPStatus.PERMANENT_REDIRECT
    return Response(status.value, status.phrase, Headers(Location=location))


def refuse(status: HTTPStatus, reason: str) -> Response:
    r"""Returns a refusal with its reason as text.

    Example:
        >>> refuse(HTTPStatus.NOT_FOUND, "the page has no such file").body
        b'gradsound: the page has no such file\n'
    """
    return _make_response(status, "text/plain", f"gradsound: {reason}\n".encode())


def _make_response(
    status: HTTPStatus, media_type: str, body: bytes, socket_origin: str = ""
) -> Response:
    headers = Headers(
        **_HEADERS,
        **{
            "Content-Type": f"{media_type}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY.format(socket_origin),
            "Connection": "close",
        },
    )
    return Response(status.value, status.phrase, headers, body)
