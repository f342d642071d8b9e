"""--then: the commands take the parts of a run in order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import END

from gradsound.cli.main import main
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

FRAMES = 12_348  # of a step with preset notes and two layers


@pytest.fixture(autouse=True)
def _parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes steps 0 to 9 to a.jsonl, 6 to 11 to b.jsonl, and 12 to c.jsonl."""
    monkeypatch.chdir(tmp_path)
    for name, numbers in (("a", range(10)), ("b", range(6, 12)), ("c", range(12, 13))):
        run = make_run([[1.0, 2.0]] * len(numbers))
        steps = [replace(step, number=k) for step, k in zip(run.steps, numbers)]
        writer = RunWriter(Path(f"{name}.jsonl"), run.header)
        writer.write(make_block(steps))
        writer.close()


THEN = ("a.jsonl", "--then", "b.jsonl", "--then", "c.jsonl")


def gradsound(*arguments: str) -> int:
    """Runs a command and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments])
    return exit_info.value.code


def test_info_has_the_steps_of_all_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """A step that two parts have counts once."""
    assert gradsound("info", *THEN, "--json") == 0
    data = json.loads(capsys.readouterr().out)

    assert data["steps"] == 13
    assert data["run"] == "a.jsonl + b.jsonl + c.jsonl"


def test_render_plot_and_locate_take_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """The sound and the picture are of the whole training."""
    assert gradsound("render", *THEN, "-o", "run.wav") == 0
    assert soundfile.info("run.wav").frames == 13 * FRAMES + END
    assert gradsound("plot", *THEN, "-o", "run.png") == 0
    assert gradsound("locate", *THEN, "--step", "12") == 0
    assert capsys.readouterr().out == "step 12 is at 0:03 (3.36 s)\n"


def test_parts_and_a_comparison_do_not_clash() -> None:
    """A second run is compared with the whole of the parts."""
    two = "a.jsonl", "c.jsonl", "--then", "b.jsonl"
    assert gradsound("render", *two, "-o", "both.wav") == 0

    assert soundfile.info("both.wav").frames == 13 * FRAMES + END


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("play", "--follow", *THEN), "--then joins files that are finished"),
        (("serve", "-", "--then", "b.jsonl"), "--then joins files that are finished"),
        (("info", "a.jsonl", "--then", "x.jsonl"), "x.jsonl"),
        (("render", *THEN, "-o", "c.jsonl"), "c.jsonl: is a part of the run itself"),
        (("info", "a.jsonl", "--then", "other.jsonl"), "their layers differ"),
        (("info", "a.jsonl", "--then", "-"), "neither with --follow nor with standard"),
        (("info", "a.jsonl", "--then", "a.jsonl"), "a.jsonl: is given twice; give each"),
        (
            ("plot", "b.jsonl", "--then", "a.jsonl", "-o", "x.png"),
            "a.jsonl has the steps 0 to 9, which come before those of b.jsonl (from 6 on)",
        ),
        (("play", "b.jsonl", "--then", "a.jsonl"), "give the parts in the order of the"),
        (("info", "a.jsonl", "--then", "copy.jsonl"), "copy.jsonl begins with the same"),
    ],
)
def test_wrong_parts_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """The exit status is 2, and one line says what is wrong; no file changes."""
    RunWriter(Path("other.jsonl"), make_run([[1.0]]).header).close()
    Path("copy.jsonl").write_bytes(Path("a.jsonl").read_bytes())
    before = Path("c.jsonl").read_bytes()
    assert gradsound(*arguments) == 2
    errors = capsys.readouterr().err.splitlines()

    assert len(errors) == 1
    assert message in errors[0]
    assert Path("c.jsonl").read_bytes() == before


def test_a_sound_has_no_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """A WAV file is rendered already, so locate refuses --then with it."""
    gradsound("render", "a.jsonl", "-o", "run.wav")
    assert gradsound("locate", "run.wav", "0:01", "--then", "b.jsonl") == 2

    assert "leave out --then" in capsys.readouterr().err
