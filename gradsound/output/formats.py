"""Formats of sound files: suffixes, subtypes, and the check that a path can be written."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradsound.synth.sample_rate import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Format:
    """A format of sound files.

    Attributes:
        name: By libsndfile.
        subtypes: Formats of its samples on offer, by libsndfile; the default first.
        sample_rates: Those that it has, in Hz; empty if it has any.
        sample_rate: The default one, in Hz.
        optional: Whether libsndfile may lack it.
    """

    name: str
    subtypes: tuple[str, ...]
    sample_rates: tuple[int, ...] = ()
    sample_rate: int = SAMPLE_RATE
    optional: bool = False


FORMATS: Mapping[str, Format] = {  # by suffix
    ".wav": Format("WAV", ("PCM_16", "PCM_24", "FLOAT")),
    ".flac": Format("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": Format("OGG", ("VORBIS",)),
    ".mp3": Format(
        "MP3",
        ("MPEG_LAYER_III",),
        (16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        optional=True,
    ),
    # Opus has no 44,100 Hz; a sound is synthesized at 48,000, and never resampled.
    ".opus": Format("OGG", ("OPUS",), (16_000, 24_000, 48_000), 48_000, optional=True),
}
ENDINGS = ", ".join(FORMATS)
# What else `gradsound.render` writes, by the ending of the file's name.
OTHER_ENDINGS: Mapping[str, str] = {
    ".vtt": "captions alone",
    ".labels.txt": "labels of Audacity",
    ".mid": "notes as MIDI",
    ".html": "a page that plays the run",
}

ALL_ENDINGS = "; ".join(
    [ENDINGS, *(f"{end} is for {what}" for end, what in OTHER_ENDINGS.items())]
)


def find_ending(path: Path, endings: Iterable[str]) -> str | None:
    """Returns the ending, in any case, that a file's name has after its stem; else None."""
    name = path.name.lower()
    return next((one for one in endings if name.endswith(one) and name != one), None)


def format_of(path: Path) -> Format:
    """Returns the format of a sound file.

    Raises:
        ValueError: If no format has the suffix of the path.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: a sound file ends in {ENDINGS}")
    return FORMATS[path.suffix.lower()]


def default_rate(path: Path) -> int:
    """Returns the default sample rate of a file, in Hz, which need not be a sound file."""
    form = FORMATS.get(path.suffix.lower())
    return SAMPLE_RATE if form is None else form.sample_rate


def check_path(
    path: Path, subtype: str | None = None, sample_rate: int | None = None
) -> str:
    """Checks that a sound file can be written, and returns its subtype.

    Args:
        path: Path of the sound file.
        subtype: Subtype by libsndfile's name; the default of the format if None.
        sample_rate: Frames a second, in Hz; the default of the format if None.

    Raises:
        ValueError: If no format has the suffix of the path, the format has no such subtype
            or sample rate, or libsndfile has no such format.
        OSError: If the path is a folder, or no file can be made there.
        ImportError: If soundfile cannot be loaded.
    """
    form = format_of(path)
    if subtype is not None and subtype not in form.subtypes:
        raise ValueError(
            f"{form.name} has subtype {', '.join(form.subtypes)}, got {subtype!r}"
        )
    subtype = subtype or form.subtypes[0]
    suffix, rates = path.suffix.lower(), form.sample_rates
    if sample_rate is not None and rates and sample_rate not in rates:
        *some, last = map(str, rates)
        raise ValueError(
            f"{path}: {suffix} files have {', '.join(some)} or {last} Hz, got {sample_rate}"
        )
    if form.optional and not _is_known(form.name, subtype):
        raise ValueError(
            f"{path}: libsndfile cannot write {suffix} files here: end the name in .ogg, "
            "or pip install -U soundfile"
        )
    check_folder(path)
    return subtype


def _is_known(name: str, subtype: str) -> bool:
    soundfile = load_soundfile()
    is_known = name in soundfile.available_formats()
    return is_known and subtype in soundfile.available_subtypes(name)


def load_soundfile() -> Any:
    """Returns the package soundfile, which only writers of sound need.

    Raises:
        ImportError: If it cannot be loaded; the message has the remedy.
    """
    try:
        import soundfile
    except OSError as error:  # the wheel of this platform has no libsndfile
        raise ImportError(f"install libsndfile, by apt or brew: {error}") from error
    return soundfile


def check_folder(path: Path) -> None:
    """Checks that a file can be made at a path, and leaves an existing one as it is.

    Raises:
        OSError: If the path is a folder, or no file can be made there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    part = part_path(path)
    try:
        part.touch()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:  # also after a signal, which may raise at any line
        with suppress(OSError):
            part.unlink()


def part_path(path: Path) -> Path:
    """Returns a path in the folder of ``path`` that no other writer uses."""
    return path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
