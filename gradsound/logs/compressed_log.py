"""Reads logs that a user compressed by gzip or Zstandard."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.log_run import read_log
from gradsound.runs.compressed_file import open_file, without_compression
from gradsound.runs.file_names import HEADER_BYTES, names_format

if TYPE_CHECKING:
    from gradsound.runs.log_choice import LogChoice
    from gradsound.runs.model import Run


def read_compressed_log(path: Path, choice: LogChoice, name: str) -> Run | None:
    """Reads the log in a compressed file, from a decompressed copy in a temporary folder.

    Args:
        path: The compressed file.
        choice: What to read of the log.
        name: The name of the run in messages.

    Returns:
        The run; None if the file has a run, or nothing.

    Raises:
        OSError: If the file cannot be read, or the copy cannot be written.
        RunFormatError: If the data are damaged or no log, or as for `read_log`.
        MissingExtraError: If nothing is installed that reads Zstandard.
    """
    with open_file(path) as file:
        first = file.readline(HEADER_BYTES)
        if not first or names_format(first):
            return None
        with tempfile.TemporaryDirectory(prefix="gradsound.") as folder:
            # Some formats are known by the name of the file.
            copy = Path(folder, without_compression(path).name)
            with copy.open("wb") as target:
                target.write(first)
                shutil.copyfileobj(file, target)
            try:
                return read_log(copy, choice, name)
            except RunFormatError as error:
                raise RunFormatError(str(error).replace(str(copy), name)) from error
