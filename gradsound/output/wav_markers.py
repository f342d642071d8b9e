"""Markers in WAV files, which some players show, and a chunk of data for gradsound alone.

A WAV file is a list of chunks (Multimedia Programming Interface and Data Specifications
1.0, Microsoft and IBM 1991). A chunk ``cue `` holds the markers, a chunk ``LIST`` their
labels. Other programs skip the chunk ``grad``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DATA_NAME = b"grad"  # name of the chunk of data
_LABEL_BYTES = 255  # libsndfile keeps as many, and would cut within a character
_MAX_SIZE = 2**32 - 2  # bytes after the first 8; the file's header has 32 bits for them


def add_markers(
    path: Path,
    markers: Sequence[tuple[int, str]],
    data: bytes = b"",
    *,
    max_size: int = _MAX_SIZE,
) -> None:
    """Adds markers and data to a finished WAV file that has none.

    Args:
        path: Path of the file.
        markers: Frame and label of each marker; those outside the sound are left out.
        data: Bytes that `read_data` will return.
        max_size: Largest size of the file in bytes, without its first 8.

    Raises:
        ValueError: If the file is no WAV file, or would become too large for one.
        OSError: If the file cannot be written.
    """
    with path.open("r+b") as file:
        positions = {name: (begin, size) for name, begin, size in _chunks(file, path)}
        begin, size = positions[b"data"]
        file.seek(positions[b"fmt "][0] + 12)
        frames = size // struct.unpack("<H", file.read(2))[0]
        within = [(frame, label) for frame, label in markers if 0 <= frame < frames]
        chunks = _cues(within) + (_chunk(_DATA_NAME, data) if data else b"")
        end = begin + size + size % 2
        file.seek(0, 2)
        end = max(end, file.tell())
        if end + len(chunks) - 8 > max_size:
            raise ValueError(f"{path}: has no room for markers, a WAV file holds 4 GiB")
        file.write(bytes(end - file.tell()) + chunks)
        file.seek(4)
        file.write(struct.pack("<I", end + len(chunks) - 8))


def read_data(path: Path) -> bytes | None:
    """Returns the data that `add_markers` added; None if the file has none.

    Raises:
        ValueError: If the file is no WAV file.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        for name, begin, size in _chunks(file, path):
            if name == _DATA_NAME:
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
        labels += _chunk(b"labl", struct.pack("<I", number) + _label_text(label) + b"\0")
    return _chunk(b"cue ", points) + _chunk(b"LIST", labels)


def _label_text(label: str) -> bytes:
    text = label.encode("utf-8", "replace").replace(b"\0", b" ")
    return text[:_LABEL_BYTES].decode("utf-8", "ignore").encode()


def _chunk(name: bytes, content: bytes) -> bytes:
    """Returns a chunk; a byte of padding, which its size omits, makes its length even."""
    return struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yields each chunk's name, the byte at which its content begins, and its size."""
    header = file.read(12)
    if header[:4] != b"RIFF" or header[8:] != b"WAVE":
        raise ValueError(f"{path}: is no WAV file")
    position = 12
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        yield name, position + 8, size
        position += 8 + size + size % 2
        file.seek(position)
