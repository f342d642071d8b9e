"""The command that ``gradsound watch --exec`` runs for alarms, one at a time.

It is in a session of its own, with all processes that it starts, so that Ctrl-C reaches
gradsound alone, which then ends the command.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.cli.alarm_output import to_object
from gradsound.cli.output import escape_unprintable, print_error
from gradsound.cli.termination import defer_interruptions
from gradsound.errors import error_text
from gradsound.summary.alarm_lines import AlarmLine

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Alarm

LIMIT_SECONDS = 300.0  # of one command; and of all that are left at the end
_END_SECONDS = 2.0  # from SIGTERM to SIGKILL
_POLL_SECONDS = 0.02  # between looks at a command, at the end
_TOLD_SECONDS = 3.0  # of waiting at the end, until a line says so
_JSON_MAX = 100_000  # bytes; Linux takes 131,072 for a variable
_STDERR = 2  # takes what the command prints; standard output has the alarms alone


class AlarmCommand:
    """Runs a command for each alarm, one at a time, with the alarm in its environment.

    Of alarms that come while it runs, the last one of each kind waits. As a context, it
    waits for all at the end; Ctrl-C and SIGTERM end what runs.

    Args:
        text: The command, which is split as a shell does, and run without one.

    Raises:
        ValueError: If it cannot be split, has no program, or has a variable that only a
            shell replaces.
    """

    def __init__(self, text: str) -> None:
        self._words = split_command(text)
        self._name = self._words[0]
        # By kind, and by that which is over; the kind that waits longest first. Of each the
        # run, the last alarm, and how many more.
        self._waiting: dict[tuple[str, str], tuple[str, Alarm, int]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0  # seconds of the clock; of the process
        self._is_ending = False  # whether the process has got SIGTERM
        self._told: set[str] = set()

    def __enter__(self) -> AlarmCommand:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None or issubclass(kind, Exception):
                self._finish()
        finally:
            self._close()

    def add(self, run: str, alarm: Alarm) -> None:
        """Runs the command for an alarm of a run, at once or when the one before has ended.

        Args:
            run: The name of the run.
            alarm: The alarm.
        """
        self.advance()
        self._waiting.pop(("recovery", alarm.kind), None)  # it is not over any more
        key = alarm.kind, alarm.resolves
        more = 0
        if key in self._waiting:
            more = self._waiting[key][2] + 1
            self._tell("is slower than the alarms: it gets the last one of each kind")
        self._waiting[key] = run, alarm, more
        self.advance()

    def advance(self) -> None:
        """Starts the command for the next alarm if it has ended; does not wait."""
        if self._process is not None:
            self._look_at(self._process)
        if self._process is None and self._waiting:
            run, alarm, more = self._waiting.pop(next(iter(self._waiting)))
            self._start({**os.environ, **make_variables(run, alarm, more)})

    def _start(self, environment: dict[str, str]) -> None:
        try:
            with defer_interruptions():  # else Ctrl-C could leave a process unknown
                self._process = subprocess.Popen(  # noqa: S603 (the user's own command)
                    self._words,
                    stdin=subprocess.DEVNULL,
                    stdout=_STDERR,
                    env=environment,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self._tell(f"cannot be started: {error_text(error)}")
        self._is_ending = False
        self._deadline = time.monotonic() + LIMIT_SECONDS

    def _look_at(self, process: subprocess.Popen[bytes]) -> None:
        """Forgets the process if it has ended; ends it if it takes too long."""
        status = process.poll()
        if status is not None:
            self._process = None
            if status and not self._is_ending:
                self._tell(_describe_status(status))
        elif time.monotonic() >= self._deadline:
            self._tell_limit()
            self._signal(process, signal.SIGKILL if self._is_ending else signal.SIGTERM)
            self._is_ending = True
            self._deadline = time.monotonic() + _END_SECONDS

    def _finish(self) -> None:
        """Waits until the command has run for all alarms, or for too long."""
        begin = time.monotonic()
        self.advance()
        while self._process is not None or self._waiting:
            time.sleep(_POLL_SECONDS)
            self.advance()
            passed = time.monotonic() - begin
            if passed > LIMIT_SECONDS:
                self._tell_limit()
                if left := sum(1 + more for _, _, more in self._waiting.values()):
                    self._tell(f"has not run for the last {left:,} alarms")
                return
            if passed > _TOLD_SECONDS:
                minutes = f"{LIMIT_SECONDS / 60:g} minutes"
                self._tell(f"still runs; waiting {minutes} at most, Ctrl-C ends it")

    def _close(self) -> None:
        """Ends the command and what it has started."""
        if (process := self._process) is None:
            return
        try:
            self._signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
        finally:
            self._signal(process, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            self._process = None

    def _signal(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Sends a signal to the session of the command, unless that has ended."""
        if process.poll() is None:
            with suppress(OSError):
                os.killpg(process.pid, number)

    def _tell_limit(self) -> None:
        self._tell(f"has not ended in {LIMIT_SECONDS / 60:g} minutes, and is ended")

    def _tell(self, text: str) -> None:
        """Prints a sentence about the command, once."""
        if text not in self._told:
            self._told.add(text)
            print_error(f"{self._name} {text}")


def split_command(text: str) -> list[str]:
    """Returns the words of a command, the first of which is a program.

    Raises:
        ValueError: As `AlarmCommand`.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise ValueError(f"--exec {text}: {reason}") from error
    if not words:
        raise ValueError("--exec is empty: give a program and its arguments")
    if shutil.which(words[0]) is None:
        raise ValueError(
            f"--exec: there is no program {words[0]!r}; for what only a shell knows, "
            "write --exec 'sh -c \"...\"'"
        )
    has_shell = any(word == "-c" or Path(word).name.endswith("sh") for word in words)
    for word in words if not has_shell else ():
        if "$GRADSOUND_" in word or "${GRADSOUND_" in word:
            raise ValueError(
                f"--exec: only a shell replaces {word}; write --exec 'sh -c \"...\"'"
            )
    return words


def make_variables(run: str, alarm: Alarm, more: int) -> dict[str, str]:
    """Returns the environment variables of the command; docs/watch.md lists them.

    Args:
        run: The name of the run.
        alarm: The alarm.
        more: How many alarms of its kind had no command since the last one.
    """
    text = str(AlarmLine(alarm.step, alarm.kind, alarm.text))
    data = to_object(alarm) | {"run": run}
    while len(json.dumps(data)) > _JSON_MAX and data["layers"]:
        data["layers"] = data["layers"][: len(data["layers"]) // 2]
    return {
        "GRADSOUND_RUN": run,
        "GRADSOUND_ALARM": alarm.kind,
        "GRADSOUND_STEP": str(alarm.step),
        "GRADSOUND_TEXT": escape_unprintable(
            text + (f" ({more:,} more since the last)" if more else "")
        ),
        "GRADSOUND_JSON": json.dumps(data),
    }


def _describe_status(status: int) -> str:
    """Returns how a command has failed; subprocess has the signal as a negative status."""
    if status > 0:
        return f"failed with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
