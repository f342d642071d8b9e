"""Restarts: a resumed training goes on in its run file, and later steps win."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound import Run, Step, read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.runs.restarts import StepClock
from gradsound.runs.run_file import find_restarts, parse_run, read_lines
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("own_folder")
PATH = Path("run.jsonl")
HEADER = make_run([[1.0]]).header


def steps(numbers: range, norm: float, begin: float = 0.5) -> list[Step]:
    """Returns steps of a part; their times count from the start of the part."""
    return [
        Step(number, begin + k / 4, np.array([norm], np.float32), np.zeros(1, bool))
        for k, number in enumerate(numbers)
    ]


def write(numbers: range, norm: float, total: int = 0, **options: object) -> RunWriter:
    """Writes a part of a training and returns its closed writer."""
    writer = RunWriter(PATH, HEADER, **options)
    if numbers:
        writer.write(make_block(steps(numbers, norm)))
    writer.close(total)
    return writer


def read(path: Path = PATH) -> list[tuple[int, float]]:
    """Returns number and norm of each step."""
    return [(step.number, float(step.norms[0])) for step in read_run(path).steps]


def test_a_resumed_training_goes_on_in_its_file() -> None:
    """Without a start step, the next step is the one after the last in the file."""
    write(range(5), 1.0)
    writer = write(range(5, 8), 2.0, resume=True)

    assert (writer.resumed, writer.start_step) == (True, 5)
    assert read() == [(k, 1.0) for k in range(5)] + [(k, 2.0) for k in range(5, 8)]
    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]


def test_steps_that_are_taken_back_are_left_out() -> None:
    """From the start step of each restart on, the steps before it in the file are gone."""
    write(range(10), 1.0)
    write(range(6, 12), 2.0, resume=True, start_step=6)
    write(range(8, 9), 3.0, resume=True, start_step=8)
    write(range(12, 13), 4.0, resume=True, start_step=12)

    assert read() == [
        *((k, 1.0) for k in range(6)),
        *((k, 2.0) for k in (6, 7)),
        (8, 3.0),
        (12, 4.0),
    ]
    assert len(PATH.read_bytes().splitlines()) == 1 + 10 + 6 + 1 + 1 + 3  # nothing is lost


def test_a_restart_from_the_beginning_takes_everything_back() -> None:
    """A training that starts anew at step 0 in its file has its own times too."""
    write(range(10), 1.0)
    write(range(2), 2.0, resume=True, start_step=0)

    assert read() == [(0, 2.0), (1, 2.0)]
    assert [step.time for step in read_run(PATH).steps] == [0.5, 0.75]


def test_the_time_goes_on_without_the_gap() -> None:
    """The first step of a part follows the last one that stays after a usual pause."""
    write(range(10), 1.0)
    write(range(6, 9), 2.0, resume=True, start_step=6)  # steps 0 to 5 stay

    times = [step.time for step in read_run(PATH).steps]
    np.testing.assert_allclose(times, 0.5 + np.arange(9) / 4, rtol=1e-9)


def test_one_step_before_a_restart_gives_the_pause() -> None:
    """After a single step, the pause is the time that this step took."""
    clock = StepClock()
    assert clock.next_time() is None
    clock.add(3.0)
    assert clock.next_time() == 6.0


def test_without_a_file_a_new_one_begins() -> None:
    """A first start may ask to resume: there is no file, or a kill left a torn header."""
    assert not write(range(2), 1.0, resume=True).resumed
    PATH.write_bytes(PATH.read_bytes()[:20])
    writer = write(range(7, 9), 2.0, resume=True, start_step=7)

    assert (writer.resumed, writer.start_step) == (False, 7)
    assert read() == [(7, 2.0), (8, 2.0)]
    assert read_run(PATH).header.first_step == 7
    assert len(Path("run.1.jsonl").read_bytes()) == 20


@pytest.mark.parametrize("last", ["a step", "a restart", "a total"])
def test_every_torn_end_is_cut(last: str) -> None:
    """Wherever a kill cut the last line, the training goes on after the line before."""
    write(range(3), 1.0)
    keep = PATH.stat().st_size
    if last == "a step":
        write(range(3, 4), 1.0, resume=True)
    elif last == "a restart":
        write(range(0), 1.0, resume=True)
    else:
        write(range(0), 1.0, total=9, resume=True)
    whole = PATH.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    kept = len(whole[keep:start].splitlines())  # restarts
    for cut in range(start + 1, len(whole) - 1):
        PATH.write_bytes(whole[:cut])
        writer = write(range(3, 5), 2.0, resume=True)
        assert writer.start_step == 3
        assert read() == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
        assert len(PATH.read_bytes().splitlines()) == 4 + kept + 3


def test_a_missing_last_newline_is_added() -> None:
    """A whole last line without its newline stays a step."""
    write(range(3), 1.0)
    PATH.write_bytes(PATH.read_bytes().rstrip(b"\n"))
    write(range(3, 4), 2.0, resume=True)

    assert read() == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)]


def test_other_layers_are_refused() -> None:
    """The message names the layers, and the file stays as it was."""
    write(range(3), 1.0)
    before = PATH.read_bytes()
    other = make_run([[1.0, 2.0]]).header
    with pytest.raises(ValueError, match=r"run.jsonl: .* differ \(not in both: layer1\)"):
        RunWriter(PATH, other, resume=True)

    assert PATH.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello\n", "run.jsonl, line 1: expected a run"),
        ("{}\n", "run.jsonl, line 1: expected a run"),
    ],
)
def test_a_file_that_is_no_run_is_refused(content: str, message: str) -> None:
    """A training never goes on in the file of another program."""
    PATH.write_text(content)
    with pytest.raises(RunFormatError, match=message):
        RunWriter(PATH, HEADER, resume=True)

    assert PATH.read_text() == content


def test_two_trainings_do_not_write_one_file() -> None:
    """A file that a training writes cannot be resumed, from its process or another one."""
    writer = RunWriter(PATH, HEADER)
    with pytest.raises(ValueError, match="another training writes it"):
        RunWriter(PATH, HEADER, resume=True)
    ready, begin = os.pipe()
    child = os.fork()
    if not child:  # a worker of a loader: it has a copy of the file, but not its lock
        os.write(begin, b".")
        time.sleep(20)
        os._exit(0)
    os.read(ready, 1)
    writer.close()
    try:
        RunWriter(PATH, HEADER, resume=True).close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(begin)


def test_of_ten_that_resume_at_once_one_goes_on() -> None:
    """Ten processes that go on in one file at once: one does, the others are refused."""
    write(range(3), 1.0)
    code = """if True:
        import sys, time
        from pathlib import Path
        from gradsound.runs.writer import RunWriter
        from helpers.runs import make_run
        header = make_run([[1.0]]).header
        time.sleep(max(float(sys.argv[1]) - time.time(), 0))
        try:
            writer = RunWriter(Path("run.jsonl"), header, resume=True)
        except ValueError:
            sys.exit(7)
        time.sleep(3)
        writer.close()
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code, str(time.time() + 3)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(10)]

    assert sorted(process.wait() for process in processes) == [0] + [7] * 9
    assert read() == [(0, 1.0), (1, 1.0), (2, 1.0)]


def test_discarding_takes_the_restart_back() -> None:
    """If a resumed training cannot start, its file is as before."""
    write(range(3), 1.0)
    before = PATH.read_bytes()
    RunWriter(PATH, HEADER, resume=True).discard()

    assert PATH.read_bytes() == before


def test_the_comment_of_a_part_is_in_its_restart() -> None:
    """The file keeps the comment and the start of each part."""
    write(range(1), 1.0)
    header = replace(HEADER, comment="lower lr ü\ud800", start="later")
    RunWriter(PATH, header, resume=True).close()

    line = PATH.read_bytes().splitlines()[-1]
    assert line.decode() == ('{"resume": 1, "start": "later", "note": "lower lr ü\\ud800"}')


def test_steps_left_out_at_the_end_are_counted() -> None:
    """A line counts the steps after the last measured one; the next part goes on there."""
    write(range(3), 1.0, total=9)
    assert PATH.read_bytes().endswith(b'\n{"steps": 9}\n')
    assert (read_run(PATH).total_steps, len(read())) == (9, 3)

    writer = write(range(9, 11), 2.0, total=11, resume=True)
    assert writer.start_step == 9
    assert read_run(PATH).total_steps is None  # the last step says it
    assert [number for number, _ in read()] == [0, 1, 2, 9, 10]


def test_a_restart_takes_a_count_back() -> None:
    """The steps that a part left out at its end count no more once they are taken back."""
    write(range(3), 1.0, total=9)
    write(range(2, 4), 2.0, resume=True, start_step=2)

    assert write(range(4, 5), 3.0, resume=True).start_step == 4


@pytest.mark.parametrize("line", ['{"steps": -1}', '{"resume": "x"}', '{"resume": 1'])
def test_a_wrong_restart_is_an_error(line: str) -> None:
    """The message has the place and what was expected."""
    write(range(2), 1.0)
    with PATH.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunFormatError, match=r"run.jsonl, line 4: expected"):
        read()


def test_a_torn_restart_is_the_end() -> None:
    """A restart that a kill tore takes no step back."""
    write(range(3), 1.0)
    with PATH.open("a") as file:
        file.write('{"resume": 1')
    with pytest.warns(GradsoundWarning, match="line 5 is torn"):
        assert len(read()) == 3


def test_a_growing_file_goes_on_at_a_restart() -> None:
    """Who follows a file gets the steps that are taken back, and then their successors."""
    write(range(3), 1.0)
    parts = [lambda: write(range(1, 3), 2.0, resume=True, start_step=1)]

    def wait() -> bool:
        return bool(parts) and bool(parts.pop()())

    with PATH.open("rb") as file:
        found = find_restarts("run", file)
        followed = list(parse_run("run", read_lines(file, wait), found).steps)
    assert [step.number for step in followed] == [0, 1, 2, 1, 2]

    with PATH.open("rb") as file:
        run = parse_run("run", read_lines(file), [], until_restart=True)
        assert [step.number for step in run.steps] == [0, 1, 2]


def test_a_run_is_read_as_it_is_when_reading_begins() -> None:
    """Steps that are taken back while a reader reads are still the run that it reads."""
    write(range(3), 1.0)
    reading = iter(read_run(PATH).steps)
    first = next(reading)
    write(range(1, 2), 2.0, resume=True, start_step=1)

    assert [first.number, *(step.number for step in reading)] == [0, 1, 2]
    assert [number for number, _ in read()] == [0, 1]


def test_selected_layers_keep_the_count_of_steps() -> None:
    """A run with some of its layers still knows how many steps there were."""
    write(range(3), 1.0, total=9)
    run = read_run(PATH)

    assert isinstance(run, Run)
    assert run.select("*").total_steps == 9
