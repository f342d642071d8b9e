"""The sound file writer: writes samples as WAV, FLAC or Ogg Vorbis, through soundfile.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gradsound.errors import warn
from gradsound.output.deterministic import remove_nondeterminism
from gradsound.output.formats import FORMATS, check_path, part_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.synth.mixer import Samples

_Number = TypeVar("_Number", np.int16, np.int32, np.float32)

# Bytes of samples: the lengths in a WAV file have 32 bits, and 16 MiB are for markers.
MAX_WAV_BYTES = 2**32 - 2**24
_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_VORBIS_FRAMES = 1 << 16  # a call; libsndfile's Vorbis needs much stack for more
_UNLIMITED = 2**63  # frames


def write_sound(
    path: Path,
    blocks: Iterable[Samples],
    sample_rate: int,
    subtype: str | None = None,
    finish: Callable[[Path], None] | None = None,
    *,
    max_wav_bytes: int = MAX_WAV_BYTES,
) -> None:
    """Writes a sound file. The same blocks make the same bytes.

    The file appears when it is complete: until then it is a ``*.part`` in the same folder.
    A WAV file holds 4 GiB; a warning says if samples beyond that are left out.

    Args:
        path: Path of the file; its suffix decides the format. An existing file is replaced.
        blocks: Samples in order, each of shape (N, C).
        sample_rate: Frames a second, in Hz.
        subtype: Format of the samples, by libsndfile's name; the default if None.
        finish: Called with the complete file before it appears.
        max_wav_bytes: Largest size of the samples of a WAV file.

    Raises:
        ValueError: As `check_path`.
        OSError: As `check_path`, or if the disk is full.
        ImportError: If soundfile cannot be loaded; the message has the remedy.
    """
    subtype = check_path(path, subtype)
    part = part_path(path)
    try:
        _write(part, path, blocks, sample_rate, subtype, max_wav_bytes)
        remove_nondeterminism(part)
        if finish is not None:
            finish(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _write(
    part: Path,
    path: Path,
    blocks: Iterable[Samples],
    sample_rate: int,
    subtype: str,
    max_wav_bytes: int,
) -> None:
    try:
        import soundfile  # here, because only writers of sound need it
    except OSError as error:  # the wheel of this platform has no libsndfile
        raise ImportError(f"install libsndfile, by apt or brew: {error}") from error
    name = FORMATS[path.suffix.lower()][0]
    max_frames, frames, file = _UNLIMITED, 0, None
    target = os.fsencode(part) if os.name == "posix" else part  # it need not be UTF-8
    try:
        for block in blocks:
            if file is None:
                channels = block.shape[1]
                try:
                    file = soundfile.SoundFile(
                        target, "w", sample_rate, channels, subtype, format=name
                    )
                except soundfile.SoundFileError as error:
                    check_path(path, subtype)  # raises if the folder is gone by now
                    _check_space(part, path)
                    message = f"{path}: {name} cannot be written at {sample_rate} Hz here"
                    raise ValueError(message) from error
                if name == "WAV":
                    max_frames = max_wav_bytes // (channels * _SAMPLE_BYTES[subtype])
            fitting = block[: max_frames - frames]
            call = _VORBIS_FRAMES if subtype == "VORBIS" else max(1, len(fitting))
            for k in range(0, len(fitting), call):
                file.write(_encode(fitting[k : k + call], subtype))
            frames += len(block)
            if frames > max_frames:
                hours = max_frames / sample_rate / 3600
                warn(
                    f"{path}: a WAV file holds 4 GiB, so only the first {hours:.1f} hours "
                    "are in it: choose .flac, a higher speed or fewer layers"
                )
                frames = max_frames
                break
        if file is None:
            raise ValueError(f"{path}: there is nothing to write")
        file.close()
        if soundfile.info(target).frames != frames:  # closing may fail without an error
            raise soundfile.SoundFileError
    except soundfile.SoundFileError as error:  # it has no reason in it
        message = "Writing the sound failed (is the disk full?)"
        raise OSError(errno.EIO, message, str(path)) from error
    finally:
        if file is not None:
            with suppress(soundfile.SoundFileError):
                file.close()


def _check_space(part: Path, path: Path) -> None:
    """Raises an OSError if the disk is full, which libsndfile does not tell."""
    try:
        part.write_bytes(b"\0")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _encode(samples: Samples, subtype: str) -> NDArray[np.generic]:
    """Returns samples as libsndfile writes them unchanged, frame by frame.

    They are integers, because it would round floats down. Subtypes without integers take
    the floats.
    """
    if subtype == "PCM_16":
        return _interleave(samples, np.int16, 16)
    if subtype == "PCM_24":
        return _interleave(samples, np.int32, 24) << 8  # the upper 24 of 32 bits
    return _interleave(samples, np.float32)


def _interleave(
    samples: Samples, kind: type[_Number], bits: int | None = None
) -> NDArray[_Number]:
    """Returns samples as another type, with those of a frame side by side in memory.

    numpy's own conversion of a transposed array takes four times as long. The processor's
    cache holds one channel at a time.

    Args:
        samples: Shape (N, C).
        kind: The type.
        bits: Of the integers that the samples become; None to leave them as they are.
    """
    interleaved = np.empty(samples.shape, kind)
    for channel in range(samples.shape[1]):
        numbers = samples[:, channel]
        if bits is not None:
            full_scale = 2 ** (bits - 1)
            numbers = numbers * np.float32(full_scale)  # exact, as it is a power of two
            np.rint(numbers, out=numbers)
            np.clip(numbers, -full_scale, full_scale - 1, out=numbers)
        interleaved[:, channel] = numbers
    return interleaved
