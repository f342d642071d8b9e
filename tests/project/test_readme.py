"""Documents: every snippet runs, every link leads to a file, every table is complete."""

import json
import platform
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.models import small, train
from helpers.native_code import path_of
from helpers.scripts import LOOP, execute

from gradsound import PRESETS
from gradsound.alarms.thresholds import KINDS
from gradsound.cli.main import main
from gradsound.runs.header_line import decode_header
from gradsound.runs.step_line import decode_step
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import numpy_kernel
from gradsound.synth.kernels.llvm_module import to_llvm_ir
from gradsound.synth.voices.builtin import find_voice
from gradsound.synth.voices.functions import FUNCTIONS
from gradsound.synth.voices.program import INPUTS, PADDING
from gradsound.synth.voices.tracer import BRIGHT, trace

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
# Documents whose Python snippets each run alone.
STANDALONE = "\n".join(
    (ROOT / name).read_text()
    for name in ("README.md", "docs/recording.md", "docs/live.md", "docs/web.md")
)


def snippets(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def names() -> dict[str, object]:
    """The names that snippets use: a model, an optimizer and a training loop."""
    import torch

    model = small()
    model.add_module("encoder", torch.nn.Sequential(torch.nn.Linear(1, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return {"model": model, "optimizer": optimizer, "train": train}


@pytest.mark.parametrize("code", snippets(STANDALONE, "python"))
def test_python_snippets_run(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save, request
) -> None:
    """Each snippet runs by itself, given a model, an optimizer and a training loop."""
    if "listen" in code:
        request.getfixturevalue("server")
    monkeypatch.chdir(tmp_path)
    save([[1 / 3, 2 / 3]] * 3, layers=("0", "2"))

    exec(compile(code, "README.md", "exec"), names())  # noqa: S102 (our own README)


def test_voices_are_as_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save, capsys
) -> None:
    """The snippets of docs/voices.md run in order and print what the document shows."""
    text = (ROOT / "docs/voices.md").read_text()
    monkeypatch.chdir(tmp_path)
    save([[1 / 3, 2 / 3]] * 3, layers=("0", "2"))
    namespace = names()
    for code in snippets(text, "python"):
        exec(compile(code, "voices.md", "exec"), namespace)  # noqa: S102 (our own document)
    output = capsys.readouterr().out
    (loop,) = snippets(text, "llvm")

    assert output == "".join(snippets(text, "text"))
    assert loop.rstrip() in to_llvm_ir(trace(namespace["reed"]), 1, "kernel")
    for line in "".join(snippets(text, "sh")).splitlines():
        if line.startswith("gradsound") and " play " not in line:
            with pytest.raises(SystemExit) as exit_info:
                main(shlex.split(line, comments=True)[1:])
            assert exit_info.value.code == 0, line
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(table) == sorted([*INPUTS, BRIGHT])
    functions = re.search(r"functions or methods: `([^`]*)`", text)[1].split()
    assert set(functions) <= FUNCTIONS.keys()
    signs = {"add", "sub", "rsub", "mul", "div", "rdiv", "floordiv", "mod", "pow", "neg"}
    signs |= {"pos", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor"}
    signs.add("invert")
    documented = {FUNCTIONS[name] for name in signs.union(functions)}
    assert documented == {*FUNCTIONS.values()}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the document has x86_64 in C")
def test_hosts_of_native_code_play_as_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The programs in C and JavaScript of docs/voices.md write numpy's samples."""
    text = (ROOT / "docs/voices.md").read_text()
    monkeypatch.chdir(tmp_path)
    (c_code,), (js_code,) = snippets(text, "c"), snippets(text, "js")
    Path("main.c").write_text(c_code)
    Path("main.mjs").write_text(js_code)
    lines = "".join(snippets(text, "sh")).splitlines()
    for line in lines:
        if "--emit" in line:
            with pytest.raises(SystemExit) as exit_info:
                main(shlex.split(line)[1:])
            assert exit_info.value.code == 0, line
    (compiler,) = [line for line in lines if not line.startswith("gradsound")]
    path_of("gcc")
    subprocess.run(["/bin/sh", "-ec", compiler], check=True)
    process = subprocess.run([path_of("node"), "main.mjs"], capture_output=True, check=True)
    note = np.zeros(1, EVENT)
    note["count"], note["fade"], note["increment"] = 44_100, 441, 440 / 44_100 * 2**32
    note["gain"], note["controls"][:, :2] = (0.5, 0.25), ((0.5, 0.5), (1, -1))
    out = np.zeros((1, 44_100 + PADDING), np.float32)
    numpy_kernel.make_kernel(find_voice("bell"), 1)(out, 0, 1 / 44_100, note)

    assert np.abs(out).max() > 0.3
    for samples in (Path("bell.raw").read_bytes(), process.stdout):
        played = np.frombuffer(samples, np.float32)
        np.testing.assert_array_equal(played, out[0, :44_100])


def test_the_listening_guide_is_complete(tmp_path: Path, monkeypatch) -> None:
    """The listening guide's snippets run; its tables have every preset and every alarm."""
    text = (ROOT / "docs/listening.md").read_text()
    monkeypatch.chdir(tmp_path)
    Path("samples").symlink_to(ROOT / "samples")
    for code in snippets(text, "python"):
        exec(compile(code, "listening.md", "exec"), {})  # noqa: S102 (our own document)
    presets = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    alarms = re.search(r"^\| alarm \|.*?\n\n", text, re.DOTALL | re.MULTILINE)[0]

    assert sorted(presets) == sorted(PRESETS)
    assert re.findall(r"^\| (\w+) \|", alarms, re.MULTILINE)[1:] == [*KINDS]
    assert Path("mine.wav").stat().st_size > 1e6


@pytest.mark.usefixtures("server")
def test_shell_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save) -> None:
    """Commands of gradsound run; make targets and pip extras exist."""
    monkeypatch.chdir(tmp_path)
    for name in ("run.jsonl", "other.jsonl"):
        save([[1 / 3, 2 / 3]] * 9, layers=("0", "2"), name=name)
    Path("results.csv").write_text("step,a/gradient\n0,0.5\n1,0.25\n")
    log_history = [{"step": 10, "loss": 0.5, "grad_norm": 1 / 3}]
    Path("trainer_state.json").write_text(json.dumps({"log_history": log_history}))
    Path("train.py").write_text(LOOP)
    makefile = (ROOT / "Makefile").read_text()
    extras = (ROOT / "setup.cfg").read_text()
    commands = []
    for line in "".join(snippets(README, "sh")).splitlines():
        command, *words = shlex.split(line, comments=True)
        commands.append(command)
        if words[0] == "run":  # its script has a process to itself
            process = execute(["-m", "gradsound", *words], tmp_path)
            assert process.returncode == 0, process.stderr
        elif command == "gradsound":
            with pytest.raises(SystemExit) as exit_info:
                main(words)
            assert exit_info.value.code == 0, line
        elif command == "make":
            assert f"\n{words[0]}: " in makefile
        else:
            assert (command, words[0]) == ("pip", "install")
            for extra in re.findall(r"[\[,](\w+)", words[1]):
                assert f"\n{extra} = " in extras

    assert set(commands) == {"gradsound", "make", "pip"}


def test_every_extra_is_documented() -> None:
    """The README's table has every extra for users: each installs one package."""
    table = README.partition("## Install")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(documented) == sorted(
        re.findall(
            r"^(\w+) =\s+[\w-]+>=[\d.]+(?:; python_version .*)?$",
            (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2],
            re.MULTILINE,
        )
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link leads to an existing file."""
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)]+)\)", prose)
    for link in links:
        if not link.startswith(("https://", "http://")):
            assert (document.parent / link.partition("#")[0]).exists(), link


def test_the_format_described_is_the_one_read() -> None:
    """The lines in docs/run-format.md are a valid run."""
    examples = snippets((ROOT / "docs" / "run-format.md").read_text(), "json")
    first, *steps = "".join(examples).splitlines()
    header = decode_header(first.encode())

    assert set(json.loads(first)) == {
        "format",
        "version",
        "start",
        "note",
        "layers",
        "parameters",
    }
    for number, line in enumerate(steps):
        assert decode_step(line.encode(), len(header.layers), number - 1).number == number


def test_samples_are_small_and_complete() -> None:
    """Each sample run has a sound and a picture; all samples take under 6 MB."""
    samples = ROOT / "samples"
    runs = {path.stem for path in samples.glob("runs/*.jsonl")}
    files = [path for path in samples.rglob("*") if path.is_file()]

    assert len(runs) == 6
    assert runs == {path.stem for path in samples.glob("*.png")}
    assert runs < {path.stem for path in samples.glob("*.ogg")}
    assert {path.stem for path in samples.glob("perone2019/*.flac")} < runs
    assert sum(file.stat().st_size for file in files) < 6e6
