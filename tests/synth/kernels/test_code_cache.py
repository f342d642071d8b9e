"""The cache of machine code: a voice is compiled once, and only our own code is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.events import PERIOD, random_events

from gradsound.synth.kernels import code_cache, llvm_kernel
from gradsound.synth.kernels.code_cache import read_code, write_code
from gradsound.synth.voices.builtin import VOICES, trace_builtin
from gradsound.synth.voices.program import PADDING, Program

FRAMES = 2000
PROCESS = """
import hashlib
from gradsound.rendering.voice_demo import demo_score
from gradsound.synth.kernels import llvm_kernel
from gradsound.synth.mixer import render
from gradsound.synth.voices.builtin import find_voice

codes, compile_object = [], llvm_kernel.compile_object
llvm_kernel.compile_object = lambda *code: codes.append(code) or compile_object(*code)
samples = render(demo_score(find_voice("bell")), 44_100)
print(len(codes), hashlib.sha256(samples.tobytes()).hexdigest())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gradsound"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The code that LLVM compiles during a test."""
    codes: list[str] = []
    compile_object = llvm_kernel.compile_object

    def count(code: str, cpu: str | None) -> bytes:
        codes.append(code)
        return compile_object(code, cpu)

    monkeypatch.setattr(llvm_kernel, "compile_object", count)
    return codes


def render(program: Program) -> np.ndarray:
    """Returns samples of a kernel that is made as in a new process."""
    out = np.zeros((1, FRAMES + PADDING), np.float32)
    llvm_kernel.make_kernel(program, 1)(out, 0, PERIOD, random_events(50))
    return out


def own_voice(number: float) -> Program:
    """Returns a program that no other test compiles."""
    bell = trace_builtin(VOICES["bell"])
    last = len(bell.inputs) + len(bell.operations) - 1
    return Program("own", bell.inputs, (*bell.operations, ("mul", last, number)))


def test_a_second_process_compiles_nothing(folder: Path) -> None:
    """It loads the code of the first one, and makes the same samples."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]

    assert [int(count) for count, _ in outputs] == [1, 0]
    assert outputs[0][1] == outputs[1][1]
    assert len([*folder.iterdir()]) == 1


def test_another_code_is_another_file(folder: Path, compiled) -> None:
    """The name of a file depends on the program, the channels and the processor."""
    render(own_voice(0.5 + 2**-11))
    render(own_voice(0.5 + 2**-12))
    llvm_kernel.make_kernel(own_voice(0.5 + 2**-12), 2)
    llvm_kernel.make_kernel(own_voice(0.5 + 2**-12), 2, "generic")

    assert len(compiled) == len([*folder.iterdir()]) == 4


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_is_not_loaded(folder: Path, damage: str) -> None:
    """LLVM would end the process: such a file counts as missing."""
    write_code("key", b"machine code")
    file = folder / "key"
    data = file.read_bytes()
    changed = {"cut": data[:-1], "changed": data[:-1] + b"?", "empty": b""}
    assert read_code("key") == b"machine code"
    file.write_bytes(changed[damage])

    assert read_code("key") is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_of_others_is_not_used(folder: Path, mode: int) -> None:
    """Who writes there runs code as the user: nothing is read from it or written to it."""
    write_code("key", b"machine code")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(mode)

    assert read_code("key") is None
    write_code("other", b"machine code")
    assert not (folder / "other").exists()


def test_a_folder_of_another_user_is_not_used(folder: Path, monkeypatch) -> None:
    """Root, for one, loads no code of a user whose home it has."""
    write_code("key", b"machine code")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)

    assert read_code("key") is None


def test_a_link_is_not_used(folder: Path, tmp_path: Path) -> None:
    """The folder is one, and no link to another."""
    (tmp_path / "other").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "other")
    write_code("key", b"machine code")

    assert not [*(tmp_path / "other").iterdir()]


def test_the_oldest_files_go(folder: Path, monkeypatch) -> None:
    """The folder does not grow without end, and has no part of a file."""
    monkeypatch.setattr(code_cache, "_FILES_MAX", 3)
    for number in range(5):
        write_code(f"key{number}", b"machine code")
        os.utime(folder / f"key{number}", (number, number))
    write_code("key5", b"machine code")

    assert {file.name for file in folder.iterdir()} == {"key3", "key4", "key5"}


def test_without_a_folder_voices_play(tmp_path: Path, compiled, monkeypatch) -> None:
    """A file in its place, a full disk or a missing home is no error."""
    (tmp_path / "gradsound").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert np.abs(render(own_voice(0.5 + 2**-13))).max() > 0.01
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert np.abs(render(own_voice(0.5 + 2**-14))).max() > 0.01

    assert len(compiled) == 2
