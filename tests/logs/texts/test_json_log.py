"""JSON lines of other tools: steps, nested names, numbers that JSON lacks, growth."""

import json
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
from helpers.text_logs import grow, read_text, times, to_steps

from gradsound import read_run
from gradsound.errors import RunFormatError
from gradsound.logs import json_decoder
from gradsound.logs.texts import json_log

VERL = (
    '{"step": 1, "data": {"actor/grad_norm": 0.3333333333333333, "timing_s": {"gen": 2}}}\n'
    '{"step": 2, "data": {"actor/grad_norm": null, "critic/kl": null}}\n'
)
SWIFT = (
    '{"loss": 1.25, "grad_norm": 0.5, "epoch": 0.01, "global_step/max_steps": "1/60", '
    '"percentage": "1.67%", "elapsed_time": "3s", "memory(GiB)": 14.5}\n'
    '{"loss": 1.0, "grad_norm": NaN, "epoch": 0.02, "global_step/max_steps": "2/60", '
    '"elapsed_time": "1h 1m 1s"}\n'
)
MMENGINE = (
    '{"lr": 0.01, "data_time": 0.1, "grad_norm": 3.5, "loss": 2, "time": 0.7, "epoch": 1, '
    '"iter": 50, "memory": 900, "step": 50}\n'
    '{"coco/bbox_mAP": 0.25, "data_time": 0.1, "time": 0.2, "step": 1}\n'
)
BASELINES = (
    '{"time/fps": 900, "time/iterations": 1, "time/time_elapsed": 2, '
    '"time/total_timesteps": 2048}\n'
    '{"time/fps": 800, "time/iterations": 2, "time/time_elapsed": 5.5, '
    '"time/total_timesteps": 4096, "train/grad_norm": 0.75}\n'
)
FACTORY = (
    '{"current_steps": 5, "total_steps": 100, "loss": 2.125, "lr": 5e-05, "epoch": 0.1, '
    '"percentage": 5.0, "elapsed_time": "0:00:10", "remaining_time": "0:03:10"}\n'
)
MMCV = (
    '{"env_info": "sys", "seed": 7, "exp_name": "x"}\n'
    '{"mode": "train", "epoch": 1, "iter": 50, "grad_norm": 1}\n'
    '{"mode": "train", "epoch": 1, "iter": 100, "grad_norm": 2}\n'
    '{"mode": "train", "epoch": 2, "iter": 50, "grad_norm": 3}\n'
)
BEIT = '{"train_loss": 7, "train_grad_norm": 0.5, "epoch": 0, "n_parameters": 9}\n'
LINGUA = '{"global_step": 7, "optim/grad_norm": 2, "created_at": "2026-01-02T10:00:00"}\n'


@pytest.mark.parametrize(
    ("text", "name", "norms"),
    [
        (VERL, "data/actor/grad_norm", {1: 1 / 3, 2: None}),
        (SWIFT, "grad_norm", {1: 0.5, 2: None}),
        (MMENGINE, "grad_norm", {50: 3.5}),
        (BASELINES, "train/grad_norm", {4096: 0.75}),
        (MMCV, "grad_norm", {50: 1, 100: 2, 150: 3}),
        (BEIT, "train_grad_norm", {0: 0.5}),
        (LINGUA, "optim/grad_norm", {7: 2}),
    ],
)
def test_each_tool_has_its_steps(
    tmp_path: Path, text: str, name: str, norms: dict[float, float | None]
) -> None:
    """The step has the tool's name for it, and the norms are those at the steps."""
    steps = read_text(json_log.read, tmp_path / "x.jsonl", text)

    assert json_log.is_json_log(text.encode())
    found = {step: values[name] for step, values in steps.items() if name in values}
    assert {s: None if isnan(norm) else norm for s, norm in found.items()} == norms


def test_objects_in_objects_have_names_with_slashes(tmp_path: Path) -> None:
    """A value that is a list, a text or a boolean is no value."""
    line = '{"step": 3, "a": {"b": {"c": 1, "d": [1], "e": "x", "f": true}, "g": "0.5"}}\n'

    assert read_text(json_log.read, tmp_path / "x.jsonl", line) == {
        3: {"a/b/c": 1, "a/g": 0.5}
    }


def test_null_is_nan_where_a_norm_or_the_loss_is_due(tmp_path: Path) -> None:
    """A null of another name is a value that is missing."""
    line = '{"step": 1, "grad_norm/fc": null, "loss": null, "eval_loss": null, "x": null}\n'
    steps = read_text(json_log.read, tmp_path / "x.jsonl", line)

    assert sorted(steps[1]) == ["grad_norm/fc", "loss"]
    assert all(map(isnan, steps[1].values()))


def test_numbers_that_json_lacks_are_read(tmp_path: Path) -> None:
    """Python writes NaN and Infinity bare, other tools as texts."""
    lines = [
        '{"step": 1, "grad_norm": Infinity, "loss": -Infinity}',
        '{"step": 2, "grad_norm": "inf", "loss": "nan"}',
        f'{{"step": 3, "grad_norm": {"9" * 5000}, "loss": 1e999}}',
    ]
    steps = read_text(json_log.read, tmp_path / "x.jsonl", "\n".join([*lines, ""]))

    assert (steps[1]["grad_norm"], steps[1]["loss"]) == (inf, -inf)
    assert steps[2]["grad_norm"] == inf
    assert isnan(steps[2]["loss"])
    assert (steps[3]["grad_norm"], steps[3]["loss"]) == (inf, inf)


def test_a_user_may_name_the_step(tmp_path: Path) -> None:
    """The usual name is then a value; a name that is not there is refused."""
    path, text = tmp_path / "x.jsonl", '{"step": 7, "Tokens Seen": 9, "grad_norm": 1}\n'

    assert read_text(json_log.read, path, text, step="tokens seen") == {
        9: {"step": 7, "grad_norm": 1}
    }
    assert not json_log.is_json_log(text.encode(), "batch")
    with pytest.raises(
        RunFormatError,
        match="called 'batch' for --step; there are: step, Tokens Seen, grad",
    ):
        read_text(json_log.read, path, text, step="batch")


def test_the_time_is_that_of_the_log(tmp_path: Path) -> None:
    """A date counts from 1970, others from the start; mmengine's time is a value."""
    path = tmp_path / "x.jsonl"
    seconds = {}
    for text in (LINGUA, BASELINES, MMENGINE, SWIFT, FACTORY):
        path.write_text(text)
        seconds |= times(json_log.read(path, pytest.fail))

    np.testing.assert_equal(
        seconds,
        {7: 1767348000, 2048: 2, 4096: 5.5, 50: nan, 1: 3, 2: 3661, 5: 10},
    )


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    """Half a line waits for its rest, and None tells that all was read."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"step": 1, "grad_norm": 1}\n{"step": 2, "gra')
    pieces = [
        *json_log.read(path, pytest.fail, grow(path, [b'd_norm": 2', b"}\n", b"", b"\n"]))
    ]

    assert [None if p is None else p.steps.tolist() for p in pieces] == [
        *([1], None, None, [2], None, None, None),
    ]


def test_damage_is_reported_line_by_line(tmp_path: Path) -> None:
    """Other text and a torn end are left out, with their line; the rest is read."""
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"step": 1, "grad_norm": 1}\nepoch done\n\n[1]\n{"step": 2, "grad_norm": 2}\n'
        '{"step": 3, "grad_norm": 3'
    )
    damages: list[str] = []

    assert [*to_steps(json_log.read(path, damages.append))] == [1, 2]
    assert damages == [
        "line 2 is no JSON object, left out",
        "line 4 is no JSON object, left out",
        "line 6 is torn, left out",
    ]


def test_a_last_line_without_a_newline_is_whole_if_its_object_is(tmp_path: Path) -> None:
    """A tool may end a file without a newline."""
    text = '{"step": 1, "grad_norm": 1}\n{"step": 2, "grad_norm": 2}'

    assert [*read_text(json_log.read, tmp_path / "x.jsonl", text)] == [1, 2]


def test_a_norm_without_a_step_is_an_entry_without_one(tmp_path: Path) -> None:
    """A configuration is none; neither is a step that is no whole number."""
    text = '{"lr": 1}\n{"step": 1, "grad_norm": 1}\n{"grad_norm": 2}\n{"batch_size": 8}\n'
    steps = read_text(json_log.read, tmp_path / "x.jsonl", text)

    assert [{**values} for values in steps.values()] == [{"grad_norm": 1}, {"grad_norm": 2}]
    assert isnan([*steps][1])


@pytest.mark.parametrize(
    "text",
    [
        '{"gradsound-run": 1, "step": 1, "layers": ["fc"]}\n{"step": 1, "loss": 1}\n',
        '{"step": 1}\n{"step": 2}\n',
        '{"loss": 0.5, "epoch": 0.01}\n',
        '{\n  "step": 1,\n  "loss": 2\n}\n',
        '[{"step": 1, "loss": 2}]\n',
        '{"prompt": "step 1", "score": 1}\n',
        '{"step": "read the file", "loss": 2}\n',
        '{"step": 1, "thought": "no number"}\n',
        "step,loss\n1,2\n",
        "",
        "{",
        '{"step": 1, "loss": ' + "[" * 5000 + "\n",
    ],
)
def test_another_text_is_no_log(text: str) -> None:
    """A log has an object a line, with a step that is a whole number and another number."""
    assert not json_log.is_json_log(text.encode())


def test_without_the_extra_the_same_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own decoder reads what orjson reads."""
    text = VERL + "".join(
        json.dumps({"step": k, "loss": k / 3, "grad_norm": {"fc": 1 / (k + 1)}}) + "\n"
        for k in range(3, 40)
    )
    fast = read_text(json_log.read, tmp_path / "x.jsonl", text)
    monkeypatch.setattr(json_decoder, "orjson", None)

    np.testing.assert_equal(read_text(json_log.read, tmp_path / "x.jsonl", text), fast)


def test_the_step_is_that_of_entries_with_a_norm(tmp_path: Path) -> None:
    """Settings before them, and a summary after them, may have another step."""
    lines = [
        '{"steps": 1000, "seed": 1}',
        '{"global_step/max_steps": "1/2", "grad_norm": 0.5}',
        '{"global_step/max_steps": "2/2", "grad_norm": 0.25}',
        '{"global_step": 2, "memory": 14.5, "log_history": [{"step": 1}]}',
    ]
    for first in (0, 1):
        steps = read_text(json_log.read, tmp_path / "x", "\n".join([*lines[first:], ""]))
        assert steps == {1: {"grad_norm": 0.5}, 2: {"grad_norm": 0.25}}
    path = tmp_path / "grows.jsonl"
    pieces = [f"{line}\n".encode() for line in lines]
    path.write_bytes(pieces.pop(0))
    steps = to_steps(json_log.read(path, pytest.fail, grow(path, pieces)))
    assert {step: values.get("grad_norm") for step, values in steps.items()} == {
        1000: None,
        1: 0.5,
        2: 0.25,
    }


def test_a_norm_that_is_a_text_is_reported(tmp_path: Path) -> None:
    """Its step is not dropped without a word; other texts are no figures."""
    path, reports = tmp_path / "x.jsonl", list[str]()
    path.write_text(
        '{"step": 1, "grad_norm": 1, "x": "y"}\n{"step": 2, "grad_norm": "?"}\n'
    )
    steps = to_steps(json_log.read(path, reports.append))

    assert steps == {1: {"grad_norm": 1}}
    assert reports == ["'grad_norm' is '?' at step 2, left out"]


def test_a_value_a_line(tmp_path: Path) -> None:
    """JSON lines with a name and a value are entries with that name."""
    lines = [
        {"name": "grad_norm", "value": 0.5, "step": 1, "run_id": "a"},
        {"name": "loss", "value": 2.0, "step": 1, "run_id": "a"},
        {"name": "grad_norm", "value": None, "step": 2, "run_id": "a"},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    steps = [(s.number, str(s.norms[0]), dict(s.values)) for s in read_run(path).steps]
    assert steps == [(1, "0.5", {"loss": 2.0}), (2, "nan", {})]

    (tmp_path / "x.json").write_text(json.dumps(lines[:2]))
    (step,) = read_run(tmp_path / "x.json").steps
    assert step.values == {"loss": 2.0}

    lines[1]["run_id"] = "b"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunFormatError, match=r"has rows of several runs \('a', 'b'\)"):
        read_run(path)


def test_a_log_with_a_norm_and_a_value_stays(tmp_path: Path) -> None:
    """The value of a critic and the name of a run are none of a value a line."""
    line = {"step": 1, "name": "run", "value": 0.25, "grad_norm": 0.5}
    (tmp_path / "x.jsonl").write_text(json.dumps(line) + "\n")
    (step,) = read_run(tmp_path / "x.jsonl").steps
    assert step.values == {"value": 0.25}
