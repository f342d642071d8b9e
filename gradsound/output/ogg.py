"""Pages and packets of an Ogg stream (RFC 3533)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEADER = struct.Struct("<4sBBqIIIB")  # before the lacing values
_MAX_LACING = 255  # of a lacing value, and how many of them a page has
_CONTINUED = 1  # flag of a page that begins with the rest of a packet
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """A page: packets, or parts of them.

    Attributes:
        flags: Whether it continues a packet, begins or ends the stream.
        granule: Position of the last packet that ends in it; -1 if none does.
        serial: Number of the stream.
        sequence: Number of the page in the stream.
        lacing: Sizes of the segments; one below 255 ends a packet.
        body: The segments.
    """

    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    body: bytes

    @property
    def ended_packets(self) -> int:
        """How many packets end in the page."""
        return sum(size < _MAX_LACING for size in self.lacing)

    def to_bytes(self) -> bytes:
        """Returns the page with its checksum."""
        head = _HEADER.pack(
            b"OggS",
            0,
            self.flags,
            self.granule,
            self.serial,
            self.sequence,
            0,
            len(self.lacing),
        )
        page = head + self.lacing + self.body
        return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def read_pages(file: BinaryIO) -> Iterator[Page]:
    """Yields the pages of a file from its position on."""
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        _, _, flags, granule, serial, sequence, _, segments = _HEADER.unpack(header)
        lacing = file.read(segments)
        yield Page(flags, granule, serial, sequence, lacing, file.read(sum(lacing)))


def read_packets(pages: Iterable[Page]) -> Iterator[bytes]:
    """Yields the packets that end in successive pages."""
    packet = b""
    for page in pages:
        begin = 0
        for size in page.lacing:
            packet += page.body[begin : begin + size]
            begin += size
            if size < _MAX_LACING:
                yield packet
                packet = b""


def pack_pages(packets: Sequence[bytes], first: Page) -> list[Page]:
    """Returns pages with packets of headers, whose position is 0.

    Args:
        packets: The packets.
        first: A page with the serial number, and the sequence number of the first page.
    """
    lacing = b"".join(_lace(packet) for packet in packets)
    body, continued = b"".join(packets), False
    pages: list[Page] = []
    for k in range(0, len(lacing), _MAX_LACING):
        own = lacing[k : k + _MAX_LACING]
        page = Page(
            flags=_CONTINUED if continued else 0,
            granule=-1 if min(own) == _MAX_LACING else 0,
            serial=first.serial,
            sequence=first.sequence + len(pages),
            lacing=own,
            body=body[: sum(own)],
        )
        pages.append(page)
        body, continued = body[sum(own) :], own[-1] == _MAX_LACING
    return pages


def _lace(packet: bytes) -> bytes:
    full, rest = divmod(len(packet), _MAX_LACING)
    return bytes([_MAX_LACING] * full + [rest])


def _checksum(page: bytes) -> int:
    """Returns Ogg's checksum, by zlib's: same polynomial, all bits reversed, start at 0."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
