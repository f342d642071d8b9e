"""SIGTERM ends a command once, at any line, with its cleanup."""

import os
import signal
import time
from pathlib import Path

import pytest
from helpers.scripts import execute

from gradsound.cli.termination import defer_interruptions, exit_on_sigterm

CODE = """
import os, signal, sys, time
from gradsound.cli.termination import defer_interruptions, exit_on_sigterm
def terminate(*_):
    os.kill(os.getpid(), signal.SIGTERM)
class Dying:
    __del__ = terminate
with exit_on_sigterm():
    try:
        {lost}
        print("goes on", flush=True)
        for _ in range(1000): time.sleep(0.01)
        print("too late")
    finally:
        try:
            raise KeyError
        except KeyError:
            time.sleep(1.25)
        print("cleaned")
"""


@pytest.mark.parametrize(
    ("lost", "goes_on"),
    [
        ("terminate()", ""),
        ("Dying()", "goes on\n"),  # Python drops the exceptions of destructors
        ("try: terminate(); time.sleep(0.1)\n        except: pass", "goes on\n"),
    ],
)
def test_the_exception_comes_until_it_is_handled(
    tmp_path: Path, lost: str, goes_on: str
) -> None:
    """If code drops it, it comes again; the cleanup is not disturbed, however long."""
    process = execute(["-c", CODE.format(lost=lost)], tmp_path)

    assert process.returncode == 143
    assert process.stdout == f"{goes_on}cleaned\n"


def test_handlers_are_those_of_before_afterwards() -> None:
    """After the block, SIGTERM and the timer do what they did before."""
    numbers = (signal.SIGTERM, signal.SIGALRM)
    before = [*map(signal.getsignal, numbers)]
    with exit_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before[0]

    assert [*map(signal.getsignal, numbers)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_may_wait_for_the_end_of_a_block(number: signal.Signals) -> None:
    """The block runs to its end; handlers, and a signal that is ignored, stay."""
    before = [*map(signal.getsignal, signal.Signals)]
    reached = []

    def interrupt() -> None:
        with defer_interruptions():
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            reached.append("end")
        reached.append("too far")

    with pytest.raises((KeyboardInterrupt, SystemExit)), exit_on_sigterm():
        interrupt()
    assert reached == ["end"]
    assert [*map(signal.getsignal, signal.Signals)] == before
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with defer_interruptions():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, handler)
