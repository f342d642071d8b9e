"""Markers in WAV files, which editors show, and data of our own, which they pass over.

A WAV file is a list of chunks (Multimedia Programming Interface and Data Specifications
1.0, Microsoft and IBM 1991): markers are one named ``cue ``, their labels one ``LIST``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OURS = b"grad"
_MOST = 2**32 - 2  # bytes; the length in the head has 32 bits


def add_markers(path: Path, markers: Sequence[tuple[int, str]], data: bytes = b"") -> None:
    """Adds markers to a finished WAV file.

    Args:
        path: The file; it has none yet.
        markers: The frame of each, and its label. What is beyond the sound is left out.
        data: What `read_data` gives back.

    Raises:
        ValueError: If it is no WAV file, or would be too large for one.
        OSError: If it cannot be written.
    """
    with path.open("r+b") as file:
        sizes = {name: (begin, size) for name, begin, size in _chunks(file, path)}
        begin, size = sizes[b"data"]
        file.seek(sizes[b"fmt "][0] + 12)
        frames = size // struct.unpack("<H", file.read(2))[0]
        within = [(frame, label) for frame, label in markers if 0 <= frame < frames]
        chunks = _cues(within) + (_chunk(OURS, data) if data else b"")
        end = begin + size + size % 2
        file.seek(0, 2)
        end = max(end, file.tell())
        if end + len(chunks) - 8 > _MOST:
            raise ValueError(f"{path}: has no room for markers, a WAV file holds 4 GiB")
        file.write(bytes(end - file.tell()) + chunks)
        file.seek(4)
        file.write(struct.pack("<I", end + len(chunks) - 8))


def read_data(path: Path) -> bytes | None:
    """The data that `add_markers` was given; None if there is none.

    Raises:
        ValueError: If it is no WAV file.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        for name, begin, size in _chunks(file, path):
            if name == OURS:
                file.seek(begin)
                data = file.read(size)
                return data if len(data) == size else None
    return None


def _cues(markers: Sequence[tuple[int, str]]) -> bytes:
    if not markers:
        return b""
    points, labels = struct.pack("<I", len(markers)), b"adtl"
    for number, (frame, label) in enumerate(markers, 1):
        points += struct.pack("<II4sIII", number, frame, b"data", 0, 0, frame)
        text = label.encode("utf-8", "replace").replace(b"\0", b" ") + b"\0"
        labels += _chunk(b"labl", struct.pack("<I", number) + text)
    return _chunk(b"cue ", points) + _chunk(b"LIST", labels)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yields the name of each chunk, where its content begins, and its size."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ValueError(f"{path}: is no WAV file")
    place = 12
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        yield name, place + 8, size
        place += 8 + size + size % 2
        file.seek(place)
