"""Commands take the files of all ranks of a training as one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.rank_files import write_ranks

from gradsound.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

STEPS, RANKS = 120, 9


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """The files of nine ranks: 5 has 8 x the norm, 3 is slow, 7 stops."""
    norms = np.random.default_rng(1).lognormal(0.0, 0.1, (STEPS, RANKS))
    norms[60:, 5] *= 8
    waits = np.full((STEPS, RANKS), 0.01)
    waits[70:, np.arange(RANKS) != 3] += 0.2
    files = write_ranks(tmp_path, norms, waits=waits)
    lines = files[7].read_text().splitlines(keepends=True)
    files[7].write_text("".join(lines[:81]))
    return [str(path) for path in files]


def run(*arguments: str) -> int:
    """Runs a command and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments])
    return int(exit_info.value.code or 0)


def test_info_names_who_deviates_who_is_late_and_who_has_stopped(
    paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The order of the files does not matter; the table has a row for each rank."""
    assert run("info", *reversed(paths)) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = "9: rank 5 deviates; rank 3 is late; rank 7 has stopped"
    assert lines[2].split(maxsplit=1) == ["ranks", facts]
    assert lines[3].startswith("median rank")
    head = next(k for k, line in enumerate(lines) if line.startswith("rank "))
    assert {line[:6] for line in lines[head + 1 :]} == {f"rank {k}" for k in range(RANKS)}


def test_json_has_the_same_facts(
    paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs get the names of the ranks, and all alarms."""
    assert run("info", "--json", *paths) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["ranks"] == {
        "count": 9,
        "deviating": ["rank 5"],
        "late": ["rank 3"],
        "stopped": ["rank 7"],
    }
    kinds = [(alarm["kind"], alarm["layers"]) for alarm in data["alarms"]]
    assert sorted(kinds) == [
        ("dead", ["rank 7"]),
        ("rank", ["rank 5"]),
        ("straggler", ["rank 3"]),
    ]
    assert len(data["layers"]) == 9


def test_files_of_one_rank_are_runs_to_compare(
    paths: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rank 0 of two trainings is not a training of two ranks."""
    (tmp_path / "other").mkdir()
    norms = np.ones((STEPS, 2))
    other = write_ranks(tmp_path / "other", norms)[0]
    assert run("info", paths[0], str(other)) == 0
    assert "ranks" not in capsys.readouterr().out


def test_ranks_are_heard_and_seen(paths: list[str], tmp_path: Path) -> None:
    """A sound with captions that name the ranks, and a picture."""
    sound, picture = tmp_path / "ranks.wav", tmp_path / "ranks.png"
    assert run("render", *paths, "--duration", "20", "-o", str(sound)) == 0
    captions = sound.with_suffix(".vtt").read_text()
    for words in ("rank 5: norm", "rank 3 is 0.2 s later", "rank 7 has stopped"):
        assert words in captions
    assert run("plot", *paths, "-o", str(picture)) == 0
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["info", "--then", "more.jsonl"], "--then goes on with one run file"),
        (["serve", "--follow"], "--follow reads one file: give that of one rank"),
        (["info", "--norms", "x"], "a run file says itself what its norms are"),
    ],
)
def test_what_several_files_cannot_do_is_one_sentence(
    command: list[str],
    message: str,
    paths: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message has the remedy."""
    assert run(*command, *paths) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("paths")
def test_a_folder_of_ranks_is_not_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the commands that take all ranks."""
    assert run("play", str(tmp_path)) == 2
    message = capsys.readouterr().err
    assert "rank0.jsonl: is one of 9 ranks, and one file plays at a time" in message
    assert "'gradsound serve' or 'gradsound render'" in message


def test_the_file_of_one_rank_twice_is_no_comparison(
    paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone it looks like files of one rank of two trainings."""
    assert run("info", paths[0], paths[0]) == 2
    assert "run.rank0.jsonl: is given twice" in capsys.readouterr().err
