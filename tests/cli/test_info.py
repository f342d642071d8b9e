"""gradsound info: the summary of a run as text and as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound.cli import info
from gradsound.cli.main import main
from gradsound.runs.summary import summarize

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()


def show(path: Path, *options: str) -> None:
    """Runs `gradsound info` and expects success."""
    with pytest.raises(SystemExit) as ended:
        main(["info", str(path), *options])
    assert ended.value.code == 0


def test_info_tells_what_happened(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The text lists the events by step, and a row of norms for each layer."""
    norms = [[1.0, 2.0, None], [100.0, 2.0, 1.0], [1.0, np.nan, 0.0], [1.0, 2.0, 0.0]]
    show(save(norms, layers=("in", "mid", "out"), comment="try 7"))
    text = capsys.readouterr().out

    assert "run.jsonl: try 7\n4 steps in 1.0 s, from 2019-08-01T12:00:00+00:00\n" in text
    assert "step 1: in peak 100, 32x typical\nstep 2: mid NaN; out 0 from here on\n" in text
    rows = [line.split() for line in text.splitlines()[-3:]]
    assert rows[0] == ["in", "7", "1", "3.16", "100", "0"]
    assert rows[2] == ["out", "7", "0", "1", "1", "1"]


def test_info_of_a_run_without_steps(save, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without steps is no error."""
    show(save([]))
    assert "0 steps" in capsys.readouterr().out


def parse_strict(text: str) -> dict[str, object]:
    """Parses JSON by its standard, which has no NaN and no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_says_the_same(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON has every number with all its digits, and null for an unknown value."""
    norms = [
        [1 / 3, 2.0, None, 0.0],
        [100.0, np.nan, None, 1.0],
        [1 / 3, np.inf, None, 0.0],
    ]
    path = save(norms, layers=("in", "mid", "out", "end"), comment="try 7")
    show(path, "--json")
    data = parse_strict(capsys.readouterr().out)

    assert data == {
        "version": 1,
        "run": str(path),
        "note": "try 7",
        "start": "2019-08-01T12:00:00+00:00",
        "steps": 3,
        "seconds": pytest.approx(2 / 3, abs=1e-6),
        "budget": None,
        "left_out": 0,
        "skipped": None,
        "clipped": None,
        "first_nonfinite": 1,
        "events": [
            {
                "step": 0,
                "layer": "out",
                "kind": "absent",
                "text": data["events"][0]["text"],
            },
            {"step": 1, "layer": "mid", "kind": "nan", "text": "NaN"},
            {"step": 1, "layer": "in", "kind": "peak", "text": "peak 100, 45x typical"},
            {"step": 2, "layer": "end", "kind": "zero", "text": "0 from here on"},
        ],
        "layers": [
            {
                "name": "in",
                "parameters": 7,
                "lowest": 0.33333334,
                "typical": pytest.approx((100 / 9) ** (1 / 3)),
                "highest": 100.0,
                "no_gradient": 0,
            },
            {
                "name": "mid",
                "parameters": 7,
                "lowest": 2.0,
                "typical": pytest.approx(2.0),
                "highest": 2.0,
                "no_gradient": 0,
            },
            {
                "name": "out",
                "parameters": 7,
                "lowest": None,
                "typical": None,
                "highest": None,
                "no_gradient": 3,
            },
            {
                "name": "end",
                "parameters": 7,
                "lowest": 0.0,
                "typical": 1.0,
                "highest": 1.0,
                "no_gradient": 0,
            },
        ],
    }


def test_json_of_skipped_and_clipped_steps() -> None:
    """The JSON has first, last and number of skipped steps, and the clipped steps."""
    run = make_run([[1.0], [1.0], [2.0], [np.inf]])
    steps = [replace(step, raw=step.norms * 3) for step in run.steps]
    steps[3] = replace(steps[3], skipped=True)
    steps[1] = replace(steps[1], skipped=True)
    header = replace(run.header, budget=0.25)
    run = replace(
        run, header=header, steps=[replace(s, number=2 * s.number) for s in steps]
    )
    data = info.to_data(run, summarize(run))

    assert data["skipped"] == {"first": 2, "last": 6, "steps": 2}
    assert data["clipped"] == {"smaller": 2, "steps": 2, "times_at_most": pytest.approx(3)}
    assert (data["budget"], data["left_out"]) == (0.25, 3)


def test_json_of_a_run_without_steps(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON of a run without steps has its layers, and null norms."""
    show(save([]), "--json")
    data = parse_strict(capsys.readouterr().out)

    assert (data["steps"], data["seconds"], data["events"]) == (0, None, [])
    assert {layer["highest"] for layer in data["layers"]} == {None}


def test_every_key_is_described() -> None:
    """docs/command-line.md describes every key of the JSON, and no other."""
    run = make_run([[1.0, np.nan]] * 3)
    data = info.to_data(run, summarize(run))
    nested = {
        "skipped": ("first", "last", "steps"),
        "clipped": ("smaller", "steps", "times_at_most"),
        "events": (*data["events"][0],),
        "layers": (*data["layers"][0],),
    }
    keys = [*data]
    keys += [f"{key}.{inner}" for key, inners in nested.items() for inner in inners]
    table = PAGE[PAGE.index("## JSON") :]
    described = re.findall(
        r"^\| `([a-z_.]+)` \|", table.partition("\n## ")[0], re.MULTILINE
    )

    assert sorted(described) == sorted(keys)


def test_a_name_cannot_command_a_terminal(save, capsys: pytest.CaptureFixture[str]) -> None:
    r"""Escape codes and line ends in a name are printed as ``\x1b`` and ``\n``."""
    show(save([[1.0]], layers=("a\x1b[31m\nb",), comment="\x07"))
    text = capsys.readouterr().out

    assert r"a\x1b[31m\nb" in text
    assert "\x1b" not in text
    assert text.count("\n") == 5
