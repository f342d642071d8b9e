"""The command for alarms: one at a time, never lost, ended with what it started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.processes import until, zombies

from gradsound.alarms.thresholds import Alarm
from gradsound.cli import alarm_command
from gradsound.cli.alarm_command import AlarmCommand, make_variables
from gradsound.cli.termination import exit_on_sigterm

SPIKE = Alarm("spike", 1234, "spike in conv, 9 x its median (and 1 more)", ("conv", "fc"))
BROKEN = Alarm("nonfinite", 7, "NaN in fc", ("fc",), persists=True)


@pytest.fixture(autouse=True)
def _isolate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs in an empty folder; no descriptor and no zombie may stay."""
    monkeypatch.chdir(tmp_path)
    before = sorted(Path("/proc/self/fd").iterdir())
    yield
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert not zombies()


def run_for(text: str, *alarms: Alarm) -> None:
    """Runs a command for alarms, and waits for it."""
    with AlarmCommand(text) as command:
        for alarm in alarms:
            command.add("run.jsonl", alarm)


def lines_of(name: str) -> list[str]:
    """Returns the lines of a file; none if there is no file."""
    path = Path(name)
    return path.read_text().splitlines() if path.exists() else []


def has_ended(pid: int) -> bool:
    """Returns whether a process has ended; one that nobody has waited for has."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_the_alarm_is_in_the_environment() -> None:
    """Kind, step, sentence and run are variables; the object has the keys of --json."""
    names = ("RUN", "ALARM", "STEP", "TEXT", "JSON")
    lines = "\\n".join("%s" for _ in names)
    words = " ".join(f'\\"$GRADSOUND_{name}\\"' for name in names)
    run_for(f"sh -c \"printf '{lines}' {words} >out\"", SPIKE)

    *texts, data = Path("out").read_text().splitlines()
    sentence = "step 1,234: spike in conv, 9 x its median (and 1 more)"
    assert texts == ["run.jsonl", "spike", "1234", sentence]
    assert json.loads(data) == {
        "run": "run.jsonl",
        "step": 1234,
        "kind": "spike",
        "layers": ["conv", "fc"],
        "text": SPIKE.text,
        "persists": False,
        "resolves": None,
    }


def test_no_shell_reads_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    """Its words are split as a shell does, and nothing in them is replaced."""
    run_for("printf '%s|' 'two words' $HOME `id` a;b '*'", SPIKE)

    assert capfd.readouterr() == ("", "two words|$HOME|`id`|a;b|*|")


def test_what_it_prints_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output has the alarms alone; standard input is empty."""
    run_for("sh -c 'cat; echo out; echo err >&2'", SPIKE)

    assert capfd.readouterr() == ("", "out\nerr\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--exec is empty: give a program and its arguments"),
        ("sh -c 'echo", "--exec sh -c 'echo: no closing quotation"),
        ("no-such-program x", "--exec: there is no program 'no-such-program'; for what "),
        ("echo $GRADSOUND_TEXT", "--exec: only a shell replaces $GRADSOUND_TEXT; write "),
        ("echo '${GRADSOUND_STEP}'", "--exec: only a shell replaces ${GRADSOUND_STEP}; "),
    ],
)
def test_a_wrong_command_is_refused(text: str, message: str) -> None:
    """One sentence says so before any alarm comes."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        AlarmCommand(text)


@pytest.mark.parametrize(
    "text", ["sh -c 'echo $GRADSOUND_TEXT'", "env bash -lc 'echo $GRADSOUND_TEXT'"]
)
def test_a_shell_may_have_variables(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A shell that the user names replaces them."""
    run_for(text, BROKEN)

    assert capfd.readouterr().err == "step 7: NaN in fc\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("false", "false failed with status 1"),
        ("sh -c 'kill -9 $$'", "sh was ended by SIGKILL"),
    ],
)
def test_a_failure_is_told_once(
    text: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command runs for the next alarms all the same."""
    alarms = [Alarm(kind, 3, "it") for kind in ("spike", "loss", "dead")]
    run_for(text, *alarms)

    assert capfd.readouterr().err == f"gradsound: {told}\n"


def test_a_program_that_vanishes_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """The watch goes on without it."""
    program = Path("notify")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    with AlarmCommand("./notify") as command:
        program.unlink()
        command.add("run.jsonl", SPIKE)
        command.add("run.jsonl", BROKEN)

    expected = (
        "gradsound: ./notify cannot be started: ./notify: No such file or directory\n"
    )
    assert capfd.readouterr().err == expected


def test_a_thousand_alarms_a_second(capfd: pytest.CaptureFixture[str]) -> None:
    """They wait for no command; one runs at a time, for the last alarm of each kind.

    The sentence says for how many alarms of the kind none ran.
    """
    line = "echo begin >>out; sleep 0.2; echo $GRADSOUND_TEXT >>out"
    begin = time.monotonic()
    with AlarmCommand(f"sh -c '{line}'") as command:
        for step in range(1000):
            command.add("run.jsonl", Alarm(("spike", "loss")[step % 2], step, "high"))
        assert time.monotonic() - begin < 0.9
    lines = Path("out").read_text().splitlines()
    sentences = [text for text in lines if text != "begin"]

    assert lines[::2] == ["begin"] * len(sentences)
    assert sentences[0] == "step 0: high"
    assert re.fullmatch(r"step 99\d: high \([45]\d\d more since the last\)", sentences[-1])
    more = [int(text) for text in re.findall(r"\((\d+) more", " ".join(sentences))]
    assert sum(more) + len(sentences) == 1000
    assert {sentence.split(" (")[0] for sentence in sentences[-2:]} == {
        *("step 998: high", "step 999: high"),
    }
    told = "sh is slower than the alarms: it gets the last one of each kind"
    assert capfd.readouterr().err.splitlines()[0] == f"gradsound: {told}"


def test_the_last_state_comes_last() -> None:
    """A recovery comes after its alarm; it is dropped if the alarm comes again."""
    slow = "sh -c 'echo $GRADSOUND_ALARM $GRADSOUND_STEP >>out; sleep 0.1'"
    stalls = [Alarm("stall", step, "no step", persists=True) for step in (5, 7)]
    over = [Alarm("recovery", step, "steps again", resolves="stall") for step in (6, 8)]
    run_for(slow, SPIKE, stalls[0], over[0], stalls[1])
    assert lines_of("out") == ["spike 1234", "stall 7"]
    run_for(slow, SPIKE, stalls[0], over[0], stalls[1], over[1])
    assert lines_of("out")[2:] == ["spike 1234", "stall 7", "recovery 8"]


def test_no_kind_waits_for_ever() -> None:
    """The kind that waits longest is the next, however often others come."""
    kinds = "dead", "loss", "spike", "slow"
    with AlarmCommand("sh -c 'echo $GRADSOUND_ALARM >>out; sleep 0.05'") as command:
        for step in range(400):
            for kind in kinds:
                command.add("run.jsonl", Alarm(kind, step, "high"))
            time.sleep(0.001)

    lines = lines_of("out")
    assert len(lines) >= 8
    assert all({*lines[k : k + 4]} == {*kinds} for k in range(len(lines) - 4))


def test_a_command_that_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for it; after its time it is ended, and runs for the next alarm."""
    monkeypatch.setattr(alarm_command, "LIMIT_SECONDS", 0.3)
    monkeypatch.setattr(alarm_command, "_END_SECONDS", 0.1)
    line = "echo $GRADSOUND_ALARM >>out; test $GRADSOUND_ALARM = spike || exit 0; "
    line += "trap : TERM; while :; do sleep 30 & wait; done"
    with AlarmCommand(f"sh -c '{line}'") as command:
        begin = time.monotonic()
        command.add("run.jsonl", SPIKE)
        command.add("run.jsonl", BROKEN)
        command.advance()
        assert time.monotonic() - begin < 0.25
        until(
            lambda: command.advance() or lines_of("out") == ["spike", "nonfinite"],
            "the next one does not run",
        )

    assert capfd.readouterr().err == (
        "gradsound: sh has not ended in 0.005 minutes, and is ended\n"
    )


def test_the_end_waits_for_the_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line says so if it takes a while; it is ended after its time."""
    monkeypatch.setattr(alarm_command, "_TOLD_SECONDS", 0.1)
    run_for("sh -c 'sleep 0.3; echo done >>out'", SPIKE)
    monkeypatch.setattr(alarm_command, "LIMIT_SECONDS", 0.3)
    monkeypatch.setattr(alarm_command, "_END_SECONDS", 0.5)
    monkeypatch.setattr(alarm_command, "_TOLD_SECONDS", 9.0)
    begin = time.monotonic()
    alarms = [Alarm("loss", step, "high") for step in range(3)]
    run_for("sh -c 'trap : TERM; sleep 30; sleep 30'", SPIKE, *alarms)

    assert lines_of("out") == ["done"]
    assert time.monotonic() - begin < 10
    told = [line for line in capfd.readouterr().err.splitlines() if ": " in line]
    assert told == [
        "gradsound: sh still runs; waiting 5 minutes at most, Ctrl-C ends it",
        "gradsound: sh is slower than the alarms: it gets the last one of each kind",
        "gradsound: sh has not ended in 0.005 minutes, and is ended",
        "gradsound: sh has not run for the last 3 alarms",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_ends_it_with_its_children(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Ctrl-C and SIGTERM end the command and all that it has started."""
    monkeypatch.setattr(alarm_command, "_END_SECONDS", 0.2)
    line = "trap : TERM; sleep 60 & echo $! $$ >pids; wait; wait"

    def interrupt() -> None:
        with AlarmCommand(f"sh -c '{line}'") as command:
            command.add("run.jsonl", SPIKE)
            until(lambda: lines_of("pids"), "the command does not run")
            raise error

    with pytest.raises(error):
        interrupt()
    pids = [int(word) for word in Path("pids").read_text().split()]
    until(lambda: all(map(has_ended, pids)), "a process is left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_moment_of_its_start_loses_it(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """A signal between its start and the line after that ends it, too."""
    start, pids = subprocess.Popen, []

    def interrupted(*args: object, **options: object) -> subprocess.Popen:
        process = start(*args, **options)
        pids.append(process.pid)
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # Python handles a signal between two of its instructions
        return process

    monkeypatch.setattr(alarm_command.subprocess, "Popen", interrupted)
    with (
        pytest.raises((KeyboardInterrupt, SystemExit)),
        exit_on_sigterm(),
        AlarmCommand("sleep 60") as command,
    ):
        command.add("run.jsonl", SPIKE)
    assert pids
    assert has_ended(pids[0])


def test_an_error_waits_for_it() -> None:
    """A broken pipe or a broken line of the run does not cost the alarm before it."""

    def fail() -> None:
        with AlarmCommand("sh -c 'sleep 0.1; echo done >out'") as command:
            command.add("run.jsonl", SPIKE)
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        fail()
    assert Path("out").read_text() == "done\n"


def test_variables_fit_into_an_environment(capfd: pytest.CaptureFixture[str]) -> None:
    """Of very many layers, the object has the first; a name may have any characters."""
    layers = tuple(f"model.layers.{k}.mlp\0.experts" for k in range(20_000))
    alarm = Alarm("dead", 3, f"no gradient in {layers[0]} (and 19999 more)", layers)
    variables = make_variables("run\udcff.jsonl", alarm, 0)

    assert len(variables["GRADSOUND_JSON"]) < 131_072
    data = json.loads(variables["GRADSOUND_JSON"])
    assert data["layers"] == [*layers[: len(data["layers"])]]
    assert len(data["layers"]) > 1000
    run_for(
        f"{sys.executable} -c 'import os; print(os.environ[\"GRADSOUND_TEXT\"])'", alarm
    )
    text = "step 3: no gradient in model.layers.0.mlp\\x00.experts (and 19999 more)\n"
    assert capfd.readouterr().err == text


def test_signals_are_named() -> None:
    """A status below 0 is a signal, also one without a name."""
    assert alarm_command._describe_status(3) == "failed with status 3"
    assert alarm_command._describe_status(-signal.SIGTERM) == "was ended by SIGTERM"
    assert alarm_command._describe_status(-99) == "was ended by signal 99"
