"""Tables: delimiters, headers, cells and clocks of CSV."""

from pathlib import Path

import numpy as np
import pytest
from helpers.growing import list_entries
from hypothesis import given
from hypothesis import strategies as st

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.numbers import parse_number
from gradsound.logs.tables import csv, table_rows
from gradsound.logs.tables.table_header import parse_header, split_line
from gradsound.logs.tables.table_rows import parse_rows

TABLE = "step,grad_norm\n0,1\n"


def read_table(path: Path, text: str) -> list[tuple[int, float, float, dict[str, float]]]:
    """Returns number, time, first norm and values of each step of a table."""
    path.write_text(text)
    return [
        (step.number, step.time, float(step.norms[0]), dict(step.values))
        for step in read_run(path).steps
    ]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("step,grad_norm,x;y", "1,2.5,3"),
        ("step;x,step,grad_norm", "9,1,2.5"),
        ("step,x;step;grad_norm;y", "9;1;2,5;3"),
        ("STEP,,grad_norm", "1,7,2.5"),
        (" global step ,grad_norm,step", "1,2.5,3"),
        ("# step,grad_norm", "1,2.5"),
    ],
)
def test_the_delimiter_with_the_most_columns_counts(
    tmp_path: Path, header: str, row: str
) -> None:
    """Names may contain other delimiters; a column without a name is ignored."""
    ((number, _, norm, values),) = read_table(tmp_path / "x.csv", f"{header}\n{row}\n")

    assert (number, norm) == (1, 2.5)
    assert "" not in values


@pytest.mark.parametrize(
    ("text", "message_end"),
    [
        ("step\n1\n", "'step'"),
        ("step,grad_norm\0\n1,2\n", "bytes that are no text"),
        ("#\n" * 11 + TABLE, "'#'"),
        ("x" * 81 + "\n", rf"'{'x' * 80}'"),
        ("", "blank lines"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, message_end: str) -> None:
    """A header has a column of steps and another one, within the first 11 lines."""
    (tmp_path / "x.csv").write_text(text or "\n")
    with pytest.raises(
        RunFormatError, match=rf"a column of steps \(.*\), got {message_end}$"
    ):
        read_run(tmp_path / "x.csv")
    assert read_table(tmp_path / "x.csv", "#\n" * 10 + TABLE) == [(0, 0.0, 1.0, {})]


def test_cells_may_be_missing_or_too_many(tmp_path: Path) -> None:
    """A missing cell is no value, a cell beyond the header is ignored."""
    text = "step,grad_norm,loss,time\n0,1,2,5\n1,2\n2,3,4,7,8\n3,4,x,never\n"

    assert read_table(tmp_path / "x.csv", text) == [
        (0, 0.0, 1.0, {"loss": 2.0}),
        (1, 0.0, 2.0, {}),
        (2, 2.0, 3.0, {"loss": 4.0}),
        (3, 2.0, 4.0, {}),
    ]


@pytest.mark.parametrize("line", ["1", "1,2", "1,2,", "1,2,x", ",,"])
def test_a_line_without_a_step_is_left_out(tmp_path: Path, line: str) -> None:
    """A line whose cell of the step is missing or no number causes a warning."""
    text = f"grad_norm,loss,step,time\n1,2,0,5\n\n{line}\n3,4,1\n"
    with pytest.warns(GradsoundWarning, match=r"x.csv: line 4 has no step, left out$"):
        steps = read_table(tmp_path / "x.csv", text)
    assert steps == [(0, 0.0, 1.0, {"loss": 2.0}), (1, 0.0, 3.0, {"loss": 4.0})]


def test_a_table_without_its_last_newline(tmp_path: Path) -> None:
    """A last line with all cells counts; one with fewer cells is torn."""
    assert len(read_table(tmp_path / "x.csv", TABLE + "1,2")) == 2
    with pytest.warns(GradsoundWarning, match="line 3 is torn, left out"):
        assert len(read_table(tmp_path / "x.csv", TABLE + "1")) == 1


def test_a_line_that_is_too_long_ends_the_table(tmp_path: Path) -> None:
    """The reader stops at a line of 4 MiB characters, with a warning."""
    text = TABLE + "1," + "2" * (1 << 22) + "\n2,3\n"
    with pytest.warns(GradsoundWarning, match="line 3 is longer than any, and ends it"):
        assert len(read_table(tmp_path / "x.csv", text)) == 1


def test_quotes_that_are_not_closed_end_with_their_line(tmp_path: Path) -> None:
    """An open quote swallows its own line only, also if that is too long for a cell."""
    text = TABLE + '1,"2\n2,3\n3,4,"' + "x" * 200_000 + "\n4,5\n"
    steps = read_table(tmp_path / "x.csv", text)

    assert [(number, norm) for number, _, norm, _ in steps] == [
        (k, k + 1.0) for k in range(5)
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1e11", 1e11),
        ("1.5e11", 1.5e8),
        ("2001-09-09T01:46:40", 1e9),
        (" 2001-09-09 03:46:40+02:00 ", 1e9),
    ],
)
def test_clocks_of_tables(tmp_path: Path, text: str, seconds: float) -> None:
    """A time is seconds up to 1e11, else milliseconds, or a date, in UTC by default."""
    rows = f"step,grad_norm,time\n0,1,0\n1,1,{text}\n"

    assert read_table(tmp_path / "x.csv", rows)[1][1] == seconds


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.floats(0, 1).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["", "+1", ".5", "1.", "01", "1e999", "-", "1e", "1e5", " 2 "]),
    st.sampled_from(["x", "true", "null", "[1", "1_0", '"3"', "1.#INF", "-1.#IND", "٣"]),
)


@given(data=st.data(), with_orjson=st.booleans())
def test_many_lines_at_once_are_read_as_each_alone(
    data: st.DataObject, with_orjson: bool
) -> None:
    """A block of regular lines gives the numbers of its cells, whatever is in them."""
    width = data.draw(st.integers(2, 5))
    odd = data.draw(st.booleans())
    cells = NUMBERS if odd else st.floats(allow_nan=False, allow_infinity=False).map(repr)
    lines = data.draw(
        st.lists(st.lists(cells, min_size=width, max_size=width).map(",".join), min_size=1)
    )
    header = parse_header(",".join(["step", *map(str, range(1, width))]))
    assert header is not None
    with pytest.MonkeyPatch.context() as patch:
        if not with_orjson:
            patch.setattr(table_rows, "orjson", None)
        rows = parse_rows(lines, header)
    expected = [[parse_number(c) for c in split_line(line, ",")] for line in lines]

    steps = zip(rows.steps.tolist(), rows.has_step.tolist())
    np.testing.assert_equal(
        [step if known else None for step, known in steps], [row[0] for row in expected]
    )
    values = [
        [number if known else None for number, known in zip(numbers, are_known)]
        for numbers, are_known in zip(rows.values.tolist(), rows.present.tolist())
    ]
    np.testing.assert_equal(values, [row[1:] for row in expected])


@pytest.mark.parametrize(
    ("header", "step"),
    [
        # As the trainers write them: Stable-Baselines3, RLlib, timm, Ultralytics, Spinning
        # Up, d3rlpy, Keras, garage.
        ("rollout/ep_rew_mean,time/iterations,time/total_timesteps,train/loss", 2),
        ("timesteps_total,training_iteration,time_total_s,info/grad_gnorm", 0),
        ("epoch,train_loss,eval_loss,lr", 0),
        ("                  epoch,         train/box_loss,   metrics/mAP50(B)", 0),
        ("Epoch\tAverageEpRet\tTotalEnvInteracts\tTime", 2),
        ("epoch,step,loss", 1),
        ("loss,epoch", 1),
    ],
)
def test_the_step_by_another_word(header: str, step: int) -> None:
    """A step of the optimizer wins over steps of an environment, and these over epochs."""
    found = parse_header(header)

    assert found is not None
    assert found.step == step


def test_a_column_of_steps_that_a_user_names(tmp_path: Path) -> None:
    """The name may be that of any column; an error of another name lists the columns."""
    (tmp_path / "x.csv").write_text("step,Games Played,norm\n0,30,1\n1,60,2\n")
    for name in ("Games Played", "games_played"):
        parts = csv.read(tmp_path / "x.csv", pytest.fail, step=name)
        assert [part.steps.tolist() for part in parts if part] == [[30, 30, 60, 60]]
    assert csv.is_table(b"a,b\n", step="b")
    assert not csv.is_table(b"a,b\n")
    with pytest.raises(
        RunFormatError, match=r"no column 'round' for --step; there are: step, Games Played"
    ):
        [*csv.read(tmp_path / "x.csv", pytest.fail, step="round")]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *(("1.#INF", np.inf), ("-1.#INF00", -np.inf), ("1.#QNAN", np.nan)),
        *(("-1.#IND", np.nan), ("NaN", np.nan), ("-Infinity", -np.inf)),
    ],
)
def test_cells_that_are_not_finite(tmp_path: Path, cell: str, number: float) -> None:
    """C wrote NaN and infinities differently on Windows; an empty cell has no value."""
    (tmp_path / "x.csv").write_text(f"step,norm,loss\n0,{cell},\n")
    part = next(csv.read(tmp_path / "x.csv", pytest.fail))

    assert part is not None
    np.testing.assert_equal(part.values, [number])


def test_a_norm_that_is_no_number_is_reported(tmp_path: Path) -> None:
    """A cell of a norm with a text is left out, with a report; an empty one without."""
    (tmp_path / "x.csv").write_text("step,grad_norm,x\n0,1,a\n1,,\n2,tensor(3.),\n")
    reports: list[str] = []
    parts = [part for part in csv.read(tmp_path / "x.csv", reports.append) if part]

    assert [entry for part in parts for entry in list_entries(part)] == [
        ("grad_norm", 0, 1)
    ]
    assert reports == ["line 4 has 'tensor(3.)' for 'grad_norm', left out"]


def test_a_table_with_a_value_a_row(tmp_path: Path) -> None:
    """The page of MLflow exports names in a column; its times are milliseconds."""
    path = tmp_path / "metrics.csv"
    path.write_text(
        "run_id,key,value,step,timestamp\n"
        "a1,grad_norm,0.5,0,1700000000000\na1,grad_norm,0.25,1,1700000001000\n"
        "a1,loss,3,0,1700000000500\na1,loss,NaN,1,1700000001500\n"
    )
    (part,) = (part for part in csv.read(path, pytest.fail) if part is not None)

    np.testing.assert_equal(
        list_entries(part),
        [
            ("grad_norm", 0, 0.5),
            ("grad_norm", 1, 0.25),
            ("loss", 0, 3),
            ("loss", 1, np.nan),
        ],
    )
    assert part.times.tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 0.5, 1.7e9 + 1.5]
    path.write_text("run_id,key,value,step\na1,loss,1,0\nb2,loss,1,0\n")
    with pytest.raises(RunFormatError, match=r"several runs \('a1', 'b2'\); keep those of"):
        [*csv.read(path, pytest.fail)]


def test_a_table_that_tensorboard_exported(tmp_path: Path) -> None:
    """The name of the value is only in the name of the file."""
    path = tmp_path / "run-a-tag-grad_norm_fc1.csv"
    path.write_text("Wall time,Step,Value\n1700000000.5,0,0.5\n1700000001.5,1,0.25\n")
    (part,) = (part for part in csv.read(path, pytest.fail) if part is not None)

    assert list_entries(part) == [("grad_norm_fc1", 0, 0.5), ("grad_norm_fc1", 1, 0.25)]
    assert part.times.tolist() == [1.7e9 + 0.5, 1.7e9 + 1.5]


def test_thousands_in_quotes_are_numbers(tmp_path: Path) -> None:
    """A comma in a quoted cell separates thousands, or the cell is no number."""
    rows = ["step,grad_norm", '"1,000","1,234.5"', '"1,001","0,5"', '"1,002",0.5']
    (tmp_path / "x.csv").write_text("\n".join(rows))
    with pytest.warns(GradsoundWarning, match="line 3 has '0,5' for 'grad_norm', left out"):
        run = read_run(tmp_path / "x.csv")
    norms = {step.number: float(step.norms[0]) for step in run.steps}
    assert norms == {1000: 1234.5, 1002: 0.5}
