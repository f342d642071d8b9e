"""The steps of a run that grows, read in a thread, so that their reader need not wait."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from gradsound.runs.step_block import StepBlock

_WAIT_SECONDS = 0.1  # after which a reader learns that no step has come
_BLOCKS_AHEAD = 4  # that wait for their reader, at most


def read_ahead(blocks: Iterable[StepBlock]) -> Generator[StepBlock | None]:
    """Yields blocks as they come, and None each 0.1 s in which none comes.

    Args:
        blocks: The blocks, which a thread takes. It ends with them, or at the first one
            after this generator is closed.

    Raises:
        Exception: What taking a block raises.
    """
    arrived: queue.Queue[StepBlock | Exception | None] = queue.Queue(_BLOCKS_AHEAD)
    closed = threading.Event()

    def put(item: StepBlock | Exception | None) -> None:
        while not closed.is_set():
            with suppress(queue.Full):
                arrived.put(item, timeout=_WAIT_SECONDS)
                return

    def read() -> None:
        try:
            for block in blocks:
                put(block)
                if closed.is_set():
                    return
        except Exception as error:  # noqa: BLE001 (the generator raises it)
            put(error)
        else:
            put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                item = arrived.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                yield None
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        closed.set()
