"""Removal of the random bytes and the clock time that libsndfile writes to sound files.

libsndfile writes the time of writing to the PEAK chunk of a float WAV file. It gives an Ogg
stream a random serial number, which is part of the checksum of each page.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gradsound.output.ogg import read_pages

if TYPE_CHECKING:
    from pathlib import Path

_SERIAL = 0x67726164  # "grad"; any constant will do
_HEADER_BYTES = 128  # the PEAK chunk is in the header, before the samples


def remove_nondeterminism(path: Path) -> None:
    """Overwrites the random bytes and the time of a WAV or Ogg file with constants.

    It leaves files of other formats as they are.
    """
    with path.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        peak = header.find(b"PEAK")
        if header.startswith(b"RIFF") and peak > 0:
            file.seek(peak + 12)  # the time follows id, size and version
            file.write(bytes(4))
        elif header.startswith(b"OggS"):
            file.seek(0)
            with path.open("rb") as source:
                for page in read_pages(source):
                    file.write(replace(page, serial=_SERIAL).to_bytes())
