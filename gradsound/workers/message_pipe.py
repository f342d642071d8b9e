"""A pipe by which a worker sends messages to the trainer: both ends.

The worker numbers what it sends, and drops what the pipe does not take. So a reader that
is slow misses messages, knows how many, and delays nobody.

A batch of messages is a line of JSON, then the bytes of its binary messages. The line has
``messages``, each a text, or null for the next binary one; ``sizes`` of the binary ones in
bytes; and what else describes the batch.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

_UNSENT_BYTES_MAX = 1 << 21  # what a page that does not read may have, too


class MessagePipe:
    """The worker's end, in an event loop.

    Args:
        descriptor: The end of the pipe to write to.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._loop = descriptor, asyncio.get_running_loop()
        self._batch: list[str | bytes] = []  # what this turn of the loop has sent so far
        self._number = 0  # of the last batch
        self._unsent = bytearray()
        self._is_open = True

    def send(self, message: str | bytes) -> None:
        """Sends a message without waiting, together with others of the same moment."""
        if not self._batch:
            self._loop.call_soon(self.flush)
        self._batch.append(message)

    def flush(self) -> None:
        """Sends what `send` has collected, as the batch of the next number."""
        if self._batch:
            self._number += 1
            batch, self._batch = self._batch, []
            self.send_batch(batch, number=self._number)

    def send_batch(self, messages: Iterable[str | bytes], **facts: Any) -> None:
        """Sends messages and facts about them without waiting, or drops them."""
        all_messages = [*messages]
        binary = [one for one in all_messages if isinstance(one, bytes)]
        head = {
            **facts,
            "messages": [one if isinstance(one, str) else None for one in all_messages],
            "sizes": [*map(len, binary)],
        }
        batch = b"".join([json.dumps(head).encode(), b"\n", *binary])
        if self._is_open and len(self._unsent) + len(batch) <= _UNSENT_BYTES_MAX:
            self._unsent += batch
            self._write()

    def _write(self) -> None:
        """Writes what the pipe takes now, and the rest when it has room."""
        try:
            del self._unsent[: os.write(self._descriptor, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # the trainer has died; its end of the other pipe says so
            self._unsent.clear()
            self._is_open = False
        self._loop.remove_writer(self._descriptor)
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._write)

    async def drain(self, seconds: float) -> None:
        """Waits until the pipe has taken all, or until some seconds have passed."""
        self.flush()
        end = self._loop.time() + seconds
        while self._unsent and self._loop.time() < end:
            await asyncio.sleep(0.01)


def read_batches(pipe: BinaryIO) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Yields the facts and the binary messages of each batch until the pipe ends."""
    while line := pipe.readline():
        if not line.endswith(b"\n"):
            return  # the worker was killed
        facts = json.loads(line)
        yield facts, [pipe.read(size) for size in facts.pop("sizes")]
