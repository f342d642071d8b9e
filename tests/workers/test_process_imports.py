"""What the processes of a training import: none loads what only another needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from gradsound import PRESETS
from gradsound.workers.renderer import start_renderer
from gradsound.workers.sinks import DeviceSink, PageSink

# What a process does not need, and takes a millisecond to import, or a hundred.
FORBIDDEN = {
    "renderer": {
        *("asyncio", "email", "logging", "matplotlib", "pyaudio", "torch", "websockets"),
        *("gradsound.live", "gradsound.logs", "gradsound.measure", "gradsound.web"),
        "gradsound.rendering.page_file",
    },
    "player": {
        *("asyncio", "email", "logging", "matplotlib", "pyaudio", "soundfile", "torch"),
        *("websockets", "gradsound.logs", "gradsound.measure", "gradsound.rendering"),
        "gradsound.web",
    },
    "page": {
        *("llvmlite.binding", "matplotlib", "pyaudio", "soundfile", "torch"),
        *(
            "gradsound.logs",
            "gradsound.measure",
            "gradsound.output.sound_file",
            "gradsound.rendering",
        ),
    },
    # torch has imported asyncio, logging and tempfile before.
    "training": {
        *("llvmlite", "matplotlib", "pyaudio", "soundfile", "websockets"),
        *("gradsound.live", "gradsound.logs", "gradsound.output.sound_file"),
        *("gradsound.music.composer", "gradsound.rendering", "gradsound.synth.mixer"),
        *("gradsound.web.server", "gradsound.workers.render_file"),
    },
}
# A device that cannot be used: the process of the device says so, and no sound is needed.
BROKEN_DEVICE = "raise ImportError('no library')\n"
TRAINING = """
import json, sys
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
before = {*sys.modules}
import gradsound
gradsound.attach(model, optimizer, log="training.jsonl", wav=None)
print(json.dumps([*{*sys.modules} - before]))
"""


@pytest.fixture
def run_file(save) -> Path:
    """A run of a few steps, one of which has an alarm."""
    return save([[1.0, 2.0]] * 3 + [[float("nan"), 2.0]])


def imports_of(report: str) -> set[str]:
    """Returns the modules in what Python prints of imports."""
    return {*re.findall(r"^import time: .*\| +(\S+)$", report, re.MULTILINE)}


def check(process: str, modules: set[str], needed: str) -> None:
    """Checks that a process has imported what it is for, and nothing of another."""
    assert needed in modules
    assert sorted(FORBIDDEN[process] & modules) == []


def test_the_process_that_renders(run_file: Path, monkeypatch) -> None:
    """It needs no page, device and log of another tool."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with run_file.open("rb") as file:
        process = start_renderer(
            run_file,
            file.fileno(),
            run_file.with_suffix(".wav"),
            PRESETS["notes"],
            discard_run=False,
            resumed=False,
        )
    modules = imports_of(process.close())

    assert run_file.with_suffix(".wav").exists()
    check("renderer", modules, "gradsound.output.sound_file")


def test_the_process_that_plays(run_file: Path, tmp_path: Path, monkeypatch) -> None:
    """It needs no file of sound and no page; another process has PyAudio."""
    (tmp_path / "pyaudio.py").write_text(BROKEN_DEVICE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with run_file.open("rb") as file:
        player = DeviceSink().start(run_file, file.fileno(), PRESETS["notes"])
    report = player.close()

    assert "PyAudio cannot be loaded: no library" in report
    check("player", imports_of(report), "gradsound.live.device_playback")


def test_the_process_that_serves(run_file: Path, tmp_path: Path, monkeypatch) -> None:
    """It makes no samples: pages do. The second one has the code of the voices."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        with run_file.open("rb") as file:
            player = PageSink(port=0).start(run_file, file.fileno(), PRESETS["notes"])
        with urlopen(f"{player.url}voices.js"):  # noqa: S310 (ours)
            report = player.close()
    check("page", imports_of(report), "gradsound.web.server")


def test_a_training(tmp_path: Path) -> None:
    """``attach`` makes no sound: other processes do."""
    process = subprocess.run(
        [sys.executable, "-c", TRAINING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    check("training", {*json.loads(process.stdout)}, "gradsound.measure.hooks.monitor")
