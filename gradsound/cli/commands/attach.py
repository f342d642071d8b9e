"""gradsound attach: records or plays a training that runs already."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from gradsound.cli.output import flush, print_error, print_line
from gradsound.cli.training_values import get_run_options
from gradsound.remote.conversation import converse
from gradsound.remote.injection import Injection
from gradsound.remote.launcher import find_workers
from gradsound.remote.target_process import TargetProcess

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence


_WITHDRAW_SECONDS = 2.0


def run(options: argparse.Namespace) -> None:
    """Has the process of a training record itself, and prints where."""
    order = {"action": "attach", "options": get_run_options(options).to_data()}
    give_order(options, order)


def give_order(options: argparse.Namespace, order: Mapping[str, object]) -> None:
    """Has the processes that a user named do something, and prints their messages.

    Args:
        options: The options of the command.
        order: What to do.

    Raises:
        ValueError, OSError: If a process cannot do it.
    """
    if not options.wait >= 0:
        raise ValueError(f"--wait must be 0 seconds or more, got {options.wait:g}")
    process = TargetProcess(options.pid)
    processes = [process]
    if options.all:
        process.check_alive()
        processes = find_workers(process)
    for one in processes:
        one.check()
    workers = len(processes) if options.all else 0
    order = {**order, "workers": workers, "name": secrets.token_hex(8)}
    with ExitStack() as stack:
        injections = [stack.enter_context(Injection(one, order)) for one in processes]
        failed = True
        try:
            converse(injections, options.wait, _show)
            failed = False
        finally:
            # An error leaves hooks without a run; so does the end of a sharded training.
            if failed or order["action"] == "detach":
                _remove_idle_hooks([one.process for one in injections if one.answered])


def _remove_idle_hooks(processes: Sequence[TargetProcess]) -> None:
    order = {"action": "withdraw"}
    with suppress(OSError, ValueError), ExitStack() as stack:  # a process may have ended
        injections = [stack.enter_context(Injection(one, order)) for one in processes]
        converse(injections, _WITHDRAW_SECONDS, _ignore)


def _ignore(_: int, __: str, ___: str) -> None:
    """Shows nothing."""


def _show(pid: int, kind: str, text: str) -> None:
    if kind == "accepted":
        return
    if kind == "busy":
        print_error(
            f"process {pid} is in a long call; gradsound attaches when that returns"
        )
        return
    texts = {
        "found": f"found {text} in process {pid}",
        "later": f"process {pid} does that with its next steps",
        "done": f"process {pid} is detached; its run is in {text}",
        "idle": f"process {pid}: {text}",
    }
    for line in texts.get(kind, text).splitlines():
        print_line(line)
    flush()
