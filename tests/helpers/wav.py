"""Markers of WAV files, as libsndfile reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import soundfile


def read_markers(path: Path) -> list[tuple[int, str]]:
    """Returns frames and labels of the markers, by libsndfile's SFC_GET_CUE (sndfile.h)."""
    count_command, command, name_size = 0x10CD, 0x10CE, 256
    with soundfile.SoundFile(path) as file:
        count = soundfile._ffi.new("uint32_t*")
        soundfile._snd.sf_command(file._file, count_command, count, 4)
        size = 4 + count[0] * (6 * 4 + name_size)
        data = soundfile._ffi.new("char[]", size)
        soundfile._snd.sf_command(file._file, command, data, size)
        raw = bytes(soundfile._ffi.buffer(data, size))
    markers = []
    for k in range(count[0]):
        *_, frame, name = struct.unpack_from(
            f"<iIiiiI{name_size}s", raw, 4 + k * (24 + name_size)
        )
        markers.append((frame, name.partition(b"\0")[0].decode()))
    return markers
