"""A listener: one browser page and its WebSocket."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio import server
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PATH = re.compile(r"\d{1,6}(\.\d{1,6}){0,50}", re.ASCII)
_STEP_NUMBER = re.compile(r"\d{1,15}", re.ASCII)
_UNSENT_BYTES_MAX = 1 << 21  # to one page; a slower page must connect again
_POLICY_VIOLATION = 1008  # close code of RFC 6455


class Listener:
    """One browser page that listens to a run.

    Args:
        connection: The WebSocket of the page.

    Attributes:
        since: Number of the last step in the page's picture; -1 if the picture is empty.
        path: The open groups of the picture, from outside, as for `RowView`.
    """

    def __init__(self, connection: server.ServerConnection) -> None:
        self._connection = connection
        path = "" if connection.request is None else connection.request.path
        query = parse_qs(urlsplit(path).query)
        since, groups = (query.get(name, [""])[0] for name in ("since", "open"))
        self.since = int(since) if _STEP_NUMBER.fullmatch(since) else -1
        self.path = [*map(int, groups.split("."))] if _PATH.fullmatch(groups) else []

    def send(self, message: str | bytes) -> None:
        """Sends a message without waiting; drops a page with more than 2 MB unsent."""
        if self._connection.transport.get_write_buffer_size() > _UNSENT_BYTES_MAX:
            self._connection.transport.abort()  # the page connects again with since=...
        else:
            server.broadcast([self._connection], message)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the page's messages until it closes; drops it if one is no JSON object."""
        try:
            async for text in self._connection:
                message = json.loads(text)
                if not isinstance(message, dict):
                    raise ValueError
                yield message
        except ConnectionClosed:
            pass
        except ValueError:  # not our page
            await self._connection.close(_POLICY_VIOLATION)
