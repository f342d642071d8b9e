"""The options of the command line that change the sound, and times and steps as text."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

import gradsound
from gradsound.cli.main import main
from gradsound.music.presets import PRESETS

NORMS = [[0.3, 2.0, 5.0, 0.1, 1.0, 9.0]] * 20
NOTES = PRESETS["notes"]
OPTIONS = {
    "--scale major": {"pitch": replace(NOTES.pitch, scale="major")},
    "--invert": {"pitch": replace(NOTES.pitch, invert=True)},
    "--scale minor --invert": {"pitch": replace(NOTES.pitch, scale="minor", invert=True)},
    "--baseline running": {"baseline": "running"},
    "--band a=layer[01] --band b=layer2 --band a=layer3": {
        "bands": {"a": ("layer[01]", "layer3"), "b": ("layer2",)}
    },
}


def run(*arguments: object) -> int:
    """Runs a command and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    return exit_info.value.code


@pytest.mark.parametrize("options", OPTIONS)
def test_options_are_the_preset_s(tmp_path: Path, save, options: str) -> None:
    """An option gives the bytes of a preset changed in Python, not of the plain preset."""
    path = save(NORMS)
    assert run("render", path, "-o", tmp_path / "a.wav", *options.split()) == 0
    gradsound.render(path, tmp_path / "b.wav", preset=replace(NOTES, **OPTIONS[options]))
    gradsound.render(path, tmp_path / "c.wav")
    sound, expected, plain = ((tmp_path / f"{k}.wav").read_bytes() for k in "abc")

    assert sound == expected
    assert sound != plain


def test_two_runs_are_compared(tmp_path: Path, save) -> None:
    """Two runs sound in one ear each, or as their ratio, of the layers of --layers."""
    one, other = save(NORMS, name="a.jsonl"), save(NORMS[:9], name="b.jsonl")
    chosen = ("--layers", "layer[0-3]")
    for options, keywords in {(): {}, ("--difference",): {"difference": True}}.items():
        out = tmp_path / "a.wav"
        assert run("render", one, other, "-o", out, *options, *chosen) == 0
        runs = [gradsound.read_run(path).select(["layer[0-3]"]) for path in (one, other)]
        gradsound.render(runs[0], tmp_path / "b.wav", other=runs[1], **keywords)
        sounds = [soundfile.read(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
        assert (sounds[0] == sounds[1]).all()


def test_a_run_is_fitted(tmp_path: Path, save) -> None:
    """--duration bounds the duration of the sound."""
    path = save(NORMS * 100)
    assert run("render", path, "-o", tmp_path / "x.wav", "--duration", 8) == 0
    assert 6 < soundfile.info(tmp_path / "x.wav").duration <= 8


def test_times_and_steps_have_two_notations(
    tmp_path: Path, save, capsys: pytest.CaptureFixture[str]
) -> None:
    """0:08 and 8 are the same time; 13,912 and 13912 are the same step."""
    path = save(NORMS * 1000)
    for time in ("0:08", "8"):
        assert run("render", path, "-o", tmp_path / f"{time}.vtt", "--duration", time) == 0
    assert (tmp_path / "0:08.vtt").read_text() == (tmp_path / "8.vtt").read_text()

    for step in ("13,912", "13912"):
        assert run("locate", path, "--step", step, "--duration", "1:00:00") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("step 13,912 is at ")


def test_a_sound_is_known_by_what_is_in_it(
    tmp_path: Path, save, capsys: pytest.CaptureFixture[str]
) -> None:
    """`gradsound locate` detects a sound by its first bytes, not by the file's name."""
    run_file = save(NORMS, name="run.wav")
    gradsound.render(run_file, tmp_path / "x.wav", speed=2)
    (tmp_path / "x.wav").rename(tmp_path / "sound")
    for path in (tmp_path / "sound", run_file):
        options = ("--speed", 2) if path == run_file else ()
        assert run("locate", path, "--step", 3, *options) == 0
    first, second = capsys.readouterr().out.splitlines()

    assert first == second


def test_help_names_the_kinds_of_input(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each command names the kinds of file that it reads."""
    text = {}
    for command in ("locate", "play", "render"):
        assert run(command, "--help") == 0
        text[command] = " ".join(capsys.readouterr().out.split())

    kinds = "run.jsonl a run file, or a log of another tool"
    stdin = "or - for standard input"
    assert f"{kinds}, or its WAV file, {stdin} time" in text["locate"]
    assert f"{kinds}, {stdin} options" in text["play"]
    assert f"{kinds}, {stdin}; two: one in each ear" in text["render"]


def test_captions_alone(tmp_path: Path, save) -> None:
    """A path that ends in .vtt gets the captions, without a sound."""
    path = save(NORMS)
    assert run("render", path, "-o", tmp_path / "x.vtt") == 0
    assert (tmp_path / "x.vtt").read_text().startswith("WEBVTT\n")
    assert not (tmp_path / "x.wav").exists()


def test_a_page_with_a_title(tmp_path: Path, save, capsys) -> None:
    """A path that ends in .html gets a page, and no captions next to it."""
    path = save(NORMS)
    assert run("render", path, "-o", tmp_path / "x.html", "--title", "a & b") == 0
    assert "<title>a &amp; b, gradsound</title>" in (tmp_path / "x.html").read_text()
    assert not (tmp_path / "x.vtt").exists()
    assert capsys.readouterr() == ("", "")


def test_a_legend_is_printed_too(
    tmp_path: Path, save, capsys: pytest.CaptureFixture[str]
) -> None:
    """`gradsound legend` prints its captions with their times."""
    assert run("legend", save(NORMS), "-o", tmp_path / "x.flac") == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("0:00 early, norm ")
    assert lines[-1].endswith("alarm, end: the run is over")
    assert soundfile.info(tmp_path / "x.flac").frames


WRONG = {
    "render run.jsonl -o x.wav --scale dorian": "no scale 'dorian'; there are: any",
    "render run.jsonl -o x.wav --scale major --preset perone2019": (
        "preset 'perone2019' has neither scale nor invert"
    ),
    "render run.jsonl -o x.wav --band mlp": "--band: must be NAME=GLOB, got 'mlp'",
    "render run.jsonl -o x.wav --band =x": "--band: must be NAME=GLOB, got '=x'",
    "render run.jsonl -o x.wav --band a=no*": "no layer matches 'no*'",
    "render run.jsonl -o x.wav --band a=layer0 --band b=layer1 --band c=layer2 "
    "--band d=layer3 --band e=layer4": "cannot follow more than 4",
    "render run.jsonl -o x.wav --duration 1": "duration must be 5 s or more, got 1",
    "render run.jsonl -o x.wav --duration nan": "a time is seconds, m:ss or h:mm:ss, got",
    "render run.jsonl -o x.wav --preset scan --band a=*": "'scan' sounds every layer, and",
    "render run.jsonl -o x.wav --difference": "a difference needs two runs, got 1",
    "render run.jsonl missing.jsonl -o x.wav": "missing.jsonl: No such file",
    "render run.jsonl run.jsonl -o x.wav": "run.jsonl: is given twice; give each run once",
    "render run.jsonl -o x.wav --title a": "x.wav: has no title; only a page has one",
    "render run.jsonl -o x.html --subtype FLOAT": "no samples, so no subtype FLOAT: leave",
    "render run.jsonl -o no.html/x.html": "no.html/x.html: No such file or directory",
    "render run.jsonl -o no.vtt/x.vtt": "no.vtt/x.vtt: No such file or directory",
    "render run.jsonl -o run.vtt/x.vtt": "run.vtt/x.vtt: Not a directory",
    "legend run.jsonl -o x.aac": "x.aac: a sound file ends in .wav, .flac, .ogg",
    "legend run.jsonl -o x.vtt": "a legend is a sound file; end its name in .wav",
    "legend run.jsonl -o run.jsonl": "run.jsonl: is the run itself; write its legend to",
    "legend run.vtt -o run.flac": "run.vtt: is the run itself",
    "legend run.wav -o run.wav": "run.wav: is the run itself",
    "legend link.jsonl -o run.wav": "run.wav: is the run itself",
    "render run.vtt -o run.flac": "run.vtt: is the run itself; write its sound to another",
    "render run.vtt -o run.vtt": "run.vtt: is the run itself",
    "render run.jsonl run.vtt -o run.ogg": "run.vtt: is the run itself",
    "render run.wav -o run.wav": "run.wav: is the run itself",
    "render run.wav -o link.wav": "link.wav: is the run itself",
    "render link.jsonl -o ../{folder}/run.wav": "run.wav: is the run itself",
    "legend missing.jsonl -o x.wav": "missing.jsonl: No such file",
    "locate run.jsonl": "give either a time, or --step and a number",
    "locate run.jsonl 0:x": "a time is seconds, m:ss or h:mm:ss, got '0:x'",
    "locate none.jsonl 0": "has no steps",
    "locate sound.wav 0 --preset scan --speed 1": (
        "sound.wav: a sound is already rendered; leave out --preset, --speed"
    ),
    "locate sound.wav 0 --layers a --invert": "leave out --invert, --layers",
    "locate sound.wav 0 --duration 9 --band a=*": "leave out --band, --duration",
    "locate sound.flac 0": "sound.flac: only WAV files carry their steps; give the run",
    "locate sound.ogg --step 1": "sound.ogg: only WAV files carry their steps; give the",
    "render run.jsonl -o x.vtt --stems s": "x.vtt: has no stems, as it is no sound file",
    "render run.jsonl -o x.wav --stems run.jsonl": "run.jsonl: Not a directory",
    "render run.jsonl -o x.wav --stems no/s": "no/s: No such file or directory",
    "locate run.jsonl --step 1 --speed 0": "speed must be 0.07 to 70",
    "locate run.jsonl 0 --duration 0:x": "a time is seconds, m:ss or h:mm:ss, got '0:x'",
}


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, save, monkeypatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """Bad input prints one line to standard error, exits with 2 and changes no file."""
    expected = WRONG[line]
    save(NORMS, name="run.jsonl")
    save([], name="none.jsonl")
    for name in ("run.wav", "run.vtt"):
        save(NORMS, name=name)
    for ending in ("wav", "flac", "ogg"):
        gradsound.render(tmp_path / "run.jsonl", tmp_path / f"sound.{ending}")
    monkeypatch.chdir(tmp_path)
    for name in ("link.jsonl", "link.wav"):
        Path(name).symlink_to("run.wav")
    line = line.replace("{folder}", tmp_path.name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(*line.split()) == 2
    output = capsys.readouterr()

    assert output.out == ""
    assert output.err.startswith("gradsound: ")
    assert expected in output.err
    assert output.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "line",
    [
        "legend a b -o x.wav",
        "legend run.jsonl",
        "locate run.jsonl 0 --baseline usual",
        "locate run.jsonl --step 1.5",
    ],
)
def test_wrong_usage_is_status_2(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Wrong usage exits with 2 and names the help's command."""
    assert run(*line.split()) == 2
    assert capsys.readouterr().err.endswith("--help'\n")
