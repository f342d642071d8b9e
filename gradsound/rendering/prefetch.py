"""The prefetch of samples: a thread renders blocks while others are written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.synth.mixer import Samples

_AT_ONCE = 8  # blocks; to wake a thread takes time, too


def prefetch(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Yields the blocks; a thread renders the next ones while these are written."""

    def render_some() -> list[Samples]:
        return [*islice(blocks, _AT_ONCE)]

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(render_some)
        while some := future.result():
            future = thread.submit(render_some)
            yield from some
