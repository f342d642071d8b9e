"""Tables: delimiters, headers, cells and clocks of CSV."""

from pathlib import Path

import pytest

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError

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
        ("step,grad_norm\0\n1,2\n", r"'step,grad_norm\\x00'"),
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
