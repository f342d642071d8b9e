"""gradsound info of several runs: a table with a column, or a line, for each run."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.runs import make_run

from gradsound.cli import output
from gradsound.cli.main import main
from gradsound.errors import MissingExtraError
from gradsound.runs import compressed_file
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter


def write(name: str, norms: list[list[float | None]], **values: list[float]) -> str:
    """Writes a run, whose values have a number for each step, and returns its name."""
    run = make_run(norms, comment=name.upper() if values else "")
    writer = RunWriter(Path(name), run.header)
    for k, step in enumerate(run.steps):
        one = {name.replace("__", "/"): numbers[k] for name, numbers in values.items()}
        writer.write(make_block([replace(step, values=one)]))
    writer.close()
    return name


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes a healthy run, one whose layer dies, and one that ends in NaN."""
    monkeypatch.chdir(tmp_path)
    losses = [1.0 - k / 300 for k in range(90)]
    write("lr1.jsonl", [[3.0, 4.0]] * 90, loss=losses, lr=[0.1] * 90)
    write("lr2.jsonl", [[1.0, 1.0]] * 30 + [[0.0, 1.0]] * 60)
    nan = [[6.0, 8.0]] * 8 + [[math.nan, 8.0]] * 2
    write("lr3.jsonl", nan, loss=losses[:10], val__loss=[2.5, 2.25, *[3.0] * 8])


def info(*arguments: str) -> int:
    """Runs `gradsound info` and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main(["info", *arguments])
    return exit_info.value.code


RUNS = "lr1.jsonl", "lr2.jsonl", "lr3.jsonl"


def table(text: str) -> dict[str, list[str]]:
    """Returns the cells of each line by its label, from text with two spaces between."""
    rows = [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in text.splitlines()
    ]
    return {row[0]: row[1:] for row in rows if row}


def test_each_run_has_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    """The rows are the facts of `info`: steps, losses, norms, alarms with their step."""
    assert info(*RUNS) == 0
    comments, _, text = capsys.readouterr().out.partition("\n\n")
    rows = table(text)

    assert comments.splitlines() == ["lr1  LR1.JSONL", "lr2", "lr3  LR3.JSONL"]
    assert text.split("\n")[0].split() == ["lr1", "lr2", "lr3"]
    assert rows["steps"] == ["90", "90", "10"]
    assert rows["time"] == ["29.7 s", "29.7 s", "3.0 s"]
    assert rows["layers"] == ["2", "2", "2"]
    assert rows["last loss"] == ["0.7033", "-", "0.97"]
    assert rows["lowest val/loss"] == ["-", "-", "2.25"]
    assert rows["highest learning rate"] == ["0.1", "-", "-"]
    assert rows["typical norm"] == ["5", "1", "10"]
    assert rows["not finite"] == ["-", "-", "2, from 8"]
    assert rows["alarms"] == ["none", "1", "1"]
    assert rows["dead"] == ["-", "at 32", "-"]
    assert rows["nonfinite"] == ["-", "-", "at 8"]


def test_skipped_steps_have_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """The row has how many steps were skipped, and the first of them."""
    run = make_run([[1.0]] * 6)
    writer = RunWriter(Path("amp.jsonl"), run.header)
    writer.write(
        make_block([replace(one, skipped=one.number in (2, 4)) for one in run.steps])
    )
    writer.close()
    assert info("amp.jsonl", *RUNS) == 0

    assert table(capsys.readouterr().out)["skipped"] == ["2, from 2", "-", "-", "-"]


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """A wide terminal has a column for each run; a narrow one has a line for each."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", f"{columns}")
    runs = [write(f"a long name of the run {k}.jsonl", [[1.0]] * 3) for k in range(5)]
    assert info(*runs, *RUNS) == 0
    lines = terminal.getvalue().splitlines()

    assert output.terminal_columns() == columns
    assert max(map(len, lines)) <= columns
    by_run = any(line.startswith("steps") for line in lines)
    assert by_run == (columns == 200)
    if not by_run:
        blocks = sum(line.startswith("lr2") for line in lines) - 1  # and its comment
        assert blocks == "\n".join(lines).count("\n\n")
        assert any(line.split() == ["lr3", "10"] for line in lines) or columns > 40


def test_the_example_of_the_documentation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/command-line.md shows what `gradsound info` prints for three samples."""
    monkeypatch.chdir(Path(__file__).parents[2])
    names = "1-sgd-lr0.01-batch10", "2-sgd-lr0.1-batch10", "3-sgd-lr1-batch10"
    assert info(*[f"samples/runs/{name}.jsonl" for name in names]) == 0
    page = Path("docs/command-line.md").read_text()

    assert f"```\n{capsys.readouterr().out}```" in page


def test_json_is_the_list_of_the_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """Each object is that of the run alone."""
    alone = []
    for name in RUNS:
        assert info(name, "--json") == 0
        alone.append(json.loads(capsys.readouterr().out))
    assert info(*RUNS, "--json") == 0

    assert json.loads(capsys.readouterr().out) == alone


def test_a_run_that_cannot_be_read_hides_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The others have their columns; a line names each broken run; the status is 2."""
    Path("empty.jsonl").touch()
    torn = Path("lr1.jsonl").read_bytes().splitlines(keepends=True)
    Path("torn.jsonl").write_bytes(b"".join([*torn[:4], b'{"step": -3}\n', *torn[4:]]))
    assert info("lr1.jsonl", "gone.jsonl", "empty.jsonl", "torn.jsonl", "lr3.jsonl") == 2
    printed = capsys.readouterr()

    assert table(printed.out)["steps"] == ["90", "10"]
    errors = printed.err.splitlines()
    assert len(errors) == 3
    assert errors[0] == "gradsound: gone.jsonl: No such file or directory"
    assert errors[1].startswith("gradsound: empty.jsonl: empty")
    assert errors[2].startswith("gradsound: torn.jsonl, line 5: ")


def test_a_run_whose_reader_is_not_installed_hides_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zstandard needs an extra."""

    def refuse() -> None:
        raise MissingExtraError("zstandard")

    monkeypatch.setattr(compressed_file, "_zstandard_decompressor", refuse)
    Path("a.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    assert info("lr1.jsonl", "a.jsonl.zst") == 2
    printed = capsys.readouterr()

    assert table(printed.out)["steps"] == ["90"]
    assert printed.err.startswith("gradsound: zstandard is not installed: pip install")


def test_the_layers_are_those_of_all_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """--layers selects in each run."""
    assert info(*RUNS, "--layers", "layer1") == 0
    rows = table(capsys.readouterr().out)

    assert rows["layers"] == ["1", "1", "1"]
    assert rows["typical norm"] == ["4", "1", "8"]


def test_parts_go_on_with_the_first_run(capsys: pytest.CaptureFixture[str]) -> None:
    """--then is for the first of several runs."""
    assert info("lr3.jsonl", "lr2.jsonl", "--then", "lr1.jsonl") == 0

    assert table(capsys.readouterr().out)["steps"] == ["100", "90"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", *["lr1.jsonl"] * 9], "at most 8 runs can be compared, got 9"),
        (["plot", *["lr1.jsonl"] * 9, "-o", "x.png"], "at most 8 runs can be compared"),
        (["render", *["lr1.jsonl"] * 9, "-o", "x.wav"], "at most 8 runs can be compared"),
        (["info", "-", "-"], "standard input has one run"),
        (["info", *RUNS, "./lr2.jsonl"], "lr2.jsonl: is given twice; give each run once"),
        (["plot", *RUNS, "--layers", "no", "-o", "x.png"], "lr1.jsonl: no layer matches"),
        (["info", *RUNS, "--all"], "--all and --top are for the layers and alarms of a"),
        (["info", *RUNS, "--top", "3"], "--all and --top are for the layers and alarms"),
        (["serve", *RUNS], "a page plays one run, got 3; render and plot take several"),
        (["render", *RUNS, "--difference", "-o", "x.wav"], "needs two runs, got 3"),
        (["render", *RUNS, "-o", "lr3.jsonl"], "lr3.jsonl: is the run itself"),
        (["plot", *RUNS, "gone.jsonl", "-o", "x.png"], "gone.jsonl: No such file"),
    ],
)
def test_wrong_comparisons_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """One line names what is wrong; no file changes."""
    before = {path: path.read_bytes() for path in Path().iterdir()}
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)

    assert exit_info.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_signals_have_rows(save, capsys: pytest.CaptureFixture[str]) -> None:
    """The median of the layers' typical numbers; a run without signals has none."""
    norms = [[1.0, 2.0, 3.0]] * 3
    save(norms, name="a.jsonl", signals={"snr": [0.25, 0.5, math.nan]})
    save(norms, name="b.jsonl", signals={"update_ratio": [0.0, 0.002, 0.004]})
    info("a.jsonl", "b.jsonl", "lr1.jsonl")
    rows = table(capsys.readouterr().out)

    assert rows["typical snr"] == ["0.375", "-", "-"]
    assert rows["typical update_ratio"] == ["-", "0.002", "-"]
