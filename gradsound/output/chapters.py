"""Chapters in Ogg, FLAC and MP3 files, which players list.

Ogg Vorbis, Ogg Opus and FLAC have comments (Vorbis I specification, section 5; RFC 7845,
section 5.2; RFC 9639, section 8.6). Of these, CHAPTER001 is the time of a chapter and
CHAPTER001NAME its text (Xiph wiki, Chapter Extension). MP3 files have an ID3 tag (ID3v2.4.0
and ID3v2 Chapter Frame Addendum 1.0).
"""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from gradsound.output.ogg import pack_pages, read_packets, read_pages
from gradsound.output.text_file import as_utf8, timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TypeAlias

    _Chapters: TypeAlias = Sequence[tuple[float, str]]  # begin in seconds, and text

_MAX_COMMENTS = 999  # chapters; their numbers have three digits
_MAX_FRAMES = 255  # chapters; the table of contents counts them in a byte
_COMMENTS = 4  # type of FLAC's block of comments
_LAST_BLOCK = 0x80  # flag of the last block of FLAC's metadata
_NO_OFFSET = 0xFFFFFFFF  # a chapter has its time only, and no place in the file
_TOP_AND_ORDERED = 3  # flags of a table of contents
_UTF8 = b"\3"  # encoding of an ID3 text


def add_chapters(path: Path, chapters: _Chapters, duration: float) -> None:
    """Adds chapters to a finished Ogg, FLAC or MP3 file that has none.

    Args:
        path: Path of the file.
        chapters: Begin in seconds and text of each, in order of time. Those outside the
            sound are left out; so are those after the first 999, in MP3 after 255.
        duration: Of the sound, in seconds.

    Raises:
        OSError: If the file cannot be written.
    """
    within = [
        (begin, as_utf8(text.replace("\0", " ")))
        for begin, text in chapters
        if 0 <= begin < duration
    ]
    if not within:
        return
    other = path.with_name(f"{path.name}.chapters")
    try:
        with path.open("rb") as source, other.open("wb") as target:
            kind = source.read(4)
            source.seek(0)
            if kind == b"OggS":
                _copy_ogg(source, target, within[:_MAX_COMMENTS])
            elif kind == b"fLaC":
                _copy_flac(source, target, within[:_MAX_COMMENTS])
            else:
                target.write(_id3_tag(within[:_MAX_FRAMES], duration))
            shutil.copyfileobj(source, target)
        other.replace(path)
    finally:
        other.unlink(missing_ok=True)


def _copy_ogg(source: BinaryIO, target: BinaryIO, chapters: _Chapters) -> None:
    """Copies an Ogg stream with other comments, and so with other numbers of pages."""
    pages = read_pages(source)
    first = next(pages)
    # The headers end with a page: one packet after the first in Opus, two in Vorbis.
    count, old = 1 if first.body.startswith(b"OpusHead") else 2, [next(pages)]
    while sum(page.ended_packets for page in old) < count:
        old.append(next(pages))
    comments, *rest = read_packets(old)
    new = pack_pages([_packet_with(comments, chapters), *rest], old[0])
    shift = len(new) - len(old)
    later = (replace(page, sequence=page.sequence + shift) for page in pages)
    target.writelines(page.to_bytes() for page in chain([first], new, later))


def _packet_with(packet: bytes, chapters: _Chapters) -> bytes:
    """Returns a packet of comments with chapters, of Vorbis or Opus."""
    for magic, end in ((b"OpusTags", b""), (b"\x03vorbis", b"\1")):
        if packet.startswith(magic):
            return magic + _comments_with(packet[len(magic) :], chapters) + end
    raise AssertionError


def _copy_flac(source: BinaryIO, target: BinaryIO, chapters: _Chapters) -> None:
    """Copies the metadata of a FLAC file with other comments."""
    target.write(source.read(4))
    is_last = False
    while not is_last:
        head = source.read(4)
        is_last = bool(head[0] & _LAST_BLOCK)
        block = source.read(int.from_bytes(head[1:], "big"))
        if head[0] & ~_LAST_BLOCK == _COMMENTS:
            block = _comments_with(block, chapters)
        target.write(head[:1] + len(block).to_bytes(3, "big") + block)


def _comments_with(comments: bytes, chapters: _Chapters) -> bytes:
    """Returns Vorbis comments with chapters after their own, and without padding."""
    (vendor_size,) = struct.unpack_from("<I", comments)
    begin = end = 8 + vendor_size
    (count,) = struct.unpack_from("<I", comments, begin - 4)
    for _ in range(count):
        end += 4 + struct.unpack_from("<I", comments, end)[0]
    added = [
        comment.encode()
        for number, (time, text) in enumerate(chapters, 1)
        for comment in (
            f"CHAPTER{number:03}={timestamp(time)}",
            f"CHAPTER{number:03}NAME={text}",
        )
    ]
    return b"".join(
        [
            comments[: begin - 4],
            struct.pack("<I", count + len(added)),
            comments[begin:end],
            *(struct.pack("<I", len(comment)) + comment for comment in added),
        ]
    )


def _id3_tag(chapters: _Chapters, duration: float) -> bytes:
    """Returns an ID3 tag with a chapter frame each, and a table of contents."""
    names = [b"chapter%d\0" % number for number in range(1, len(chapters) + 1)]
    contents = b"contents\0" + bytes([_TOP_AND_ORDERED, len(names)]) + b"".join(names)
    frames = _frame(b"CTOC", contents)
    ends = [begin for begin, _ in chapters[1:]] + [duration]
    for name, (begin, text), end in zip(names, chapters, ends):
        times = [round(1000 * begin), round(1000 * end), _NO_OFFSET, _NO_OFFSET]
        title = _UTF8 + text.encode() + b"\0"
        frames += _frame(
            b"CHAP", name + struct.pack(">4I", *times) + _frame(b"TIT2", title)
        )
    return b"ID3\4\0\0" + _syncsafe(len(frames)) + frames


def _frame(name: bytes, content: bytes) -> bytes:
    return name + _syncsafe(len(content)) + bytes(2) + content


def _syncsafe(number: int) -> bytes:
    """Returns a number as four bytes of seven bits, as ID3 has its sizes."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
