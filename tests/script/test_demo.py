"""`gradsound demo`: a first sound without a checkout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from helpers.processes import started
from helpers.scripts import execute

DEMO = ["-m", "gradsound", "demo"]


def test_the_demo_learns_and_writes_its_sound(tmp_path: Path) -> None:
    """The loss falls far, and the sound of 60 steps is in the file, the same each time."""
    sounds = []
    for name in ("a.wav", "b.wav"):
        process = execute([*DEMO, "-o", name], tmp_path)
        assert (process.returncode, process.stderr) == (0, "")
        sounds.append(soundfile.read(tmp_path / name)[0])
    first, last = map(float, re.findall(r"\d\.\d\d", process.stdout))

    assert first > 2.2
    assert last < 1.0
    assert "Hear it in b.wav." in process.stdout
    assert 20 < soundfile.info(tmp_path / "a.wav").duration < 40
    np.testing.assert_array_equal(sounds[0], sounds[1])
    assert {path.suffix for path in tmp_path.iterdir()} == {".wav", ".vtt"}


def test_the_demo_plays_in_a_browser(tmp_path: Path) -> None:
    """With ``--web`` it prints the address of a page that has the run."""
    command = [sys.executable, *DEMO, "--web", "--port", "0"]
    with started(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = iter(process.stdout.readline, "")
        address = next(line for line in lines if line.startswith("hear it at ")).split()[-1]
        with urlopen(address) as page:  # noqa: S310 (our own page)
            text = page.read().decode()
        process.terminate()
        process.communicate(timeout=30)

    assert "<html" in text
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a.aac"], "a sound file ends in .wav, .flac, .ogg, .mp3, .opus"),
        (["-o", "a.wav", "--web"], "--web and --output are two destinations: give one"),
        (["--port", "8000"], "--port is for a page: add --web"),
        (["--web", "--port", "70000"], "port must be 0 to 65535, got 70000"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    """A mistake is told before the training, in one line."""
    process = execute([*DEMO, *words], tmp_path)

    assert (process.returncode, process.stdout) == (2, "")
    assert message in process.stderr
    assert process.stderr.count("\n") == 1


def test_without_torch_the_remedy_is_one_line(tmp_path: Path) -> None:
    """Without torch, the line has the command that installs it."""
    code = "import sys; sys.modules['torch'] = None; from gradsound.cli.main import main; "
    process = execute(["-c", code + "main(['demo', '-o', 'a.wav'])"], tmp_path)

    assert process.returncode == 2
    assert process.stderr == "gradsound: torch is not installed: pip install torch\n"
