"""A page that listens: what it is told, and what it says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio import server
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_NUMBER = re.compile(r"\d{1,15}", re.ASCII)
_BEHIND_MAX = 1 << 21  # bytes on their way to a page; one that is so slow begins anew


class Listener:
    """A page that listens.

    Args:
        connection: Its socket.

    Attributes:
        since: Number of the last step in its picture; -1 if it has none.
    """

    def __init__(self, connection: server.ServerConnection) -> None:
        self._connection = connection
        path = "" if connection.request is None else connection.request.path
        since = parse_qs(urlsplit(path).query).get("since", [""])[0]
        self.since = int(since) if _NUMBER.fullmatch(since) else -1

    def send(self, message: str | bytes) -> None:
        """Sends a message without ever waiting; who is far behind is dropped."""
        if self._connection.transport.get_write_buffer_size() > _BEHIND_MAX:
            self._connection.transport.abort()  # it comes again, and is told the news
        else:
            server.broadcast([self._connection], message)

    async def said(self) -> AsyncIterator[dict[str, Any]]:
        """Yields what the page says, until it is gone; what is no JSON object ends it."""
        try:
            async for message in self._connection:
                said = json.loads(message)
                if not isinstance(said, dict):
                    raise ValueError
                yield said
        except ConnectionClosed:
            pass
        except ValueError:  # nobody whom we know
            await self._connection.close(1008)
