"""Writing samples to a sound file, through soundfile.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import warn
from gradsound.output.deterministic import remove_chance
from gradsound.output.formats import FORMATS, check_path, part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.synth.mixer import Samples

_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}  # a sample
_WAV_MAX = 2**32 - 2**24  # bytes; the lengths in a WAV file have 32 bits, some are markers
_VORBIS = 1 << 16  # frames at once; libsndfile's Vorbis takes much stack for more


def write_sound(
    path: Path,
    blocks: Iterable[Samples],
    sample_rate: int,
    subtype: str | None = None,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Writes a sound file; the same blocks give the same bytes.

    The file appears whole: until the end it is written beside itself, as ``*.part``. A WAV
    file holds 4 GiB; what would pass that is left out with a warning.

    Args:
        path: Where to write; the ending tells the format. An existing file is replaced.
        blocks: Samples in order, each of shape (N, C).
        sample_rate: Frames a second, in Hz.
        subtype: The samples' format, by libsndfile's name; the format's first if None.
        finish: Called with the file once the sound is in it, before it appears.

    Raises:
        ValueError: As `check_path`.
        OSError: As `check_path`, and if the disk is full.
        ImportError: If soundfile cannot be loaded; the message says what to do.
    """
    subtype = check_path(path, subtype)
    part = part_of(path)
    try:
        _write(part, path, blocks, sample_rate, subtype)
        if finish is not None:
            finish(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _write(
    part: Path, path: Path, blocks: Iterable[Samples], sample_rate: int, subtype: str
) -> None:
    try:
        import soundfile  # for whoever writes sound only
    except OSError as error:  # its wheel for this machine brings no libsndfile
        raise ImportError(f"install libsndfile, by apt or brew: {error}") from error
    name = FORMATS[path.suffix.lower()][0]
    most, frames, file = 2**63, 0, None
    written = os.fsencode(part) if os.name == "posix" else part  # it need not be UTF-8
    try:
        for block in blocks:
            if file is None:
                channels = block.shape[1]
                try:
                    file = soundfile.SoundFile(
                        written, "w", sample_rate, channels, subtype, format=name
                    )
                except soundfile.SoundFileError as error:
                    check_path(path, subtype)  # nothing may be made there any more
                    message = f"{path}: {name} cannot be written at {sample_rate} Hz here"
                    raise ValueError(message) from error
                if name == "WAV":
                    most = _WAV_MAX // (channels * _BYTES[subtype])
            wanted = block[: most - frames]
            at_once = _VORBIS if subtype == "VORBIS" else max(1, len(wanted))
            for k in range(0, len(wanted), at_once):
                file.write(_quantised(wanted[k : k + at_once], subtype))
            frames += len(block)
            if frames > most:
                hours = most / sample_rate / 3600
                warn(
                    f"{path}: a WAV file holds 4 GiB, so only the first {hours:.1f} hours "
                    "are in it: choose .flac, a higher speed or fewer layers"
                )
                frames = most
                break
        if file is None:
            raise ValueError(f"{path}: there is nothing to write")
        file.close()
        if soundfile.info(written).frames != frames:  # closing may fail in silence
            raise soundfile.SoundFileError
    except soundfile.SoundFileError as error:  # it has no reason to tell
        message = "Writing the sound failed (is the disk full?)"
        raise OSError(errno.EIO, message, str(path)) from error
    finally:
        if file is not None:
            with suppress(soundfile.SoundFileError):
                file.close()
    remove_chance(part)


def _quantised(samples: Samples, subtype: str) -> NDArray[np.generic]:
    """Samples as libsndfile takes them as they are; floats it would round down."""
    if subtype not in ("PCM_16", "PCM_24"):
        return samples
    bits = 8 * _BYTES[subtype]
    most = 2 ** (bits - 1)
    whole = samples * np.float32(most)  # exact: a power of two
    np.rint(whole, out=whole)
    np.clip(whole, -most, most - 1, out=whole)
    if bits == 16:
        return np.asarray(whole, np.int16)
    return np.asarray(whole, np.int32) << 8  # it takes 24 bits as the upper of 32
