"""gradsound voices --emit: a voice as native code with a header, or an error."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from gradsound.cli.choices import TARGETS
from gradsound.cli.main import main

MAGIC = {"wasm32": b"\0asm\1\0\0\0"}
MACHINES = {"aarch64": 183, "riscv64": 243, "x86_64": 62}  # in the header of ELF
OWN = """
import torch

def reed(phase, bright):
    return torch.relu(torch.sin(6.283185307179586 * phase)) * bright
"""
WORDS = ("voices", "bell", "--emit")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return exit_info.value.code


@pytest.fixture(autouse=True)
def _own_folder(own_folder: None) -> None:
    """Each test has an empty working directory."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("voice", ["bell", "mine:reed"])
def test_a_voice_becomes_code_and_a_header(
    voice: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Built-in voices and a user's own; the same command writes the same bytes again."""
    Path("mine.py").write_text(OWN)
    path = Path("code.wasm" if target == "wasm32" else "code.o")
    contents = []
    for _ in range(2):
        assert run("voices", voice, "--emit", target, "-o", str(path)) == 0
        contents.append((path.read_bytes(), Path("code.h").read_bytes()))
    sys.modules.pop("mine", None)

    code, header = contents[0]
    name = voice.rpartition(":")[2]
    assert contents[0] == contents[1]
    assert capsys.readouterr() == ("", "")
    if target == "wasm32":
        assert code.startswith(MAGIC[target])
    else:
        assert code.startswith(b"\x7fELF")
        assert int.from_bytes(code[18:20], "little") == MACHINES[target]
    for function in (f"{name}_mono", f"{name}_stereo"):
        assert function.encode() in code
        assert f"void {function}(float *out,".encode() in header
    assert f"The voice {name} as native code".encode() in header
    assert sorted(path.name for path in Path().iterdir() if path.is_file()) == sorted(
        ["mine.py", path.name, "code.h"]
    )


def test_an_existing_header_of_a_user_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """A header that gradsound did not write is never replaced."""
    Path("bell.h").write_text("#define BELL 1\n")
    assert run(*WORDS, "x86_64", "-o", "bell.o") == 2

    assert Path("bell.h").read_text() == "#define BELL 1\n"
    assert [*map(str, Path().iterdir())] == ["bell.h"]
    assert capsys.readouterr().err == (
        "gradsound: bell.h: exists, and gradsound did not write it; give bell.o another "
        "name\n"
    )


@pytest.mark.parametrize("failing", ["bell.o", "bell.h"])
def test_a_full_disk_leaves_the_files(
    failing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If either file cannot be written, both stay as they were."""
    assert run(*WORDS, "aarch64", "-o", "bell.o") == 0
    before = {path: path.read_bytes() for path in Path().iterdir()}
    write = Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        if path.name.startswith(failing):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert run(*WORDS, "x86_64", "-o", "bell.o") == 2

    assert {path: path.read_bytes() for path in Path().iterdir()} == before
    assert capsys.readouterr().err == f"gradsound: {failing}: No space left on device\n"


def test_a_folder_in_the_place_of_the_header(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the header; the object is not written."""
    Path("bell.h").mkdir()
    assert run(*WORDS, "aarch64", "-o", "bell.o") == 2
    assert capsys.readouterr().err == "gradsound: bell.h: Is a directory\n"
    assert not Path("bell.o").exists()


def test_without_llvmlite_the_error_has_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, for a user's own voice too."""
    Path("mine.py").write_text(OWN)
    from importlib import util

    find = util.find_spec
    for module in ("gradsound.rendering.voice_code", "gradsound.synth.voices.builtin"):
        monkeypatch.setattr(
            f"{module}.find_spec", lambda name: None if name == "llvmlite" else find(name)
        )
    assert run("voices", "mine:reed", "--emit", "aarch64", "-o", "reed.o") == 2
    sys.modules.pop("mine", None)

    error = capsys.readouterr().err
    assert error == "gradsound: llvmlite is not installed: pip install llvmlite\n"


@pytest.mark.parametrize("target", TARGETS)
def test_a_build_of_llvm_without_the_target(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is a sentence; nothing is written."""

    def fail(triple: str) -> None:
        raise RuntimeError(f'No available targets are compatible with triple "{triple}"')

    monkeypatch.setattr(llvm.Target, "from_triple", fail)
    path = "x.wasm" if target == "wasm32" else "x.o"
    assert run(*WORDS, target, "-o", path) == 2

    error = capsys.readouterr().err
    assert error.startswith("gradsound: LLVM ")
    assert f"was built without target '{target}': the llvmlite of pip has it" in error
    assert error.count("\n") == 1
    assert not [*Path().iterdir()]
