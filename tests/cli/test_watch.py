"""gradsound watch: the alarms of a run, finished or growing, without any sound."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import MARK, processes, started, until
from helpers.rank_files import write_ranks
from helpers.runs import make_run
from helpers.step_lines import encode_step

import gradsound
from gradsound.cli import alarm_stream, output
from gradsound.cli.alarm_stream import find_alarms
from gradsound.cli.commands import watch as command_module
from gradsound.cli.commands.watch import get_kinds
from gradsound.cli.main import main
from gradsound.runs.header_line import encode_header
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

SAMPLE = Path(__file__).parents[2] / "samples" / "runs" / "3-sgd-lr1-batch10.jsonl"
COMMAND = [sys.executable, "-m", "gradsound", "watch"]
# 20 usual steps, one of which is NaN, and three that end that.
NORMS = [[1.0 + k % 3 / 50, 2.0] for k in range(20)]
NORMS[10] = [1.0, float("nan")]
BROKEN = "         10  nonfinite  NaN in layer1"
OVER = "         13  recovery   finite again: layer1"


@pytest.fixture(autouse=True)
def _isolate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs each test in its own folder; no process may survive it."""
    monkeypatch.setenv(MARK, tmp_path.name + os.urandom(4).hex())
    monkeypatch.chdir(tmp_path)
    yield
    until(lambda: not processes(""), "a process still runs")


@pytest.fixture
def watch(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], str]]:
    """Returns a function that runs the command in this process.

    It returns the exit status, the lines of standard output, and standard error.
    """

    def run(*words: object) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as exit_info:
            main(["watch", *map(str, words)])
        output = capfd.readouterr()
        return exit_info.value.code, output.out.splitlines(), output.err

    return run


def growing(norms: list[list[float]] = NORMS, name: str = "run.jsonl") -> RunWriter:
    """Returns the writer of a run that a training still writes, with these norms."""
    run = make_run(norms)
    writer = RunWriter(Path(name), run.header)
    writer.write(make_block([*run.steps]))
    return writer


def test_a_finished_run_prints_its_alarms(save, watch) -> None:
    """A line for each, with step, kind and the text that info prints, and the end."""
    status, lines, errors = watch(save(NORMS))

    assert (status, errors) == (0, "")
    end = "         19  end        end of the run: 20 steps in 6.3 s"
    assert lines == [BROKEN, OVER, end]
    _, info, _ = watch_info = watch(SAMPLE)
    assert watch_info[0] == 0
    run = gradsound.read_run(SAMPLE)
    assert [line.split()[:2] for line in info[:-1]] == [
        [str(alarm.step), alarm.kind] for alarm in run.alarms()
    ]
    assert "(and conv2, fc1, fc2)" in info[0]


def test_json_is_an_object_a_line(watch, capfd: pytest.CaptureFixture[str]) -> None:
    """They are the alarms of info --json, with the run, and the end."""
    status, lines, _ = watch(SAMPLE, "--json")
    *alarms, end = map(json.loads, lines)
    with pytest.raises(SystemExit):
        main(["info", str(SAMPLE), "--json"])
    expected = json.loads(capfd.readouterr().out)

    assert status == 0
    assert alarms == [{**alarm, "run": str(SAMPLE)} for alarm in expected["alarms"]]
    assert (end["kind"], end["step"]) == ("end", 199)


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["nonfinite"], 3),
        (["loss, spike"], 3),
        (["loss", "--until", "spike"], 3),
        (["loss,dead"], 0),
    ],
)
def test_status_3_says_that_an_alarm_came(watch, kinds: list[str], status: int) -> None:
    """All alarms of a finished run are printed whatever they are."""
    code, lines, errors = watch(SAMPLE, "--until", *kinds)

    assert (code, len(lines), errors) == (status, 3, "")


def test_an_unknown_kind_has_a_suggestion(watch) -> None:
    """The end is no alarm to wait for: it comes anyway."""
    status, lines, errors = watch(SAMPLE, "--until", "loss,nonfinit")

    assert (status, lines) == (2, [])
    start = "gradsound: no alarm 'nonfinit'; did you mean 'nonfinite'? There are: coarse, "
    assert errors.startswith(start)
    assert errors.count("\n") == 1
    assert watch(SAMPLE, "--until", "end")[0] == 2
    assert watch(SAMPLE, "--until", "")[0] == 2
    assert get_kinds(["loss", "rise,loss"]) == {"loss", "rise"}


def test_a_run_without_steps_is_an_error(save, watch) -> None:
    """A job whose training never made a step must not be green, finished or growing."""
    path = save([])
    text = f"gradsound: {path}: has no steps, so there is nothing to watch\n"

    assert watch(path) == watch(path, "--follow") == (2, [], text)


def test_ranks_are_one_run(tmp_path: Path, watch) -> None:
    """Its alarms are those of info; only finished files can be read together."""
    norms = np.ones((60, 8))
    norms[40:, 5] = 50
    paths = write_ranks(tmp_path, norms)
    status, lines, errors = watch(*paths)

    assert (status, errors) == (0, "")
    assert any(re.search(r" rank +.*rank 5", line) for line in lines), lines
    assert "--follow reads one file" in watch(*paths, "--follow")[2]
    assert "watch takes one run, got 2; info takes several" in watch(SAMPLE, paths[0])[2]


def test_alarms_come_while_the_run_grows() -> None:
    """Each is printed at once into a pipe, until the training closes its file."""
    run = make_run(NORMS)
    steps = [*run.steps]
    with closing(RunWriter(Path("run.jsonl"), run.header)) as writer:
        writer.write(make_block(steps[:9]))
        command = [*COMMAND, "--follow", "--json", "run.jsonl"]
        with started(command, stdout=subprocess.PIPE, text=True) as process:
            writer.write(make_block(steps[9:11]))
            alarm = json.loads(process.stdout.readline())
            assert (alarm["step"], alarm["kind"]) == (10, "nonfinite")
            writer.write(make_block(steps[11:]))
            assert json.loads(process.stdout.readline())["resolves"] == "nonfinite"
            time.sleep(0.2)
            assert process.poll() is None
            writer.close()
            assert json.loads(process.stdout.readline())["kind"] == "end"
            assert process.wait(10) == 0
            assert process.stdout.read() == ""


def test_until_ends_the_watch_of_a_run_that_goes_on(watch) -> None:
    """The command for the alarm has ended before, and nothing later is printed."""
    with closing(growing()):
        status, lines, errors = watch(
            *("run.jsonl", "--follow", "--until", "nonfinite", "--exec"),
            "sh -c 'sleep 0.2; echo $GRADSOUND_ALARM >>out'",
        )

    assert (status, lines, errors) == (3, [BROKEN], "")
    assert Path("out").read_text() == "nonfinite\n"


def test_a_training_that_is_over_ends_the_watch(watch) -> None:
    """It prints all alarms, with status 0 if none of those asked for came."""
    growing().close()
    status, lines, errors = watch("run.jsonl", "--follow", "--until", "loss")

    assert (status, errors) == (0, "")
    assert [line.split()[1] for line in lines] == ["nonfinite", "recovery", "end"]


def test_the_watch_begins_before_the_training(
    watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the file, says so once, and reads the run to its end."""
    waits = threading.Event()

    def print_error(text: str) -> None:
        output.print_error(text)
        waits.set()

    def train() -> None:
        waits.wait(20)
        growing().close()

    monkeypatch.setattr(command_module, "print_error", print_error)

    training = threading.Thread(target=train)
    training.start()
    status, lines, errors = watch("run.jsonl", "--follow")
    training.join()

    assert (status, len(lines)) == (0, 3)
    waiting = "gradsound: waiting for run.jsonl, which does not exist yet\n"
    assert errors == waiting


def test_another_tools_log_grows(watch) -> None:
    """Its alarms come as it grows; nothing tells its end, so --until does."""
    log = Path("log.csv")
    log.write_text("step,grad_norm\n" + "".join(f"{k},0.5\n" for k in range(5)))

    def train() -> None:
        time.sleep(0.3)
        with log.open("a") as file:
            file.write("5,0.5\n6,nan\n7,0.5\n")

    training = threading.Thread(target=train)
    training.start()
    status, lines, _ = watch("log.csv", "--follow", "--until", "nonfinite")
    training.join()

    assert (status, len(lines)) == (3, 1)
    assert lines[0].split()[:2] == ["6", "nonfinite"]


def test_a_pipe_is_watched_to_its_end() -> None:
    """A run file and a console on standard input, with and without --follow."""
    run = make_run(NORMS)
    text = encode_header(run.header) + b"".join(map(encode_step, run.steps))
    console = b"".join(b"step %d grad_norm 0.5\n" % k for k in range(30))
    console += b"step 30 grad_norm nan\nstep 31 grad_norm 0.5\n"
    for data, options, step in (
        (text, ["--follow"], "10"),
        (text, [], "10"),
        (console, ["--follow"], "30"),
    ):
        process = subprocess.run(
            [*COMMAND, "-", *options, "--until", "nonfinite"],
            input=data,
            capture_output=True,
            check=False,
        )
        assert process.returncode == 3, process.stderr
        assert process.stdout.decode().split()[:2] == [step, "nonfinite"]


def test_a_stall_is_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while no step comes, once, and a step resolves it."""
    steps = [*make_run([[1.0, 2.0]] * 41).steps]
    clock = [100.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return clock[0]

    def blocks() -> Iterator:
        yield make_block(steps[:40])
        for seconds in (1, 5, 60, 60):
            clock[0] += seconds
            yield None
        yield make_block([gradsound.Step(40, 140.0, steps[40].norms, steps[40].absent)])

    monkeypatch.setattr(alarm_stream, "time", Clock)
    run = make_run([[1.0, 2.0]])
    alarms = [alarm for alarm in find_alarms(run, blocks()) if alarm is not None]

    assert [alarm.kind for alarm in alarms] == ["stall", "recovery", "end"]
    assert alarms[0].persists
    assert alarms[0].text.startswith("no step for 1 min 6 s, ")


def test_observations_run_no_command(save, watch) -> None:
    """What a healthy run may have is printed, and has the command only if asked for."""
    norms = [[1.0 + k % 3 / 50] for k in range(260)]
    norms += [[40.0 * 1.02**k] for k in range(300)]
    path = save(norms)
    kinds = {line.split()[1] for line in watch(path)[1]}
    assert "drift" in kinds
    echo = "sh -c 'echo $GRADSOUND_ALARM >>out; sleep 0.05'"
    watch(path, "--exec", echo)
    assert "drift" not in Path("out").read_text()
    watch(path, "--exec", echo, "--until", "drift")
    assert "drift" in Path("out").read_text()


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_the_watch_and_its_command(number: str, status: int) -> None:
    """No process and no traceback is left."""
    with closing(growing()):
        waits = "sh -c 'echo $$ >pid.part; mv pid.part pid; exec sleep 60'"
        command = [*COMMAND, "run.jsonl", "--follow", "--exec", waits]
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        with started(command, **pipes, text=True) as process:
            until(Path("pid").exists, "the command does not run")
            process.send_signal(signal.Signals[number])
            assert process.wait(10) == status
            assert not Path("/proc", Path("pid").read_text().strip()).exists()
            assert process.stderr.read() == ""


def test_a_reader_that_stops_is_no_error(save) -> None:
    """As head does; each command for an alarm before has run."""
    path = save(NORMS)
    line = f"{' '.join(COMMAND)} {path} --exec 'sh -c \"echo x >>out\"' | head -1"
    process = subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (process.returncode, process.stdout, process.stderr) == (0, f"{BROKEN}\n", "")
    assert Path("out").read_text()


def test_only_some_layers_are_watched(save, watch) -> None:
    """--layers selects them, also while the run grows."""
    path = save(NORMS)
    for options in ([], ["--follow"]):
        status, lines, _ = watch(path, "--layers", "layer0", *options)
        assert (status, len(lines)) == (0, 1)


DOCUMENT = (Path(__file__).parents[2] / "docs" / "watch.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_the_guide_shows_what_it_prints(watch) -> None:
    """The lines of docs/watch.md are those of the command, also the one of --json."""
    path = "samples/runs/3-sgd-lr1-batch10.jsonl"
    Path("samples").symlink_to(SAMPLE.parents[1])
    lines = watch(path)[1]
    first, second = re.findall(r"^```text\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)

    assert f"`gradsound watch {path}` prints this" in DOCUMENT
    assert first.splitlines() == lines
    expected = json.loads(watch(path, "--json")[1][1])
    assert json.loads(second) == {**expected, "run": "run.jsonl"}


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_the_guide_get_the_alarm(
    monkeypatch: pytest.MonkeyPatch, save, block: str
) -> None:
    """Each block of docs/watch.md runs unchanged; its quotes keep the sentence whole."""
    save(NORMS)
    Path("train.py").touch()
    page = next(text for text in BLOCKS if text.startswith("case"))
    Path("page.sh").write_text(page)
    Path("bin").mkdir()
    for name in ("notify-send", "curl", "apprise"):
        program = Path("bin", name)
        program.write_text('#!/bin/sh\nprintf "%s|" "${0##*/}" "$@" >>got; echo >>got\n')
        program.chmod(0o755)
    path = ("bin", str(Path(sys.executable).parent), os.environ["PATH"])
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    process = subprocess.run(
        ["/bin/bash", "-c", block], capture_output=True, text=True, check=False
    )

    has_status = "--until" in block and "||" not in block
    statuses = (3,) if has_status else (0, 143) if "kill" in block else (0,)
    assert process.returncode in statuses, process.stderr
    assert not re.sub(r".*kill: .*No such process\n", "", process.stderr)
    if "$training" in block or has_status:
        assert "nonfinite" in process.stdout
    elif "--exec" in block:
        got = Path("got").read_text()
        sentence = "step 10: NaN in layer1"
        for words in (
            f"notify-send|gradsound|{sentence}|",
            f"curl|-sS|-d|{sentence}|-H|Title: run.jsonl|ntfy.sh/TOPIC|",
            f"apprise|-b|{sentence}|",
            f"apprise|-n|failure|-t|run.jsonl|-b|{sentence}|",
        ):
            assert got.count(words) == 1
