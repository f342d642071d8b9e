"""`gradsound list`: the runs in a folder as text and as JSON."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.processes import started
from helpers.runs import make_run

from gradsound.cli.main import main
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("own_folder")
NAN = float("nan")


def save(name: str, rows: list[list[float]], start: str, comment: str = "") -> RunWriter:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    run = make_run(rows, comment=comment)
    writer = RunWriter(Path(name), replace(run.header, start=start))
    writer.write(make_block([*run.steps]))
    return writer


def list_runs(capsys, *arguments: str) -> tuple[int, str, str]:
    """Returns exit status, standard output and standard error."""
    with pytest.raises(SystemExit) as exit_:
        main(["list", *arguments])
    return (exit_.value.code, *capsys.readouterr())


@pytest.fixture
def runs(own_folder: None) -> None:  # noqa: ARG001 (the folder comes first)
    """Makes a folder with a good run, one with an alarm, and one that is no run."""
    save("runs/a/run.jsonl", [[1.0, 2.0]] * 1200, "2026-11-28T12:00:00+00:00").close()
    rows = [[1.0, 2.0]] * 40 + [[NAN, 2.0]]
    save("runs/bad.jsonl", rows, "2026-11-29T12:00:00+00:00", "lr \x1b[31m3").close()
    Path("runs/data.jsonl").write_text('{"text": 1}\n')


@pytest.mark.usefixtures("runs")
def test_each_run_has_a_line(capsys) -> None:
    """The newest run is first; a comment has no escape codes; other files are left out."""
    status, out, err = list_runs(capsys, "runs")

    assert (status, err) == (0, "")
    title, *lines = out.splitlines()
    assert title.split() == ["began", "steps", "state", "run", "comment"]
    assert [re.split(r"  +", line.strip())[1:] for line in lines] == [
        ["41", "ended", "bad.jsonl", r"lr \x1b[31m3"],
        ["1,200", "ended", "a/run.jsonl"],
    ]


@pytest.mark.usefixtures("runs")
def test_alarms_are_counted_on_request(capsys) -> None:
    """With --alarms, each run has its alarms by kind; without, nobody reads its steps."""
    _, out, _ = list_runs(capsys, "runs", "--alarms")
    _, bad, good = out.splitlines()
    assert re.search(r"bad\.jsonl +1 nonfinite, last at step 40 +lr", bad)
    assert re.search(r"a/run\.jsonl +none$", good)


@pytest.mark.usefixtures("runs")
def test_the_listing_for_programs(capsys) -> None:
    """--json prints an object on one line; unknown things are null."""
    _, out, _ = list_runs(capsys, "runs", "--alarms", "--json")
    data = json.loads(out)

    assert out.count("\n") == 1
    assert (data["version"], data["folder"], data["errors"]) == (1, "runs", [])
    bad, good = data["runs"]
    assert bad["alarms"] == {
        "counts": {"nonfinite": 1},
        "last": {"step": 40, "kind": "nonfinite", "text": "NaN in layer0"},
    }
    assert (good["run"], good["files"]) == ("a/run.jsonl", ["runs/a/run.jsonl"])
    assert (good["steps"], good["ranks"], good["note"]) == (1200, 1, None)
    assert (good["state"], good["tool"]) == ("ended", "gradsound")
    assert good["alarms"] == {"counts": {}, "last": None}
    assert json.loads(list_runs(capsys, "runs", "--json")[1])["runs"][0]["alarms"] is None


def test_a_growing_run_of_another_process_is_told(capsys) -> None:
    """A training in another process has the lock that the listing asks for."""
    code = """if True:
        import sys
        from pathlib import Path
        from gradsound.runs.model import Header
        from gradsound.runs.writer import RunWriter
        header = Header(layers=("a",), parameters=(1,), start="")
        writer = RunWriter(Path("run.jsonl"), header)
        print("open", flush=True)
        sys.stdin.read()
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started([sys.executable, "-c", code], **pipes) as training:
        training.stdout.readline()
        assert " growing " in list_runs(capsys)[1]
        training.kill()
    assert " ended " in list_runs(capsys)[1]


@pytest.mark.usefixtures("runs")
def test_a_run_that_cannot_be_read_has_a_line_of_its_own(capsys) -> None:
    """It goes to standard error; the other runs are listed."""
    Path("runs/new.jsonl").write_text('{"format": "gradsound-run", "version": "9.0"}\n')
    status, out, err = list_runs(capsys, "runs")

    assert (status, len(out.splitlines())) == (0, 3)
    assert err.startswith("gradsound: runs/new.jsonl: line 1: written in run format 9.0")
    assert len(err.splitlines()) == 1


def test_a_damaged_compressed_run_is_named_once(capsys) -> None:
    """Its error has a path in front already."""
    Path("run.jsonl.gz").write_bytes(b"\x1f\x8bno gzip")
    _, _, err = list_runs(capsys)

    assert err.startswith("gradsound: run.jsonl.gz: the compressed data are damaged (")


@pytest.mark.usefixtures("runs")
def test_alarms_of_a_damaged_run_are_its_error(capsys) -> None:
    """A line that is no step ends neither the listing nor the command."""
    with Path("runs/a/run.jsonl").open("a") as file:
        file.write("no step\n" + '{"step": 1201, "time": 500.0, "norms": [1, 2]}\n')
    status, out, _ = list_runs(capsys, "runs", "--alarms")

    assert status == 0
    assert "line 1202: expected a JSON object" in out.splitlines()[2]


def test_an_empty_folder_is_told(capsys) -> None:
    """A folder without runs is no error, and neither is the default, the working one."""
    assert list_runs(capsys) == (0, ".: no runs, and no logs of other tools\n", "")
    status, out, err = list_runs(capsys, "missing")
    assert (status, out, err) == (2, "", "gradsound: missing: No such file or directory\n")
    Path("file").touch()
    assert list_runs(capsys, "file")[2] == "gradsound: file: Not a directory\n"


@pytest.mark.usefixtures("runs")
def test_lines_fit_the_terminal(capsys, monkeypatch) -> None:
    """On a terminal, a long name loses its middle, and a comment its end."""
    save("runs/" + "x" * 90 + ".jsonl", [[1.0]], "2026-11-30", "y" * 90).close()
    monkeypatch.setattr("gradsound.cli.commands.list.terminal_columns", lambda: 80)
    lines = list_runs(capsys, "runs")[1].splitlines()

    assert all(len(line) <= 80 for line in lines)
    assert "x...x" in lines[1]


@pytest.mark.parametrize("command", ["info", "plot -o x.png", "render -o x.wav", "play"])
@pytest.mark.usefixtures("runs")
def test_a_folder_of_runs_is_one_to_choose_from(capsys, command: str) -> None:
    """A command of one run names the runs of a folder, and says how to list them."""
    name, *options = command.split()
    with pytest.raises(SystemExit) as exit_:
        main([name, "runs", *options])

    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        "gradsound: runs: has 2 runs, give one: runs/bad.jsonl, runs/a/run.jsonl "
        "('gradsound list runs' lists them)\n"
    )


@pytest.mark.usefixtures("runs")
def test_a_folder_with_one_run_is_that_run(capsys) -> None:
    """A command of one run takes the only run of a folder."""
    with pytest.raises(SystemExit) as exit_:
        main(["info", "runs/a"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("runs/a/run.jsonl\n")
