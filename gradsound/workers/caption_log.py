"""The log of a worker: the trainer logs its captions and passes its warnings on.

A worker writes each caption and warning as one line to stderr, which is a pipe to the
trainer. Any other line is an error.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.errors import WARNING_PREFIX, warn

if TYPE_CHECKING:
    from gradsound.music.captions import Caption

# By these prefixes the trainer distinguishes captions from errors.
_ALARM_PREFIX, _CAPTION_PREFIX = "gradsound! ", "gradsound. "


def log_caption(caption: Caption) -> None:
    """Sends a caption to the trainer, which logs it."""
    report(f"{_ALARM_PREFIX if caption.warns else _CAPTION_PREFIX}{caption}")


def report(line: str) -> None:
    """Sends a line to the trainer's end, if the trainer still lives."""
    with suppress(BrokenPipeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def pass_on(stderr_text: str) -> str:
    """Logs the captions in a worker's stderr, warns its warnings, returns its errors."""
    import logging  # a worker needs none, and starts faster without

    log = logging.getLogger("gradsound")
    errors = []
    for line in stderr_text.splitlines():
        if line.startswith(WARNING_PREFIX):
            warn(line.removeprefix(WARNING_PREFIX))
        elif line.startswith(_ALARM_PREFIX):
            log.warning(line.removeprefix(_ALARM_PREFIX))
        elif line.startswith(_CAPTION_PREFIX):
            log.info(line.removeprefix(_CAPTION_PREFIX))
        else:
            errors.append(line)
    return "\n".join(errors).strip()
