"""Stems: a sound file of each band and one of the alarms, which add up to the whole sound.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import errno
import re
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import warn
from gradsound.music.captions import format_time
from gradsound.output.formats import ENDINGS, FORMATS
from gradsound.output.sound_file import SoundWriter, warn_full
from gradsound.output.webvtt import VTT_SUFFIX, write_captions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.rendering.sound import Sound
    from gradsound.synth.mixer import Samples

_NAME_MAX = 40  # characters of a stem's name; with 4 bytes each they fit any file system
_ROUNDING = 1e-5  # of full scale, by which sums of floats may differ; a third of 16 bits
_NUMBERED = re.compile(r"\d+-")
_UNSAFE = re.compile(r"[^\w.+-]+")


def check_stems(path: Path, folder: Path) -> None:
    """Checks that stems can be written, before anything is rendered.

    Args:
        path: The file of the whole sound.
        folder: The folder of the stems.

    Raises:
        ValueError: If the whole is no sound file, or one of its files has the folder's
            name.
        OSError: If the folder is none, or cannot be made.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path}: has no stems, as it is no sound file: end it in {ENDINGS}"
        )
    if _place(folder) in {_place(path), _place(path.with_suffix(VTT_SUFFIX))}:
        raise ValueError(
            f"{folder}: is the name of the sound or of its captions; give the folder of "
            "the stems another one"
        )
    if not folder.exists():
        folder.mkdir()
        folder.rmdir()
    elif not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(folder))


def write_stems(sound: Sound, path: Path, folder: Path, subtype: str | None = None) -> None:
    """Writes a sound, its captions, and its stems in the same format.

    The files get their names when all of them are complete. A warning says where the
    limiter made the sound softer, because there the stems do not add up to the whole.
    Another one says if the folder has stems of another sound, too.

    Args:
        sound: The sound.
        path: The file of the whole.
        folder: The folder of the stems, which is made if it does not exist.
        subtype: As for `gradsound.render`.

    Raises:
        ValueError, RunFormatError, OSError, ImportError: As `gradsound.render`.
    """
    paths = [path, *_stem_paths(folder, sound.stems, path.suffix.lower())]
    if _place(path) in {_place(one) for one in paths[1:]}:
        raise ValueError(f"{path}: is the name of a stem; give the whole sound another one")
    difference = _Difference()
    with _folder(folder), ExitStack() as stack:
        files = [
            stack.enter_context(SoundWriter(one, sound.sample_rate, subtype))
            for one in paths
        ]
        for blocks in sound.blocks_with_stems():
            difference.add(blocks[0], blocks[1:])
            fits = [file.write(block) for file, block in zip(files, blocks)]
            if not all(fits):
                warn_full(path, files[0].frames / sound.sample_rate)
                break
        for file in files:
            file.close(sound.finisher(path))
        for file in files:
            file.publish()
    write_captions(path, sound.captions)
    if others := _other_stems(folder, paths):
        warn(
            f"{folder}: has other stems than those of {path.name}, such as {others[0]}: "
            "remove them, or choose another folder"
        )
    if difference.count:
        time = format_time(difference.first / sound.sample_rate)
        warn(
            f"{path}: the stems do not add up to it in {difference.count:,} of "
            f"{difference.frames:,} frames, the first at {time}, because the limiter made "
            "these softer"
        )


def _stem_paths(folder: Path, names: Sequence[str], suffix: str) -> list[Path]:
    """Returns a path for each stem: a number, as names may be alike, and the name."""
    width = len(str(len(names)))
    return [
        folder / f"{number:0{width}}-{_UNSAFE.sub('_', name)[-_NAME_MAX:]}{suffix}"
        for number, name in enumerate(names, 1)
    ]


def _place(path: Path) -> Path:
    """Returns a path as no other path of the same file is, though it need not exist."""
    return path.parent.resolve() / path.name


def _other_stems(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Returns the names of files in a folder that look like stems and are not of ours."""
    ours = {path.name for path in paths}
    found = sorted(one.name for one in folder.glob("*") if one.suffix.lower() in FORMATS)
    return [name for name in found if _NUMBERED.match(name) and name not in ours]


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Makes a folder unless it exists; removes a new one if an error comes."""
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


class _Difference:
    """The frames in which the stems do not add up to the whole sound.

    Attributes:
        frames: How many there are so far.
        count: How many of them differ.
        first: The first of these.
    """

    def __init__(self) -> None:
        self.frames = self.count = self.first = 0

    def add(self, whole: Samples, stems: Sequence[Samples]) -> None:
        """Adds the next frames, shape (N, C) each."""
        differs = (np.abs(np.sum(stems, axis=0) - whole) > _ROUNDING).any(axis=1)
        if differs.any() and not self.count:
            self.first = self.frames + int(differs.argmax())
        self.count += int(differs.sum())
        self.frames += len(differs)
