"""The sound file writer: writes samples in all formats of `FORMATS`, through soundfile.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gradsound.errors import warn
from gradsound.output.deterministic import remove_nondeterminism
from gradsound.output.formats import check_path, format_of, load_soundfile, part_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.synth.mixer import Samples

_Number = TypeVar("_Number", np.int16, np.int32, np.float32)

# Bytes of samples: the lengths in a WAV file have 32 bits, and 16 MiB are for markers.
MAX_WAV_BYTES = 2**32 - 2**24
_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_LOSSY_FRAMES = 1 << 16  # a call; libsndfile's Vorbis needs much stack for more
_UNLIMITED = 2**63  # frames


def write_sound(
    path: Path,
    blocks: Iterable[Samples],
    sample_rate: int,
    subtype: str | None = None,
    finish: Callable[[Path, int], None] | None = None,
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
        finish: Called with the complete file and its frames before it appears.
        max_wav_bytes: Largest size of the samples of a WAV file.

    Raises:
        ValueError: As `check_path`.
        OSError: As `check_path`, or if the disk is full.
        ImportError: If soundfile cannot be loaded; the message has the remedy.
    """
    with SoundWriter(path, sample_rate, subtype, max_wav_bytes) as file:
        for block in blocks:
            if not file.write(block):
                warn_full(path, file.frames / sample_rate)
                break
        file.close(finish)
        file.publish()


def warn_full(path: Path, seconds: float) -> None:
    """Warns that a WAV file ends after so many seconds, because no more fit."""
    warn(
        f"{path}: a WAV file holds 4 GiB, so only the first {seconds / 3600:.1f} hours are "
        "in it: choose .flac, a higher speed or fewer layers"
    )


class SoundWriter:
    """A sound file that is written block by block, and gets its name when complete.

    At the end of its context, a file without a name is removed.

    Args:
        path: As for `write_sound`, like the other arguments.
        sample_rate: Frames a second, in Hz.
        subtype: Format of the samples.
        max_wav_bytes: Largest size of the samples of a WAV file.

    Attributes:
        frames: How many are written.

    Raises:
        ValueError, OSError, ImportError: As `write_sound`, like the methods.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        subtype: str | None = None,
        max_wav_bytes: int = MAX_WAV_BYTES,
    ) -> None:
        self._subtype = check_path(path, subtype, sample_rate)
        self._soundfile = load_soundfile()
        self._path, self._part = path, part_path(path)
        self._sample_rate, self._max_wav_bytes = sample_rate, max_wav_bytes
        # A name need not be UTF-8.
        self._target = os.fsencode(self._part) if os.name == "posix" else self._part
        self._file: Any = None
        self._max_frames, self.frames = _UNLIMITED, 0

    def __enter__(self) -> SoundWriter:
        """Returns the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes what is not published."""
        if self._file is not None:
            with suppress(self._soundfile.SoundFileError):
                self._file.close()
        with suppress(OSError):
            self._part.unlink()

    def write(self, block: Samples) -> bool:
        """Appends a block, shape (N, C); returns whether all of it fits into the format."""
        if self._file is None:
            self._open(block.shape[1])
        fitting = block[: self._max_frames - self.frames]
        is_lossy = self._subtype not in _SAMPLE_BYTES
        call = _LOSSY_FRAMES if is_lossy else max(1, len(fitting))
        with self._naming_errors():
            for k in range(0, len(fitting), call):
                self._file.write(_encode(fitting[k : k + call], self._subtype))
        self.frames += len(fitting)
        return len(fitting) == len(block)

    def _open(self, channels: int) -> None:
        name = format_of(self._path).name
        try:
            self._file = self._soundfile.SoundFile(
                self._target, "w", self._sample_rate, channels, self._subtype, format=name
            )
        except self._soundfile.SoundFileError as error:
            check_path(self._path, self._subtype)  # raises if the folder is gone by now
            self._check_space()
            raise ValueError(
                f"{self._path}: {name} cannot be written at {self._sample_rate} Hz here"
            ) from error
        if name == "WAV":
            frame_bytes = channels * _SAMPLE_BYTES[self._subtype]
            self._max_frames = self._max_wav_bytes // frame_bytes

    def _check_space(self) -> None:
        """Raises an OSError if the disk is full, which libsndfile does not tell."""
        try:
            self._part.write_bytes(b"\0")
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self._path)) from error

    def close(self, finish: Callable[[Path, int], None] | None = None) -> None:
        """Completes the file, which keeps its temporary name."""
        if self._file is None:
            raise ValueError(f"{self._path}: there is nothing to write")
        with self._naming_errors():
            self._file.close()
            # Closing may fail without an error.
            if self._soundfile.info(self._target).frames != self.frames:
                raise self._soundfile.SoundFileError
            remove_nondeterminism(self._part)
            if finish is not None:
                finish(self._part, self.frames)

    def publish(self) -> None:
        """Gives the complete file its name."""
        with self._naming_errors():
            self._part.replace(self._path)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Turns errors of libsndfile, which have no reason in them, into an OSError."""
        try:
            yield
        except self._soundfile.SoundFileError as error:
            message = "Writing the sound failed (is the disk full?)"
            raise OSError(errno.EIO, message, str(self._path)) from error
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self._path)) from error


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
