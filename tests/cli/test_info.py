"""gradsound info: the summary of a run as text and as JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pexpect
import pytest
from helpers.runs import make_run, with_signals

from gradsound.cli import info_data
from gradsound.cli.main import main
from gradsound.summary.rank_facts import RankFacts
from gradsound.summary.run_summary import summarize

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()


def show(path: Path, *options: str) -> None:
    """Runs `gradsound info` and expects success."""
    with pytest.raises(SystemExit) as exit_info:
        main(["info", str(path), *options])
    assert exit_info.value.code == 0


def lines_of(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> list[str]:
    """Returns the lines that `gradsound info` prints."""
    show(path, *options)
    return capsys.readouterr().out.splitlines()


def test_info_tells_what_happened(save, capsys: pytest.CaptureFixture[str]) -> None:
    """First the facts of the run, then its alarms, then a row of norms for each layer."""
    norms: list[list[float | None]] = [[1.0, 2.0, 3.0] for _ in range(240)]
    norms[50] = [100.0, 2.0, None]
    norms[60] = [1.0, np.nan, 3.0]
    for row in norms[200:]:
        row[2] = 0.0
    lines = lines_of(capsys, save(norms, layers=("in", "mid", "out"), comment="try 7"))

    assert lines[0].endswith("run.jsonl: try 7")
    assert lines[1] == "240 steps, in 1 min 20 s, started 2019-08-01T12:00:00+00:00"
    assert lines[2] == (
        "total norm      typical 3.742, lowest 2.236 at step 200, highest 100 at step 50, "
        "not finite at 1 step"
    )
    assert lines[3].startswith("pitch           1 octave = factor 10; norm 1 is C4")
    assert lines[4].startswith("alarms: 1 spike, ")
    alarms = [line.split(maxsplit=2) for line in lines[5:-5]]
    assert ["50", "spike", "spike in in, 100 x its median"] in alarms
    assert ["60", "nonfinite", "NaN in mid, over at step 63"] in alarms
    assert [one[1] for one in alarms if one[2].startswith("dead layer: out")] == ["dead"]
    assert lines[-5] == ""
    rows = [line.split() for line in lines[-4:]]
    assert " ".join(rows[0]) == (
        "layer parameters lowest typical highest zero not finite no gradient"
    )
    assert rows[1:] == [
        ["in", "7", "1", "1", "100", "0", "0", "0"],
        ["mid", "7", "2", "2", "2", "0", "1", "0"],
        ["out", "7", "0", "3", "3", "40", "0", "1"],
    ]


def test_values_of_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps, losses, learning rate and epoch of a log with one norm; no table for one."""
    path = tmp_path / "log.csv"
    rows = [
        f"{20 * k},{k / 4},{5 - k if k != 3 else 'nan'},{9 - k % 3},"
        f"{min(k, 6 - k) / 1000},{2 + k if k % 2 else ''}"
        for k in range(1, 6)
    ]
    header = "step,epoch,loss,grad_norm,learning_rate,eval_loss"
    path.write_text("\n".join([header, *rows, ""]))

    assert lines_of(capsys, path) == [
        str(path),
        "5 of 100 steps logged, every 20th",
        "grad_norm       typical 8, lowest 7 at step 40, highest 9 at step 60",
        "loss            first 4, last 0, lowest 0 at step 100, not finite at 1 step",
        "eval_loss       first 3, last 7, lowest 3 at step 20",
        "learning rate   first 0.001, last 0.001, highest 0.003 at step 60",
        "epoch           0 to 1",
        "pitch           1 octave = factor 10; norm 1 is C4",
        "too short to judge: 5 steps; not known: rise (needs 9), plateau (needs 64 losses)",
        *lines_of(capsys, path)[9:],
    ]
    alarms = lines_of(capsys, path)[9:]
    assert alarms[0].startswith("alarms: 1 nonfinite")
    assert alarms[1].split()[:2] == ["60", "nonfinite"]


def test_top_and_all(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has ten layers, N of them or all; with many layers, bands come first."""
    names = tuple(f"layer{k}" for k in range(12))
    norms = [[float(1 + 5 * k % 12) for k in range(12)]] * 3
    path = save(norms, layers=names)
    usual, three, everything = (
        lines_of(capsys, path, *options) for options in ((), ("--top", "3"), ("--all",))
    )
    bands = [line.split()[0] for line in usual[6:11] if line]
    assert bands == ["band", "early", "middle", "late"]
    assert [line.split()[0] for line in usual[-11:-1]] == [
        f"layer{k}" for k in sorted(range(12), key=lambda k: -(5 * k % 12))[:10]
    ]
    assert usual[-1].startswith("the 10 of 12 layers with the largest typical norms; --all")
    assert [line.split()[0] for line in three[-4:-1]] == ["layer7", "layer2", "layer9"]
    assert [line.split()[0] for line in everything[-12:]] == [*names]


@pytest.mark.parametrize(
    ("top", "rows", "last"),
    [
        ("0", [], "4 layers; --all shows them"),
        ("1", ["d"], "the largest typical norm of 4 layers; --all shows all"),
        ("2", ["d", "c"], "the 2 of 4 layers with the largest typical norms; --all shows"),
        ("4", ["a", "b", "c", "d"], "d "),
        ("99", ["a", "b", "c", "d"], "d "),
    ],
)
def test_a_table_of_few_layers(
    save, capsys: pytest.CaptureFixture[str], top: str, rows: list[str], last: str
) -> None:
    """The last line fits the number of layers that the table shows."""
    path = save([[1.0, 2.0, 3.0, 4.0]] * 3, layers=tuple("abcd"))
    lines = lines_of(capsys, path, "--top", top)

    assert lines[-1].startswith(last)
    assert [line[0] for line in lines if line[:2] in ("a ", "b ", "c ", "d ")] == rows


LONG_NAMES = tuple(f"{side}.{'x' * 190}.layer{side}" for side in ("left", "right"))


@pytest.mark.parametrize(
    ("columns", "first", "width"),
    [
        (80, "left.xxxxxxxxxx...xxxx.layerleft", 80),
        (30, "left....left", 12 + 4 * 12),
    ],
)
def test_long_names_fit_a_terminal(save, columns: int, first: str, width: int) -> None:
    """On a terminal, names lose their middle; in a pipe and in JSON they are whole."""
    path = save([[1 / 3, 2 / 3]] * 3, layers=LONG_NAMES)
    # Without env=, the child has the COLUMNS that readline sets in the tests' process.
    names = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "gradsound", "info", str(path)]
    child = pexpect.spawn(
        *(command[0], command[1:]),
        encoding="utf-8",
        dimensions=(50, columns),
        env=names,
        timeout=30,
    )
    child.expect(pexpect.EOF)
    shown = child.before.splitlines()[-3:]
    child.close()
    for options in ([], ["--json"]):
        text = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=True
        ).stdout
        assert all(name in text for name in LONG_NAMES)

    assert shown[1].startswith(f"{first} ")
    assert shown[2].split()[0].endswith("ight")
    assert {len(line) for line in shown} == {width}


def test_a_long_name_of_a_fact(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The texts are below each other, unless a name has more than 30 characters."""
    path = save([[1 / 3]] * 3, layers=("gradients_default_optimizer_norm",))
    lines = lines_of(capsys, path)
    assert lines[2].startswith("gradients_default_optimizer_norm typical 0.3333")
    assert lines[3] == f"{'pitch':30} 1 octave = factor 10; norm 1 is C4"


def test_facts_of_a_run_without_gradients_or_with_one_evaluation(
    save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without norms says so, and a single number is not first, last and lowest."""
    lines = lines_of(capsys, save([[None, None]] * 3))
    assert lines[2] == "total norm      no gradient at any step"
    lines = lines_of(capsys, save([[np.nan, np.inf]] * 3, name="nan.jsonl"))
    assert lines[2] == "total norm      never finite"

    path = tmp_path / "log.csv"
    path.write_text("step,grad_norm,eval_loss,lr\n1,2,,0.5\n2,2,0.75,0.25\n3,2,,0.125\n")
    lines = lines_of(capsys, path)
    assert lines[3:5] == [
        "eval_loss       0.75 at step 2, the only one",
        "learning rate   first 0.5, last 0.125",
    ]


def test_all_lists_every_alarm(save, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --all, a line counts the fourth and all later alarms of a kind."""
    norms = [[1.0, 1.0] for _ in range(400)]
    for step in range(50, 400, 50):
        norms[step][0] = np.nan
    path = save(norms)
    usual, everything = lines_of(capsys, path), lines_of(capsys, path, "--all")

    assert (
        "    200  nonfinite  4 more of kind nonfinite, the last at step 350" in usual
        or ("  200  nonfinite  4 more of kind nonfinite, the last at step 350" in usual)
    )
    listed = [line for line in everything if "NaN in layer0" in line]
    assert len(listed) == 7
    assert len([line for line in usual if "NaN in layer0" in line]) == 3


def test_top_must_be_a_number_of_rows(save, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong number is one sentence."""
    with pytest.raises(SystemExit) as exit_info:
        main(["info", str(save([[1.0]])), "--top", "-1"])
    assert exit_info.value.code == 2
    assert "--top: must be a whole number from 0 on, got '-1'" in capsys.readouterr().err


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
    """The JSON has every number with all its digits, and null for an unknown number."""
    path = save([[1 / 3, None], [100.0, None], [np.nan, None]], comment="try 7")
    show(path, "--json")
    data = parse_strict(capsys.readouterr().out)
    norms = {
        "lowest": 0.33333334,
        "lowest_step": 0,
        "typical": pytest.approx(50.166666),
        "highest": 100.0,
        "highest_step": 1,
        "zero": 0,
        "not_finite": 1,
        "no_gradient": 0,
    }
    nothing = dict.fromkeys(norms) | {"zero": 0, "not_finite": 0, "no_gradient": 3}

    assert data == {
        "version": 2,
        "run": str(path),
        "note": "try 7",
        "start": "2019-08-01T12:00:00+00:00",
        "steps": 3,
        "first_step": 0,
        "last_step": 2,
        "every": 1,
        "total_steps": 3,
        "seconds": pytest.approx(2 / 3, abs=1e-6),
        "too_short": ["spike", "rise"],
        "budget": None,
        "left_out": 0,
        "skipped": None,
        "discarded": None,
        "clipped": None,
        "first_nonfinite": 2,
        "ranks": None,
        "observations": [],
        "alarms": [
            {
                "step": 2,
                "kind": "nonfinite",
                "layers": ["layer0"],
                "text": "NaN in layer0",
                "persists": True,
                "resolves": None,
            },
        ],
        "pitch": "1 octave = factor 10; norm 1 is C4 in the first band",
        "values": [],
        "norm": norms,
        "signals": {},
        "bands": [{"name": "layer0", **norms}, {"name": "layer1", **nothing}],
        "layers": [
            {"name": "layer0", "parameters": 7, **norms, "signals": {}},
            {"name": "layer1", "parameters": 7, **nothing, "signals": {}},
        ],
    }


def test_json_has_every_alarm_and_value() -> None:
    """All fifty alarms with their recoveries, and the range of each value."""
    run = make_run([[np.nan if k % 5 == 4 else 1.0] for k in range(250)])
    steps = [replace(s, values={"loss": np.nan if s.number else 2.5}) for s in run.steps]
    data = info_data.to_data(run, summarize(replace(run, steps=steps)))
    of_norms = [alarm for alarm in data["alarms"] if alarm["layers"]]

    assert [alarm["step"] for alarm in of_norms if not alarm["resolves"]] == [
        *range(4, 250, 5)
    ]
    assert [alarm["resolves"] for alarm in of_norms].count("nonfinite") == 49
    assert data["values"] == [
        {
            "name": "loss",
            "steps": 250,
            "not_finite": 249,
            "first": 2.5,
            "last": None,
            "lowest": 2.5,
            "lowest_step": 0,
            "highest": 2.5,
            "highest_step": 0,
        }
    ]


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
    data = info_data.to_data(run, summarize(run))

    assert data["skipped"] == {"first": 2, "last": 6, "steps": 2}
    assert data["clipped"] == {"smaller": 2, "steps": 2, "times_at_most": pytest.approx(3)}
    assert (data["budget"], data["left_out"]) == (0.25, 3)


def test_json_of_a_run_without_steps(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON of a run without steps has its layers, and null norms."""
    show(save([]), "--json")
    data = parse_strict(capsys.readouterr().out)

    assert (data["steps"], data["seconds"], data["alarms"]) == (0, None, [])
    assert {layer["highest"] for layer in data["layers"]} == {None}


def test_every_key_is_described() -> None:
    """docs/command-line.md describes every key of the JSON, and no other."""
    run = make_run([[1.0, np.nan]] * 3)
    run = replace(run, steps=[replace(step, values={"loss": 1.0}) for step in run.steps])
    data = info_data.to_data(run, summarize(run))
    nested = {
        "skipped": ("first", "last", "steps"),
        "discarded": ("first", "last", "steps"),
        "clipped": ("smaller", "steps", "times_at_most"),
        "alarms": (*data["alarms"][0],),
        "ranks": [field.name for field in fields(RankFacts)],
        "values": (*data["values"][0],),
        "norm": (*data["norm"],),
        "bands": (*data["bands"][0],),
        "layers": (*data["layers"][0],),
    }
    keys = [*data]
    keys += [f"{key}.{inner}" for key, inners in nested.items() for inner in inners]
    table = PAGE[PAGE.index("## JSON") :]
    documented = re.findall(
        r"^\| `([a-z_.]+)` \|", table.partition("\n### JSON of a list")[0], re.MULTILINE
    )

    assert sorted(documented) == sorted(keys)


def test_signals_of_layers(save, capsys: pytest.CaptureFixture[str]) -> None:
    """A fact and a column for each signal; the table of layers stays as it is."""

    def ratios(step: int) -> list[float]:
        return [np.nan if step % 2 else 0.0 if step > 4 else 0.004, 0.002, np.nan]

    norms = [[1.0, 2.0, 3.0]] * 8
    path = save(norms, signals={"update_ratio": ratios, "snr": [0.05, np.inf, 0.5]})
    lines, without = lines_of(capsys, path), lines_of(capsys, save(norms, name="b.jsonl"))

    facts = [line for line in lines if "from the weights" in line]
    assert facts == [
        "update_ratio    typical 0.002 to 0.004, 0 at 1 step, from the weights",
        "snr             typical 0.05 to 0.5, from the weights",
    ]
    assert [line for line in without[1:] if line not in lines] == []
    assert lines[-5:] == [
        "",
        "typical update_ratio         snr",
        "layer0         0.004        0.05",
        "layer1         0.002           -",
        "layer2             -         0.5",
    ]


def test_signals_in_json() -> None:
    """The numbers of each layer by name; infinity and no number are null."""
    run = with_signals(make_run([[1.0, 1.0]] * 3), snr=lambda step: [step / 4, np.nan])
    data = info_data.to_data(run, summarize(run))
    numbers = {"lowest": 0.0, "typical": 0.25, "highest": 0.5, "last": 0.5}

    assert data["signals"] == {"snr": "from the weights"}
    first, second = (layer["signals"] for layer in data["layers"])
    assert first == {"snr": {"steps": 3, "zero": 1, **numbers}}
    assert second == {"snr": {"steps": 0, "zero": 0, **dict.fromkeys(numbers)}}


def test_the_example_of_the_documentation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/command-line.md shows what `gradsound info` prints for a sample run."""
    monkeypatch.chdir(Path(__file__).parents[2])
    show(Path("samples/runs/6-dead-layer.jsonl"))

    assert f"```\n{capsys.readouterr().out}```" in PAGE


def test_pitches_of_large_norms(save, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose norms would be held at the end of the range has another anchor."""
    lines = lines_of(capsys, save([[2e5]] * 40))
    (pitch,) = [line for line in lines if line.startswith("pitch ")]
    assert pitch.endswith("norm 1e5 is C4")


def test_a_name_cannot_command_a_terminal(save, capsys: pytest.CaptureFixture[str]) -> None:
    r"""Escape codes and line ends in a name are printed as ``\x1b`` and ``\n``."""
    show(save([[1.0]], layers=("a\x1b[31m\nb",), comment="\x07"))
    text = capsys.readouterr().out

    assert r"a\x1b[31m\nb" in text
    assert "\x1b" not in text
    assert text.count("\n") == 6
