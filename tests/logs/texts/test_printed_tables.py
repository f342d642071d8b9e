"""Tables and boxes that trainings print: each in the form of the program that prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.text_logs import grow, read_text, times, to_steps

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.texts import console, printed_tables

ROWS = {1: (2 / 3, 0.5), 2: (1 / 3, 0.25), 1000: (1 / 7, 0.125)}
STEPS = {k: {"loss": loss, "grad_norm": norm} for k, (loss, norm) in ROWS.items()}

MARKDOWN = "| step | loss | grad_norm |\n|-----:|:----:|----------:|\n" + "".join(
    f"| {k:,} | {loss} | {norm} |\n" for k, (loss, norm) in ROWS.items()
)
SPACES = "step  loss  grad_norm\n" + "".join(
    f"{k:4}  {loss}  {norm}\n" for k, (loss, norm) in ROWS.items()
)
PANDAS = "     step      loss  grad_norm\n" + "".join(
    f"{row:<3}  {k:4}  {loss:.17f} {norm:10}\n"
    for row, (k, (loss, norm)) in enumerate(ROWS.items())
)
PANDAS_MARKDOWN = (
    "|    |   step |   loss |   grad_norm |\n|---:|----:|---:|---:|\n"
    + "".join(
        f"|  {row} | {k:6} | {loss} | {norm} |\n"
        for row, (k, (loss, norm)) in enumerate(ROWS.items())
    )
)
RICH = (
    "┏━━━━━━┳━━━━━━┳━━━━━━━━━━━┓\n┃ step ┃ loss ┃ grad_norm ┃\n"
    "┡━━━━━━╇━━━━━━╇━━━━━━━━━━━┩\n"
    + "".join(f"│ {k} │ {loss} │ {norm} │\n" for k, (loss, norm) in ROWS.items())
    + "└──────┴──────┴───────────┘\n"
)
GRID = (
    "+------+------+-----------+\n| step | loss | grad_norm |\n+======+======+====+\n"
    + (
        "".join(
            f"| {k} | {loss} | {norm} |\n+------+------+-----------+\n"
            for k, (loss, norm) in ROWS.items()
        )
    )
)
NO_OUTER_BARS = "step | loss | grad_norm\n-----|------|----------\n" + "".join(
    f"{k} | {loss} | {norm}\n" for k, (loss, norm) in ROWS.items()
)
NOISE = "Loading data ...\n  0%|          | 0/10 [00:00<?, ?it/s]\n# Training\n\n"
LOGGER = NOISE + "".join(
    f"2026-01-02 10:00:0{k} INFO {line}\n\x1b[31mWARNING: x is slow, 3 of 4\x1b[0m\n"
    for k, line in enumerate(MARKDOWN.splitlines())
)


@pytest.mark.parametrize(
    "text",
    [
        *(MARKDOWN, SPACES, PANDAS, PANDAS_MARKDOWN, RICH, GRID, NO_OUTER_BARS, LOGGER),
        *(NOISE + SPACES, NOISE + RICH, MARKDOWN.replace("\n", "\r\n")),
        SPACES + "saved model\n" + SPACES,
    ],
)
def test_a_table_is_read_as_its_rows_say(text: str, tmp_path: Path) -> None:
    """Bars or spaces split the cells; rules, an index and other lines are passed over."""
    assert printed_tables.is_printed_table(text.encode())
    assert not console.is_console(text.encode())
    steps = read_text(printed_tables.read, tmp_path / "x", text)
    assert steps == STEPS


def box(names: dict[str, object], width: int = 24) -> str:
    """Returns a box as the logger of Stable-Baselines3 prints it."""
    lines, group = [], ""
    for name, value in names.items():
        own, _, last = name.rpartition("/")
        if own and own != group:
            group = own
            lines.append(f"| {own + '/':<{width}}| {'':<12}|")
        lines.append(f"| {'   ' * bool(own) + last:<{width}}| {value!s:<12}|")
    border = "-" * len(lines[0])
    return "\n".join([border, *lines, border, ""])


def test_boxes_of_stable_baselines(tmp_path: Path) -> None:
    """A box is a step; names have that of their group, and the clock is time_elapsed."""
    text = "Using cuda device\n" + "".join(
        box(
            {
                "rollout/ep_rew_mean": 7.5 * k,
                "time/iterations": k,
                "time/time_elapsed": 3 * k,
                "time/total_timesteps": 2048 * k,
                "train/grad_norm": 1 / 2**k,
                "train/n_updates": 10 * k,
            }
        )
        for k in (1, 2)
    )
    path = tmp_path / "x"
    assert printed_tables.is_printed_table(text.encode())
    steps = read_text(printed_tables.read, path, text)

    assert steps == {
        2048.0 * k: {
            "rollout/ep_rew_mean": 7.5 * k,
            "time/iterations": k,
            "train/grad_norm": 1 / 2**k,
            "train/n_updates": 10 * k,
        }
        for k in (1, 2)
    }
    assert times(printed_tables.read(path, pytest.fail)) == {2048.0: 3, 4096.0: 6}


def test_boxes_without_groups(tmp_path: Path) -> None:
    """The logger of OpenAI's baselines has no groups."""
    text = "".join(box({"grad_norm": 1 / k, "total_timesteps": 100 * k}) for k in (1, 2))
    steps = read_text(printed_tables.read, tmp_path / "x", text)
    assert steps == {100: {"grad_norm": 1}, 200: {"grad_norm": 0.5}}


def test_a_box_without_an_end_is_read_when_it_ends(tmp_path: Path) -> None:
    """A box that is half printed waits; the last one is read at the end."""
    path, text = tmp_path / "x", box({"total_timesteps": 100, "grad_norm": 0.5})
    half = text.index("| grad_norm")
    path.write_text(text[:half])
    wait = grow(path, [text[half:].encode(), text.encode()[: -len(text) // 3]])
    pieces = [*printed_tables.read(path, pytest.fail, wait)]

    assert to_steps(pieces) == {100: {"grad_norm": 0.5}}
    assert pieces[0] is None


@pytest.mark.parametrize("text", [MARKDOWN, SPACES, LOGGER])
def test_a_table_is_followed_line_by_line(text: str, tmp_path: Path) -> None:
    """However a table is cut while it grows, its steps are the same."""
    data = text.encode()
    for size in (7, 100):
        path = tmp_path / f"{size}"
        path.write_bytes(b"")
        pieces = [data[k : k + size] for k in range(0, len(data), size)]
        read = printed_tables.read(path, pytest.fail, grow(path, pieces))
        assert to_steps(read) == STEPS


def test_a_header_in_the_middle_begins_a_new_table(tmp_path: Path) -> None:
    """As in a table of commas, the columns after it may be others."""
    text = MARKDOWN + "| grad_norm | step |\n| --- | --- |\n| 0.75 | 1001 |\n"
    steps = read_text(printed_tables.read, tmp_path / "x", text)
    assert steps == STEPS | {1001: {"grad_norm": 0.75}}


def test_the_user_names_the_step(tmp_path: Path) -> None:
    """The column that a user names is the step, and the usual one a value."""
    text = "| epoch | tick | grad_norm |\n| 1 | 50 | 0.5 |\n| 1 | 100 | 0.25 |\n"
    steps = read_text(printed_tables.read, tmp_path / "x", text, step="tick")
    assert steps == {
        50: {"epoch": 1, "grad_norm": 0.5},
        100: {"epoch": 1, "grad_norm": 0.25},
    }


def test_damaged_rows_are_reported(tmp_path: Path) -> None:
    """A row of another width, and a norm that is no number, are reported."""
    rows = "| 3 | 0.5 |\n| x | 1.0 | 0.5 |\n| 4 | 1.0 | None |\n| 5 |  | 0.5 |\n"
    (tmp_path / "x.log").write_text(MARKDOWN + rows)
    reports: list[str] = []
    steps = to_steps(printed_tables.read(tmp_path / "x.log", reports.append))

    assert reports == [
        "line 6 has 2 cells for 3 columns, left out",
        "'grad_norm' is 'None' at step 4, left out",
    ]
    assert {k: steps[k] for k in (4, 5)} == {4: {"loss": 1}, 5: {"grad_norm": 0.5}}
    with pytest.warns(GradsoundWarning, match="with grad_norm as the norm; line 6 has"):
        assert read_run(tmp_path / "x.log").header.layers == ("grad_norm",)


@pytest.mark.parametrize(
    "text",
    [
        "We log the step and the grad_norm\nof 3 of 4 runs\n",
        "step loss grad_norm\nare what it prints\n1 2.0 0.5\n",
        "| tool | grad_norm |\n| --- | --- |\n| 1 | 2 |\n",
        "| step | loss |\n| 1 | 2 |\n",
        box({"total_timesteps": 100, "loss": 0.5}),
    ],
)
def test_other_texts_are_no_tables(text: str, tmp_path: Path) -> None:
    """A text without rows that have a step and a norm is refused by a sentence."""
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(RunFormatError, match="no line has a step and the norm"):
        read_run(tmp_path / "x.txt")
