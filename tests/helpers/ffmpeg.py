"""Sound files as FFmpeg reads them, on which most players are built."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest


def decode(path: Path) -> np.ndarray:
    """Returns the samples of a file, those of a frame side by side; fails at any error."""
    command = ["-xerror", "-err_detect", "crccheck+explode", "-i", path, "-f", "f32le", "-"]
    return np.frombuffer(_run("ffmpeg", *command), np.float32)


def read_chapters(path: Path) -> list[tuple[float, float, str]]:
    """Returns begin, end and title of each chapter, or of each marker of a WAV file."""
    data = json.loads(_run("ffprobe", "-show_chapters", "-of", "json", path))
    return [
        (float(one["start_time"]), float(one["end_time"]), one["tags"]["title"])
        for one in data["chapters"]
    ]


def _run(program: str, *options: str | Path) -> bytes:
    if shutil.which(program) is None:
        pytest.skip("ffmpeg is not installed")
    process = subprocess.run(
        [program, "-v", "warning", *options], capture_output=True, check=False
    )
    assert (process.returncode, process.stderr.decode()) == (0, "")
    return process.stdout
