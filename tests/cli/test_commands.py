"""The commands render, plot and info: their results, and one-line errors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.scores import END

import gradsound
from gradsound.cli.main import main

COMMAND = [sys.executable, "-m", "gradsound"]


def run(*arguments: object) -> int:
    """Runs a command and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    return exit_info.value.code


def test_render_is_the_function(tmp_path: Path, save) -> None:
    """`gradsound render` writes the same bytes as gradsound.render with these options."""
    path = save([[1 / 3, np.nan, None]] * 3)
    assert run("render", path, "-o", tmp_path / "a.wav") == 0
    gradsound.render(path, tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()

    options = ("--preset", "perone2019", "--speed", 2, "--rate", 48_000)
    more = ("--subtype", "PCM_24")
    assert run("render", path, "-o", tmp_path / "c.flac", *options, *more) == 0
    info = soundfile.info(tmp_path / "c.flac")
    assert (info.samplerate, info.frames, info.subtype) == (48_000, 3600, "PCM_24")


def test_layers_can_be_chosen(tmp_path: Path, save) -> None:
    """--layers keeps the layers that match; it is repeatable."""
    path = save([[1.0, 2.0, 3.0]], layers=("in", "mid", "out"))
    chosen = ["--layers", "i*", "--layers", "out"]
    assert run("render", path, "-o", tmp_path / "x.wav", *chosen) == 0

    assert soundfile.info(tmp_path / "x.wav").frames == 12_348 + END  # 2 notes and a rest


def test_plot_writes_a_picture(tmp_path: Path, save) -> None:
    """`gradsound plot` writes the format of the ending, in upper or lower case."""
    for name, begin in (("x.svg", b"<?xml"), ("x.PDF", b"%PDF"), ("x.png", b"\x89PNG")):
        assert run("plot", save([[1 / 3]] * 3), "-o", tmp_path / name) == 0
        assert (tmp_path / name).read_bytes().startswith(begin)


def test_plot_draws_two_runs_in_a_duration(tmp_path: Path, save) -> None:
    """`gradsound plot` draws two runs, with --layers of both and the time of --duration."""
    first = save([[1 / 3, 2 / 3]] * 300, layers=("in", "out"), name="first.jsonl")
    second = save([[1 / 7, 2 / 7]] * 300, layers=("in", "out"), name="second.jsonl")
    both = ["plot", first, second, "--layers", "in"]
    for name, options in (("all", []), ("fit", ["--duration", "0:20"])):
        assert run(*both, "-o", tmp_path / f"{name}.svg", *options) == 0
    one, fitted = ((tmp_path / f"{name}.svg").read_text() for name in ("all", "fit"))

    assert "<!--  first.jsonl: in -->" in one
    assert "<!--  second.jsonl: in -->" in one
    assert "<!-- 1:00 -->" in one
    assert "<!-- 0:18 -->" in fitted
    assert "<!-- 1:00 -->" not in fitted


@pytest.fixture
def files(tmp_path: Path, save, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a valid run and several broken ones."""
    monkeypatch.chdir(tmp_path)
    good = save([[1 / 3, 2 / 3]] * 3, layers=("conv", "fc")).read_text()
    Path("empty").touch()
    Path("folder").mkdir()
    Path("folder.wav").mkdir()
    Path("captions.vtt").mkdir()
    Path("text").write_text("To be, or not to be\n")
    Path("odd.wav").write_text(good)
    Path("odd.png").write_text(good)
    Path("newer").write_text(good.replace('"1.4"', '"2.1"'))
    Path("bad").write_text(good.replace('"step": 1', '"step": -1'))
    Path("none.jsonl").write_text(good.splitlines(keepends=True)[0])
    return tmp_path


WRONG = {
    "render missing -o x.wav": "missing: No such file or directory",
    "render empty -o x.wav": "empty: empty, expected a run",
    "render folder -o x.wav": "folder: Is a directory",
    "render text -o x.wav": "text: is a text in which no line has a step",
    "render newer -o x.wav": "newer, line 1: written in run format 2.1; this gradsound",
    "render bad -o x.wav": 'bad, line 3: expected "step": a whole number above 0, got -1',
    "render odd.wav -o odd.wav": "odd.wav: is the run itself; write its sound to another",
    "render none.jsonl -o x.wav": "none.jsonl: has no steps",
    "render run.jsonl -o no/x.wav": "no/x.wav: No such file or directory",
    "render run.jsonl -o folder.wav": "folder.wav: Is a directory",
    "render run.jsonl -o captions.wav": "captions.vtt: Is a directory",
    "render run.jsonl -o x.mid --subtype PCM_16": "x.mid: has no subtype, as it is no",
    "render run.jsonl -o x.vtt --rate 48000": "x.vtt: has no sample rate, as it is no",
    "render run.jsonl -o x.aac": "x.aac: a sound file ends in .wav, .flac, .ogg, .mp3",
    "render run.jsonl -o x.opus --rate 44100": "x.opus: .opus files have 16000, 24000 or",
    "render run.jsonl -o x.mp3 --rate 96000": "x.mp3: .mp3 files have 16000, 22050, 24000",
    "render run.jsonl -o x.wav --preset note": "no preset 'note'; did you mean 'notes'?",
    "render run.jsonl -o x.wav --layers cnov": "no layer matches 'cnov'; there are: conv",
    "render run.jsonl -o x.wav --speed 0": "speed must be 0.07 to 70 with preset 'notes'",
    "render run.jsonl -o x.wav --speed 1e-9": "speed must be 0.07 to 70",
    "render run.jsonl -o x.wav --speed nan": "speed must be 0.07 to 70",
    "render /dev/null -o x.wav": "/dev/null: a pipe or device; save the run to a file",
    "render run.jsonl -o x.wav --rate 8000": "sample rate must be 16000 to 192000 Hz, got",
    "render run.jsonl -o x.flac --subtype FLOAT": "FLAC has subtype PCM_16, PCM_24, got",
    "plot odd.png -o odd.png": "odd.png: is the run itself; draw it to another file",
    "plot missing -o x.png": "missing: No such file or directory",
    "plot none.jsonl -o x.png": "none.jsonl: has no steps",
    "plot run.jsonl -o x.doc": "x.doc: a picture ends in .png, .svg or .pdf",
    "plot run.jsonl -o no/x.png": "no/x.png: No such file or directory",
    "plot run.jsonl missing -o x.png": "missing: No such file or directory",
    "plot run.jsonl none.jsonl -o x.png": "none.jsonl: has no steps",
    "plot run.jsonl odd.png -o odd.png": "odd.png: is the run itself; draw it to another",
    "plot run.jsonl -o x.png --duration 2": "duration must be 5 s or more, got 2",
    "plot run.jsonl -o x.png --duration soon": "a time is seconds, m:ss or h:mm:ss",
    "plot run.jsonl -o x.png --preset Notes": "did you mean 'notes'?",
    "plot run.jsonl -o x.png --layers cnov": "there are: conv, fc",
    "info missing": "missing: No such file or directory",
    "info folder": "folder: Is a directory",
    "info bad": "bad, line 3",
    "info run.jsonl --layers cnov": "there are: conv, fc",
    "render run.jsonl -o x.wav --preset qqq": "no preset 'qqq'; there are: alarms, ambient",
    "render run.jsonl -o x.wav --voice qqq": "no voice 'qqq'; there are: bell, growl, hiss",
    "render run.jsonl -o x.wav --voice organn": "did you mean 'organ'? There are: bell",
    "voices my.bell": "square; or module:function",
    "voices bell --emit riscv -o x.o": "no target 'riscv'; did you mean 'riscv64'? There",
    "voices bell --emit mips -o x.o": "are: aarch64, riscv64, wasm32, x86_64",
    "voices bell --emit  -o x.o": "no target ''; there are: aarch64",
    "voices bell --emit wasm32": "--emit wasm32: name the file to write with -o",
    "voices --emit wasm32 -o x.wasm": "x.wasm: name the voice to write",
    "voices --emit wasm32": "--emit wasm32: name the voice to compile",
    "voices bell --emit wasm32 -o x.o": "x.o: code for wasm32 ends in .wasm",
    "voices bell --emit x86_64 -o x.wav": "x.wav: code for x86_64 ends in .o",
    "voices bell --emit x86_64 -o x": "x: code for x86_64 ends in .o",
    "voices bell --emit x86_64 -o no/x.o": "no/x.o: No such file or directory",
    "voices bell -o x.o": "x.o: name the processor of the code with --emit",
    "voices missing:bell --emit x86_64 -o x.o": "missing cannot be imported",
    "render run.jsonl -o x.wav --speed=-1": "speed must be 0.07 to 70 with preset 'notes'",
    "render run.jsonl -o x.wav --speed inf": "speed must be 0.07 to 70 with preset 'notes'",
    "render run.jsonl -o x.wav --rate 1": "sample rate must be 16000 to 192000 Hz, got 1",
    "render run.jsonl -o x.wav --duration nan": "a time is seconds, m:ss or h:mm:ss, got",
    "render run.jsonl -o x": "x: a sound file ends in .wav, .flac, .ogg, .mp3, .opus",
    "render run.jsonl -o /dev/full": "/dev/full: a sound file ends in .wav, .flac, .ogg",
    "render run.jsonl -o x.wav --subtype q": "--subtype: invalid choice: 'q' (choose from",
    "render - - -o x.wav": "standard input has one run: save the other one to a file",
    "plot run.jsonl -o x.jpg": "x.jpg: a picture ends in .png, .svg or .pdf",
    "plot run.jsonl -o x.svgz": "x.svgz: a picture ends in .png, .svg or .pdf",
    "plot run.jsonl -o x.": "x.: a picture ends in .png, .svg or .pdf",
    "plot run.jsonl -o png": "png: a picture ends in .png, .svg or .pdf",
    "info two\nlines": "two\\nlines: No such file or directory",
    "info \x1b[31mred": "\\x1b[31mred: No such file or directory",
    "info ": "run.jsonl: the name of a file is empty; see 'gradsound info --help'",
    "render run.jsonl -o ": "-o/--output: the name of a file is empty; see 'gradsound",
    f"info {'x' * 5000}": "x: File name too long",
    "completion csh": "shell: invalid choice: 'csh' (choose from",
}


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_is_one_clear_line(
    files: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """Bad input prints one line to standard error, exits with 2 and leaves no file."""
    before = sorted(files.iterdir())
    assert run(*line.split(" ")) == 2
    output = capsys.readouterr()

    assert output.out == ""
    assert output.err.startswith("gradsound: ")
    assert WRONG[line] in output.err
    assert output.err.count("\n") == 1
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize("line", ["render run.jsonl", "frobnicate", "render --speed x", ""])
def test_wrong_usage_is_status_2(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Wrong usage prints one line with the help's command and exits with 2."""
    assert run(*line.split()) == 2
    errors = capsys.readouterr().err

    assert errors.startswith("gradsound: ")
    assert "; see 'gradsound" in errors
    assert errors.endswith("--help'\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("info run.jsonl --jsn", "--jsn (did you mean --json?)"),
        ("info run.jsonl --tp=3", "--tp=3 (did you mean --top?)"),
        (
            "legend run.jsonl other.jsonl -o x.wav",
            "other.jsonl (gradsound legend takes one run; render takes several, and ranks)",
        ),
        ("render run.jsonl -o x.wav --frobs 2", "--frobs 2"),
        ("devices now", "now"),
    ],
)
def test_unknown_arguments_are_those_of_the_command(
    capsys: pytest.CaptureFixture[str], line: str, unknown: str
) -> None:
    """The line names the help of the command that does not know them."""
    assert run(*line.split()) == 2
    command = line.partition(" ")[0]
    assert capsys.readouterr().err == (
        f"gradsound: unrecognized arguments: {unknown}; see 'gradsound {command} --help'\n"
    )


def test_a_torn_last_line_warns_and_the_rest_is_rendered(tmp_path: Path, save) -> None:
    """A run with a torn last line renders its whole steps, warns once and exits with 0."""
    path = save([[1 / 3]] * 3)
    path.write_bytes(path.read_bytes()[:-9])
    process = subprocess.run(
        [*COMMAND, "render", path, "-o", tmp_path / "x.wav"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert process.stderr == (
        f"gradsound: {path}: line 4 is torn and left out; the run ends there\n"
    )
    assert soundfile.info(tmp_path / "x.wav").frames == 2 * 9261 + END


def test_concurrent_renders_do_not_mix(tmp_path: Path, save) -> None:
    """Two concurrent renders to one file leave the complete file of one of them."""
    paths = [save([[norm]] * 300, name=f"{norm}.jsonl") for norm in (1.0, 2.0)]
    expected = []
    for path in paths:
        gradsound.render(path, tmp_path / "x.wav")
        expected.append((tmp_path / "x.wav").read_bytes())
    processes = [
        subprocess.Popen([*COMMAND, "render", path, "-o", tmp_path / "x.wav"])
        for path in paths
    ]

    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "x.wav").read_bytes() in expected
    assert len(list(tmp_path.iterdir())) == 4


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--version and --help exit with 0; the help lists commands and exit codes."""
    assert run("--version") == 0
    assert run("--help") == 0
    text = capsys.readouterr().out

    assert f"gradsound {gradsound.__version__}\n" in text
    assert all(f"  {command} " in text for command in ("render", "completion", "info"))
    assert all(f"  {status} " in text for status in (0, 1, 2, 130, 143))


def test_a_missing_library_is_named(
    tmp_path: Path,
    save,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without matplotlib, `gradsound plot` prints the command that installs it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    assert run("plot", save([[1.0]]), "-o", tmp_path / "x.png") == 2
    assert "pip install matplotlib" in capsys.readouterr().err
