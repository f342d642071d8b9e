"""What a command and the processes that it attaches to tell each other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.remote.injection import Injection

_POLL_SECONDS = 0.02
_LONG_SECONDS = 2.0  # a call is long that lets nothing of ours run for so long
_LAST = ("records", "idle", "done", "error")  # kinds of messages after which nothing comes


class Show(Protocol):
    """Gets a message of a process, and its kind."""

    def __call__(self, pid: int, kind: str, text: str, /) -> None:
        """Shows the message."""


def converse(injections: Sequence[Injection], seconds: float, show: Show) -> None:
    """Shows the messages of all processes, until each has done its order.

    Args:
        injections: The orders.
        seconds: How long to wait for processes that are not ready.
        show: Gets each message. The kind "busy" has no text.

    Raises:
        ValueError: If a process cannot do the order.
        OSError: If a process cannot run our code any more.
    """
    begin = time.monotonic()
    waiting, busy = [*injections], set()
    while waiting:
        late = time.monotonic() - begin > seconds
        for one in [*waiting]:
            for kind, text in one.poll():
                if kind == "error":
                    raise ValueError(f"process {one.process.pid}: {text}")
                show(one.process.pid, kind, text)
                if kind in _LAST:
                    waiting.remove(one)
        for one in [*waiting] if late else ():
            if one.answered:  # its next steps begin the run, or end it
                show(one.process.pid, "later", "")
                waiting.remove(one)
            elif one.withdraw() or one.reason:
                raise ValueError(_reason(one, seconds))
        for one in waiting:
            is_long = time.monotonic() - begin > _LONG_SECONDS
            if is_long and not one.taken and one not in busy:
                busy.add(one)
                show(one.process.pid, "busy", "")
        time.sleep(_POLL_SECONDS)


def _reason(injection: Injection, seconds: float) -> str:
    """Returns why a process has not done an order in time, and a remedy."""
    pid, longer = injection.process.pid, "or wait longer, with --wait"
    return {
        "": f"process {pid} is in one long call, such as a transfer or a sleep, for "
        f"{seconds:g} s: try again, {longer}",
        "torch": f"process {pid} has not imported torch after {seconds:g} s: give the "
        f"process that trains (--all for the workers below a launcher), {longer}",
        "optimizer": f"process {pid} has no optimizer after {seconds:g} s: give the "
        f"process that trains (--all for the workers below a launcher), {longer}",
        "import": f"process {pid} imports modules for {seconds:g} s: try again, {longer}",
        "hook": f"process {pid} is in a hook, or compiles, for {seconds:g} s: try again, "
        f"{longer}",
    }[injection.reason]
