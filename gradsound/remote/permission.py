"""The permission to run code in another process, and what refuses it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


def explain_refusal(pid: int) -> str:
    """Returns why the system does not let this user attach, and what changes that.

    Args:
        pid: The number of a process that exists.
    """
    user = os.geteuid()
    if user != 0 and (owner := _find_owner(pid)) != user:
        return (
            f"process {pid} belongs to {_name(owner)}: attach as that user, or as root "
            "with sudo"
        )
    scope = _PTRACE_SCOPE.read_text().strip() if _PTRACE_SCOPE.exists() else "0"
    if scope == "3":
        return (
            f"the system lets nobody attach to process {pid} until it starts again "
            "(kernel.yama.ptrace_scope is 3): start the training with gradsound run"
        )
    if scope != "0" and user != 0:
        return (
            f"the system lets only root attach to process {pid} "
            f"(kernel.yama.ptrace_scope is {scope}): use sudo, or allow it by 'sudo "
            "sysctl kernel.yama.ptrace_scope=0'"
        )
    sudo = "" if user == 0 else "use sudo, or "
    return (
        f"the system does not let this process attach to process {pid}: {sudo}in a "
        "container, give it the capability SYS_PTRACE (docker run --cap-add SYS_PTRACE)"
    )


def _find_owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except FileNotFoundError:  # /proc is mounted with hidepid: it hides those of others
        return None


def _name(user: int | None) -> str:
    if user is None:
        return "another user"
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
