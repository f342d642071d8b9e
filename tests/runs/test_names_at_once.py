"""Run files that several processes make at once, with locks of folders and without."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import make_run

from gradsound.runs.file_locks import is_locked
from gradsound.runs.run_file import read_run_file
from gradsound.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("own_folder")
PROCESSES, RUNS = 3, 40
# What a network file system may do with the lock of a folder.
LOCKS = {
    "locks": "",
    "locks of each machine alone": "fcntl.flock = lambda *_: None",
    "no locks": "fcntl.flock = refuse",
}
CODE = """if True:
    import errno, fcntl, os, sys
    from pathlib import Path
    from gradsound.runs.model import Header
    from gradsound.runs.writer import RunWriter
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks")
    {locks}
    sys.stdin.read()
    for run in range({runs}):
        comment = f"{{sys.argv[1]}}-{{run}}"
        header = Header(layers=("a",), parameters=(1,), start="", comment=comment)
        writer = RunWriter(Path("run.jsonl"), header, 1)
        read = os.read(writer.reader_files[0].fileno(), 1000).decode()
        assert f'"note": "{{comment}}"' in read, (comment, read)
        writer.close()
"""


@pytest.mark.parametrize("locks", LOCKS)
def test_processes_that_start_runs_at_once_lose_none(locks: str) -> None:
    """Each run has a file of its own, which its own readers have open; no file is lost."""
    code = CODE.format(locks=LOCKS[locks], runs=RUNS)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(k)], stdin=subprocess.PIPE)
        for k in range(PROCESSES)
    ]
    for process in processes:
        process.stdin.close()
    assert [process.wait() for process in processes] == [0] * PROCESSES

    headers = [read_run_file(path, "").header for path in Path().iterdir()]
    expected = {f"{k}-{run}" for k in range(PROCESSES) for run in range(RUNS)}
    assert {header.comment for header in headers} == expected
    assert len(headers) == len(expected)


def test_a_discarded_run_removes_no_other_file() -> None:
    """A run that is given up after another one took its name removes its own file."""
    first = RunWriter(Path("run.jsonl"), make_run([[1.0]], comment="first").header)
    second = RunWriter(Path("run.jsonl"), make_run([[1.0]], comment="second").header)
    first.discard()

    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]
    assert read_run_file(Path("run.jsonl"), "").header.comment == "second"
    second.close()


def test_a_file_that_returns_has_its_beginning_at_once() -> None:
    """A run that starts when a removed file has just returned takes another file."""
    first = RunWriter(Path("run.jsonl"), make_run([[1.0]], comment="first").header)
    Path("run.jsonl").unlink()
    assert first.restore_if_removed()
    second = RunWriter(Path("run.jsonl"), make_run([[1.0]], comment="second").header)
    for writer in (first, second):
        writer.close()

    comments = [
        read_run_file(Path(name), "").header.comment
        for name in ("run.1.jsonl", "run.jsonl")
    ]
    assert comments == ["first", "second"]


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_a_name_that_is_no_file_is_refused_or_followed(kind: str) -> None:
    """A folder of that name is an error; a link that leads nowhere gets its file."""
    path = Path("run.jsonl")
    if kind == "folder":
        path.mkdir()
        with pytest.raises(IsADirectoryError):
            RunWriter(path, make_run([[1.0]]).header)
    else:
        path.symlink_to("target.jsonl")
        RunWriter(path, make_run([[1.0]]).header).close()
        assert Path("target.jsonl").is_file()
    assert not [*Path().glob("*.part")]


def test_a_full_disk_leaves_no_draft(monkeypatch) -> None:
    """A run whose header cannot be written leaves the older run, and nothing else."""
    RunWriter(Path("run.jsonl"), make_run([[1.0]]).header).close()
    before = Path("run.jsonl").read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space") as caught:
        RunWriter(Path("run.jsonl"), make_run([[1.0]]).header)

    assert caught.value.filename == "run.jsonl"
    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]
    assert Path("run.jsonl").read_bytes() == before


def test_a_look_at_the_lock_stops_no_training() -> None:
    """A training resumes though another process looks at that instant whether it grows."""
    RunWriter(Path("run.jsonl"), make_run([[1.0]]).header).close()
    code = """if True:
        import fcntl, sys, time
        file = open("run.jsonl", "rb")
        fcntl.flock(file, fcntl.LOCK_SH)
        print("locked", flush=True)
        time.sleep(0.03)
    """
    look = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    look.stdout.readline()
    writer = RunWriter(Path("run.jsonl"), make_run([[1.0]]).header, resume=True)
    with Path("run.jsonl").open("rb") as file:
        assert is_locked(file.fileno())
        writer.close()
        assert not is_locked(file.fileno())
    look.stdout.close()
    look.wait()
