"""The runs in a folder: which there are, what a listing tells, which is the only one."""

import errno
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.runs import make_run

import gradsound
from gradsound import run_folder
from gradsound.errors import RunFormatError
from gradsound.listed_alarms import find_alarms
from gradsound.run_folder import RunFolder
from gradsound.runs import run_facts
from gradsound.runs.listed_run import ListedRun
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("own_folder")
NAN = float("nan")
TABLE = "step,grad_norm\n0,1.5\n1,1.25\n"


def write(
    name: str, steps: int = 3, start: str = "2026-11-29T12:00:00+00:00", **fields: str
) -> RunWriter:
    """Writes a run file; returns its open writer."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    run = make_run([[1 / 3, 2.0]] * steps)
    writer = RunWriter(path, replace(run.header, start=start, **fields))
    writer.write(make_block([*run.steps]))
    return writer


def save(name: str, *args: object, **fields: str) -> Path:
    write(name, *args, **fields).close()
    return Path(name)


def listed(folder: str = ".") -> list[ListedRun]:
    return RunFolder(Path(folder)).list_runs()


def names(folder: str = ".") -> list[str]:
    return [run.name for run in listed(folder)]


def test_a_listing_tells_what_each_run_is() -> None:
    """A run has its path in the folder, comment, start, number of steps and time."""
    save("sweep/lr/run.jsonl", 4, comment="lr 1/3")
    (run,) = listed()

    assert (run.name, run.comment, run.steps) == ("sweep/lr/run.jsonl", "lr 1/3", 4)
    assert (run.start, run.seconds) == ("2026-11-29T12:00:00+00:00", 1.0)
    assert (run.state, run.ranks, run.tool) == ("ended", 1, "")
    assert run.size == Path("sweep/lr/run.jsonl").stat().st_size


def test_the_newest_run_is_first() -> None:
    """Runs are in the order of their starts, in any time zone; so are older files."""
    save("b.jsonl", start="2026-11-29T12:00:00+00:00")
    save("a.jsonl", start="2026-11-29T14:30:00+02:00")
    save("c.jsonl", start="2026-11-29T11:00:00+00:00")
    save("c.jsonl", start="2026-11-30T11:00:00+00:00")

    assert names() == ["c.jsonl", "a.jsonl", "b.jsonl", "c.1.jsonl"]


def test_a_run_grows_while_its_writer_has_it_open() -> None:
    """The state follows the lock of the writer, and a later listing sees new steps."""
    folder, writer = RunFolder(Path()), write("run.jsonl", 2)
    assert [(run.state, run.steps) for run in folder.list_runs()] == [("growing", 2)]
    writer.write(
        make_block([replace(step, number=7) for step in make_run([[1.0, 1.0]]).steps])
    )
    assert [(run.state, run.steps) for run in folder.list_runs()] == [("growing", 8)]
    writer.close()
    assert [(run.state, run.steps) for run in folder.list_runs()] == [("ended", 8)]
    Path("run.jsonl").unlink()
    assert folder.list_runs() == []


def test_a_run_that_a_kill_cut_off_says_so() -> None:
    """A file that ends in a part of a line is no run that ended in order."""
    path = save("run.jsonl", 3)
    path.write_bytes(path.read_bytes()[:-9])

    assert [(run.state, run.steps) for run in listed()] == [("cut off", 2)]


def test_ranks_of_one_training_are_one_run() -> None:
    """The files of all ranks have one entry, also beside those of another training."""
    for rank in (0, 1, 10):
        save(f"run.rank{rank}.jsonl", 2 + rank, training="a")
        save(f"run.1.rank{rank}.jsonl", 2, training="b", start="2026-11-01")
    save("alone.rank0.jsonl", training="c", start="2026-10-01")
    first, second, third = listed()

    assert (first.name, first.ranks, first.steps) == ("run.rank*.jsonl", 3, 12)
    assert [path.name for path in first.paths] == [
        *("run.rank0.jsonl", "run.rank1.jsonl", "run.rank10.jsonl"),
    ]
    assert (second.name, second.ranks) == ("run.1.rank*.jsonl", 3)
    assert (third.name, third.ranks) == ("alone.rank0.jsonl", 1)


def test_ranks_of_two_trainings_have_two_names() -> None:
    """Files of one series that two trainings wrote are two runs."""
    save("run.rank0.jsonl", training="a")
    for rank in (1, 2):
        save(f"run.rank{rank}.jsonl", training="b", start="2026-11-28")

    assert [(run.name, run.ranks) for run in listed()] == [
        ("run.rank0.jsonl", 1),
        ("run.rank1.jsonl (b)", 2),
    ]


def test_each_file_and_folder_counts_once() -> None:
    """Links to a folder above, to a file and to nothing add no run and end no listing."""
    save("runs/a/run.jsonl")
    Path("runs/a/up").symlink_to("../..")
    Path("runs/latest.jsonl").symlink_to("a/run.jsonl")
    Path("runs/gone.jsonl").symlink_to("nowhere")
    Path("runs/round.jsonl").symlink_to("round.jsonl")
    Path("linked").symlink_to("runs")

    assert names("runs") == ["a/run.jsonl"]
    assert names("linked") == ["a/run.jsonl"]


def test_other_files_are_passed_over() -> None:
    """Data sets, sounds, hidden folders and unfinished files are no runs."""
    Path("data.jsonl").write_text('{"text": "gradsound"}\n')
    Path("empty.jsonl").touch()
    Path("run.wav").touch()
    save(".trash/run.jsonl")
    save("folder.jsonl/run.txt")
    folder = RunFolder(Path())

    assert folder.list_runs() == []
    assert folder.errors == {}


def test_a_run_that_cannot_be_read_is_named() -> None:
    """A listing goes on after a damaged run, and says which it is."""
    save("good.jsonl")
    Path("new.jsonl").write_text('{"format": "gradsound-run", "version": "9.0"}\n')
    folder = RunFolder(Path())

    assert [run.name for run in folder.list_runs()] == ["good.jsonl"]
    ((file, error),) = folder.errors.items()
    assert file == "new.jsonl"
    assert error.startswith("line 1: written in run format 9.0")
    folder.list_runs()
    assert [*folder.errors] == ["new.jsonl"]


def test_a_folder_without_permission_is_named(monkeypatch) -> None:
    """A listing goes on after a folder that it may not read."""
    save("good.jsonl")
    Path("secret").mkdir()
    scan = os.scandir

    def refuse(path: Path) -> object:  # root reads everything
        if path.name == "secret":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    folder = RunFolder(Path())
    assert [run.name for run in folder.list_runs()] == ["good.jsonl"]
    assert folder.errors == {"secret": "Permission denied"}


def test_logs_of_other_tools_are_listed_by_their_names() -> None:
    """A log has its tool; the folders below it have parts of it, and run files."""
    Path("lightning/version_0").mkdir(parents=True)
    Path("lightning/version_0/metrics.csv").write_text(TABLE)
    Path("board/plugins").mkdir(parents=True)
    for folder in ("board", "board/plugins"):
        Path(folder, "events.out.tfevents.1").touch()
    save("board/plugins/run.jsonl")

    assert sorted((run.name, run.tool, run.steps) for run in listed()) == [
        ("board", "TensorBoard", None),
        ("board/plugins/run.jsonl", "", 3),
        ("lightning/version_0/metrics.csv", "CSV", None),
    ]


def test_a_listing_reads_changed_files_alone(monkeypatch) -> None:
    """A second listing reads no file that has the same size and time, and does not grow."""
    folder = RunFolder(Path())
    for name in ("a.jsonl", "b.jsonl"):
        save(name)
    folder.list_runs()
    read = []
    monkeypatch.setattr(
        "gradsound.run_folder.read_facts",
        lambda file, name: (read.append(name), run_facts.read_facts(file, name))[1],
    )
    assert len(folder.list_runs()) == 2
    assert read == []
    save("a.jsonl", 5)
    assert sorted(run.steps for run in folder.list_runs()) == [3, 3, 5]
    assert sorted(read) == ["a.1.jsonl", "a.jsonl"]


def test_a_compressed_run_is_listed() -> None:
    """A run that a user compressed has its comment; its steps are unknown unread."""
    path = save("run.jsonl", comment="lr 1/3")
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    (run,) = listed()

    assert (run.name, run.comment, run.steps) == ("run.jsonl.gz", "lr 1/3", None)
    assert find_alarms(run).counts == {}


def compress(path: Path) -> None:
    """Makes a compressed copy beside a file."""
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))


def test_compressed_ranks_of_one_training_are_one_run() -> None:
    """All ranks or some may be compressed; a copy of a rank is a run of its own."""
    paths = [save(f"runs/run.rank{rank}.jsonl", training="a") for rank in range(3)]
    for path in paths:
        compress(path)
    paths[0].unlink()
    for path in paths[1:]:
        path.rename(path.with_suffix(".kept"))
    (run,) = listed("runs")
    assert (run.name, run.ranks) == ("run.rank*.jsonl.gz", 3)
    assert gradsound.read_run("runs").header.layers == ("rank 0", "rank 1", "rank 2")

    paths[2].with_suffix(".kept").rename(paths[2])
    assert {run.name: run.ranks for run in listed("runs")} == {
        "run.rank*.jsonl*": 3,
        "run.rank2.jsonl.gz": 1,
    }


def test_a_file_that_gets_another_name_meanwhile_ends_no_listing(monkeypatch) -> None:
    """A training that begins renames the older run while a page lists the folder."""
    save("a.jsonl")
    save("b.jsonl")
    is_file = run_folder._is_file

    def rename_at_once(entry: os.DirEntry[str]) -> bool:
        found = is_file(entry)
        if entry.name == "a.jsonl":
            Path(entry.path).rename("a.1.jsonl")
        return found

    monkeypatch.setattr(run_folder, "_is_file", rename_at_once)
    assert "b.jsonl" in names()


def test_alarms_are_counted_by_kind() -> None:
    """The alarms of a listed run are those of `gradsound info`, without recoveries."""
    rows = [[1.0, 2.0]] * 40 + [[NAN, 2.0]] + [[1.0, 2.0]] * 3
    run = make_run(rows)
    writer = RunWriter(Path("run.jsonl"), run.header)
    writer.write(make_block([*run.steps]))
    writer.close()
    (entry,) = listed()
    found = find_alarms(entry)
    expected = [one for one in gradsound.read_run("run.jsonl").alarms() if not one.resolves]

    assert found.counts == {"nonfinite": 1}
    assert found.last == expected[-1]
    assert str(found) == "1 nonfinite, last at step 40"
    save("good.jsonl", start="2030-01-01")
    assert str(find_alarms(listed()[0])) == "none"


def test_a_folder_with_one_run_is_that_run() -> None:
    """The path of a folder stands for its only run, at any depth."""
    save("runs/deep/run.jsonl", comment="it")

    assert gradsound.read_run("runs").header.comment == "it"
    assert gradsound.read_run("runs").name == "runs/deep/run.jsonl"


def test_a_folder_with_one_training_is_its_ranks() -> None:
    """The files of the ranks of one training are one run."""
    for rank in range(3):
        save(f"runs/run.rank{rank}.jsonl", training="a")

    assert gradsound.read_run("runs").header.layers == ("rank 0", "rank 1", "rank 2")


def test_a_folder_whose_only_run_cannot_be_read_says_why() -> None:
    """The message names the file, not the folder."""
    Path("runs").mkdir()
    Path("runs/new.jsonl").write_text('{"format": "gradsound-run", "version": "9.0"}\n')
    with pytest.raises(RunFormatError, match=r"^runs/new.jsonl: line 1: written in run"):
        gradsound.read_run("runs")


def test_a_folder_with_several_runs_lists_them() -> None:
    """The error has the first names, how many more there are, and how to list them."""
    for k in range(6):
        save(f"runs/{k}.jsonl", start=f"2026-11-0{9 - k}")
    with pytest.raises(
        RunFormatError,
        match=r"^runs: has 6 runs, give one: runs/0.jsonl, runs/1.jsonl, runs/2.jsonl, "
        r"runs/3.jsonl and 2 more \('gradsound list runs' lists them\)$",
    ):
        gradsound.read_run("runs")


def test_a_folder_of_another_tools_log_stays_that_log() -> None:
    """A folder with a single log and no run file is the log, as before."""
    Path("lightning/version_0").mkdir(parents=True)
    Path("lightning/version_0/metrics.csv").write_text(TABLE)
    assert gradsound.read_run("lightning").header.layers == ("grad_norm",)

    save("lightning/run.jsonl")
    with pytest.raises(RunFormatError, match="has 2 runs"):
        gradsound.read_run("lightning")


def test_a_header_that_names_a_training_keeps_it() -> None:
    """The key comes before the layers: a new training looks for it in the first bytes."""
    path = save("run.rank0.jsonl", training="a" * 16)
    head = path.read_text().split('"layers"')[0]

    assert json.loads(f'{head}"x": 0}}')["training"] == "a" * 16
    assert gradsound.read_run(path).header.training == "a" * 16
