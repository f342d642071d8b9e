"""The options of the command line that say how a run sounds."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

import gradsound
from gradsound.cli import main
from gradsound.music.preset import PRESETS

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
    """The exit status."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.mark.parametrize("options", OPTIONS)
def test_options_are_the_preset_s(tmp_path: Path, save, options: str) -> None:
    """The same bytes as from Python, and not those of the preset as it is."""
    path = save(NORMS)
    assert run("render", path, "-o", tmp_path / "a.wav", *options.split()) == 0
    gradsound.render(path, tmp_path / "b.wav", preset=replace(NOTES, **OPTIONS[options]))
    gradsound.render(path, tmp_path / "c.wav")
    found, wanted, plain = ((tmp_path / f"{k}.wav").read_bytes() for k in "abc")

    assert found == wanted
    assert found != plain


def test_two_runs_are_compared(tmp_path: Path, save) -> None:
    """One in each ear, or their ratio; of chosen layers if wanted."""
    one, other = save(NORMS, name="a.jsonl"), save(NORMS[:9], name="b.jsonl")
    chosen = ("--layers", "layer[0-3]")
    for options, given in {(): {}, ("--difference",): {"difference": True}}.items():
        out = tmp_path / "a.wav"
        assert run("render", one, other, "-o", out, *options, *chosen) == 0
        runs = [gradsound.read_run(path).select(["layer[0-3]"]) for path in (one, other)]
        gradsound.render(runs[0], tmp_path / "b.wav", other=runs[1], **given)
        sounds = [soundfile.read(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
        assert (sounds[0] == sounds[1]).all()


def test_a_run_is_fitted(tmp_path: Path, save) -> None:
    """Into no more than what is asked for."""
    path = save(NORMS * 100)
    assert run("render", path, "-o", tmp_path / "x.wav", "--duration", 8) == 0
    assert 6 < soundfile.info(tmp_path / "x.wav").duration <= 8


def test_captions_alone(tmp_path: Path, save) -> None:
    """A text is written much faster than a sound."""
    path = save(NORMS)
    assert run("render", path, "-o", tmp_path / "x.vtt") == 0
    assert (tmp_path / "x.vtt").read_text().startswith("WEBVTT\n")
    assert not (tmp_path / "x.wav").exists()


def test_a_legend_is_printed_too(
    tmp_path: Path, save, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the times at which each is heard."""
    assert run("legend", save(NORMS), "-o", tmp_path / "x.flac") == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("0:00 early, norm ")
    assert lines[-1].endswith("alarm, end: the run is over")
    assert soundfile.info(tmp_path / "x.flac").frames


WRONG = {
    "render run.jsonl -o x.wav --scale dorian": "no scale 'dorian'; did you mean",
    "render run.jsonl -o x.wav --scale major --preset perone2019": (
        "preset 'perone2019' has neither scale nor invert"
    ),
    "render run.jsonl -o x.wav --band mlp": "--band must be NAME=GLOB, got 'mlp'",
    "render run.jsonl -o x.wav --band =x": "--band must be NAME=GLOB, got '=x'",
    "render run.jsonl -o x.wav --band a=no*": "no layer matches 'no*'",
    "render run.jsonl -o x.wav --band a=layer0 --band b=layer1 --band c=layer2 "
    "--band d=layer3 --band e=layer4": "nobody can follow more than 4",
    "render run.jsonl -o x.wav --duration 1": "duration must be 5 s or more, got 1",
    "render run.jsonl -o x.wav --duration nan": "duration must be 5 s or more, got nan",
    "render run.jsonl -o x.wav --difference": "a difference needs two runs, got one",
    "render run.jsonl missing.jsonl -o x.wav": "missing.jsonl: No such file",
    "render run.jsonl run.jsonl -o run.jsonl": "is the run itself",
    "render run.jsonl -o run.vtt/x.vtt": "run.vtt/x.vtt: No such file or directory",
    "legend run.jsonl -o x.mp3": "x.mp3: a sound file ends in .wav, .flac, .ogg",
    "legend run.jsonl -o x.vtt": "a legend is a sound",
    "legend run.jsonl -o run.jsonl": "run.jsonl",
    "legend missing.jsonl -o x.wav": "missing.jsonl: No such file",
    "locate run.jsonl": "give a time, or --step and its number",
    "locate run.jsonl 0:x": "a time is seconds, m:ss or h:mm:ss, got '0:x'",
    "locate none.jsonl 0": "has no steps",
}


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, save, monkeypatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """On standard error, with status 2, and no file is made or left behind."""
    save(NORMS, name="run.jsonl")
    save([], name="none.jsonl")
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(*line.split()) == 2
    said = capsys.readouterr()

    assert said.out == ""
    assert said.err.startswith("gradsound: ")
    assert WRONG[line] in said.err
    assert said.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "line",
    ["render a b c -o x.wav", "legend run.jsonl", "locate run.jsonl 0 --baseline usual"],
)
def test_wrong_usage_is_status_2(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """What argparse refuses."""
    assert run(*line.split()) == 2
    assert "usage: gradsound" in capsys.readouterr().err
