r"""The writer of Audacity's label files, because Audacity shows no markers of WAV files.

A line is a label: start and end in seconds, and a text, with tabs between them. Equal times
make a point label (Audacity Manual, Importing and Exporting Labels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.output.text_file import one_line, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradsound.music.captions import Caption

LABELS_ENDING = ".labels.txt"


def write_labels(path: Path, captions: Iterable[Caption]) -> None:
    """Writes a label for each caption that a WAV file marks.

    All are point labels: a caption says when something began, and not how long it lasts.

    Args:
        path: Path of the file. An existing one is replaced.
        captions: In order of time.

    Raises:
        OSError: If the file cannot be written.
    """
    write_text(path, "".join(_line(caption) for caption in captions if caption.marks))


def _line(caption: Caption) -> str:
    return f"{caption.time:.6f}\t{caption.time:.6f}\t{one_line(caption.text)}\n"
