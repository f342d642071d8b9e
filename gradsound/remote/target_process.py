"""The process of a running training, as the system describes it, and why it is refused."""

from __future__ import annotations

import os
import pwd
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = (3, 14)  # the first Python that runs code in another process (PEP 768)
_VERSION = re.compile(
    r"/libpython3\.(\d+)t?\.so|/python3\.(\d+)t?$|\.cpython-3(\d+)t?-[^/]*\.so$"
)
_PYTHON = re.compile(r"python|pypy", re.IGNORECASE)
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


@dataclass(frozen=True, slots=True)
class TargetProcess:
    """A process of this machine.

    Attributes:
        pid: Its number.
    """

    pid: int

    @property
    def _folder(self) -> Path:
        return Path(f"/proc/{self.pid}")

    @property
    def alive(self) -> bool:
        """Whether it runs; a process that ended and that its parent forgot does not."""
        try:
            return _field(self._folder, "State")[:1] not in ("Z", "X")
        except (OSError, KeyError):
            return False

    def check(self) -> None:
        """Refuses a process in which no code of ours can run.

        Raises:
            ValueError: If there is no such process, or it runs no fitting Python.
            PermissionError: If the system does not let this user attach to it.
        """
        self.check_alive()
        if (leader := _field(self._folder, "Tgid")) != str(self.pid):
            raise ValueError(
                f"{self.pid} is a thread of process {leader}: attach to that process"
            )
        version = self._find_version()
        if version is not None and version < FIRST:
            raise ValueError(
                f"process {self.pid} runs Python {_dotted(version)}, and one can attach "
                f"to Python {_dotted(FIRST)} and later only: start it with gradsound run"
            )
        own = sys.version_info[:2]
        if own < FIRST:
            raise ValueError(
                f"this gradsound runs in Python {_dotted(own)}, and attaching needs Python "
                f"{_dotted(version or FIRST)}, the one of process {self.pid}: install "
                "gradsound there, or start the training with gradsound run"
            )
        if version is not None and version != own:
            raise ValueError(
                f"process {self.pid} runs Python {_dotted(version)} and this gradsound "
                f"Python {_dotted(own)}: attach by its Python, {self._executable()} -m "
                f"gradsound attach {self.pid}"
            )
        if self._forbids_code():
            raise ValueError(self.forbidden())

    def check_alive(self) -> None:
        """Refuses a process that does not run.

        Raises:
            ValueError: If it does not.
        """
        if sys.platform != "linux":
            raise ValueError("attaching needs Linux: start the training with gradsound run")
        if not self.alive:
            raise ValueError(
                f"there is no process {self.pid}: 'pgrep -af python' lists the processes "
                "that run Python"
            )

    def check_file(self, path: Path) -> None:
        """Refuses a process that does not see a file of this one.

        Raises:
            ValueError: If it does not.
        """
        try:
            seen = (self._folder / "root" / path.relative_to("/")).exists()
        except PermissionError:
            return
        if not seen:
            raise ValueError(
                f"process {self.pid} has other files than this one, as in a container: "
                "run gradsound attach there"
            )

    def forbidden(self) -> str:
        """Returns the sentence about a process that lets no other one run code in it."""
        return (
            f"process {self.pid} has remote debugging switched off: start it without "
            "PYTHON_DISABLE_REMOTE_DEBUG and -X disable-remote-debug, or with gradsound run"
        )

    def not_python(self) -> str:
        """Returns the sentence about a process without Python."""
        name = _field(self._folder, "Name")
        return f"process {self.pid} ({name}) is not Python: give the process that trains"

    def not_allowed(self) -> str:
        """Returns why the system does not let this user attach, and what changes that."""
        owner, user = self._folder.stat().st_uid, os.geteuid()
        if user not in (0, owner):
            try:
                name = pwd.getpwuid(owner).pw_name
            except KeyError:
                name = str(owner)
            return (
                f"process {self.pid} belongs to {name}: attach as that user, or as root "
                "with sudo"
            )
        scope = _PTRACE_SCOPE.read_text().strip() if _PTRACE_SCOPE.exists() else "0"
        if scope == "3":
            return (
                f"the system lets nobody attach to process {self.pid} until it starts "
                "again (kernel.yama.ptrace_scope is 3): start the training with gradsound "
                "run"
            )
        if scope != "0" and user != 0:
            return (
                f"the system lets only root attach to process {self.pid} "
                f"(kernel.yama.ptrace_scope is {scope}): use sudo, or allow it by 'sudo "
                "sysctl kernel.yama.ptrace_scope=0'"
            )
        return (
            f"the system does not let this process attach to process {self.pid}: in a "
            "container, that needs the capability SYS_PTRACE (docker run --cap-add "
            "SYS_PTRACE)"
        )

    def workers(self) -> list[TargetProcess]:
        """Returns the processes below this one that a launcher started as its workers.

        These are the topmost with a RANK, or else those that have loaded torch.

        Raises:
            ValueError: If there are none.
        """
        below: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, KeyError):  # it has just ended
                below.setdefault(int(_field(folder, "PPid")), []).append(int(folder.name))
        found = _topmost(self.pid, below, TargetProcess._has_rank)
        found = found or _topmost(self.pid, below, TargetProcess._has_torch)
        if not found:
            raise ValueError(
                f"no worker of a launcher is below process {self.pid}: leave --all out if "
                "it trains itself"
            )
        return found

    def _has_rank(self) -> bool:
        variables = (self._folder / "environ").read_bytes().split(b"\0")
        ranked = any(one.startswith(b"RANK=") for one in variables)
        return ranked and _PYTHON.search(self._executable()) is not None

    def _has_torch(self) -> bool:
        return "/libtorch" in (self._folder / "maps").read_text()

    def _executable(self) -> str:
        return str((self._folder / "exe").readlink())

    def _find_version(self) -> tuple[int, int] | None:
        """Returns the version of its Python, by its files; None for an unknown one.

        Raises:
            ValueError: If it is no Python.
            PermissionError: If the system tells nothing about it.
        """
        try:
            lines = (self._folder / "maps").read_text().splitlines()
            executable = self._executable() if lines else ""
        except PermissionError as error:
            raise PermissionError(self.not_allowed()) from error
        files = [executable, *{line.rpartition(" ")[2] for line in lines}]
        for file in files:
            if (match := _VERSION.search(file)) is not None:
                return 3, int(next(filter(None, match.groups())))
        if not _PYTHON.search(Path(executable).name):
            raise ValueError(self.not_python())
        return None

    def _forbids_code(self) -> bool:
        try:
            variables = (self._folder / "environ").read_bytes().split(b"\0")
            words = (self._folder / "cmdline").read_bytes().split(b"\0")
        except PermissionError as error:
            raise PermissionError(self.not_allowed()) from error
        name = b"PYTHON_DISABLE_REMOTE_DEBUG="
        by_variable = any(one.startswith(name) and one != name for one in variables)
        return by_variable or any(b"disable-remote-debug" in word for word in words[1:4])


def _topmost(
    pid: int, below: dict[int, list[int]], matches: Callable[[TargetProcess], bool]
) -> list[TargetProcess]:
    """Returns the highest processes below one that match, in the order of their numbers."""
    found: list[TargetProcess] = []
    for child in sorted(below.get(pid, [])):
        process = TargetProcess(child)
        try:
            fits = matches(process)
        except OSError:
            fits = False
        found += [process] if fits else _topmost(child, below, matches)
    return found


def _field(folder: Path, name: str) -> str:
    """Returns a field of the status of a process."""
    for line in (folder / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise KeyError(name)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
