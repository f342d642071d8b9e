"""The process of a running training, as the system describes it, and why it is refused."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.remote.permission import explain_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = (3, 14)  # the first Python that runs code in another process (PEP 768)
_VERSION = re.compile(
    r"/libpython3\.(\d+)t?\.so|/python3\.(\d+)t?$|\.cpython-3(\d+)t?-[^/]*\.so$"
)
_DELETED = " (deleted)"
_PYTHON = re.compile(r"python|pypy", re.IGNORECASE)


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
            return read_status(self._folder, "State")[:1] not in ("Z", "X")
        except (OSError, KeyError):
            return False

    def check(self) -> None:
        """Refuses a process in which no code of ours can run.

        Raises:
            ValueError: If there is no such process, or it runs no fitting Python.
            PermissionError: If the system does not let this user attach to it.
        """
        self.check_alive()
        if (leader := read_status(self._folder, "Tgid")) != str(self.pid):
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
            PermissionError: If it may run, but the system hides it from this user.
        """
        if sys.platform != "linux":
            raise ValueError("attaching needs Linux: start the training with gradsound run")
        if self.alive:
            return
        if self._hidden():
            raise PermissionError(explain_refusal(self.pid))
        raise ValueError(
            f"there is no process {self.pid}: 'pgrep -af python' lists the processes that "
            "run Python"
        )

    def _hidden(self) -> bool:
        """Returns whether it exists, but not in a /proc that is mounted with hidepid."""
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            pass  # it exists
        except (ProcessLookupError, OverflowError):
            return False
        try:
            read_status(self._folder, "State")
        except OSError:
            return True
        return False

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
        name = read_status(self._folder, "Name")
        return f"process {self.pid} ({name}) is not Python: give the process that trains"

    def no_runtime(self) -> str:
        """Returns the sentence about a process whose Python cannot be read from here."""
        if self._find_version() is None:
            return self.not_python()
        return (
            f"the Python of process {self.pid} has a file that is not seen here, as in a "
            "container: run gradsound attach there"
        )

    def has_rank(self) -> bool:
        """Returns whether it is a Python that a launcher gave a rank."""
        if _PYTHON.search(self._executable()) is None:
            return False
        variables = self._read("environ").split(b"\0")
        return any(one.startswith(b"RANK=") for one in variables)

    def has_torch(self) -> bool:
        """Returns whether it has loaded torch."""
        return b"/libtorch" in self._read("maps")

    def _read(self, name: str) -> bytes:
        with self._explained():
            return (self._folder / name).read_bytes()

    def _executable(self) -> str:
        with self._explained():
            try:
                return str((self._folder / "exe").readlink())
            except FileNotFoundError:  # a thread of the kernel has none
                return ""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Says which setting keeps what the system knows of it from this user."""
        try:
            yield
        except PermissionError as error:
            raise PermissionError(explain_refusal(self.pid)) from error

    def _find_version(self) -> tuple[int, int] | None:
        """Returns the version of its Python, by its files; None for an unknown one.

        Raises:
            ValueError: If it is no Python.
            PermissionError: If the system tells nothing about it.
        """
        lines = self._read("maps").decode(errors="replace").splitlines()
        executable = self._executable()
        # The file of a Python that was updated since the process began is deleted.
        mapped = {line.removesuffix(_DELETED).rpartition(" ")[2] for line in lines}
        files = [executable.removesuffix(_DELETED), *mapped]
        for file in files:
            if (match := _VERSION.search(file)) is not None:
                return 3, int(next(filter(None, match.groups())))
        if not _PYTHON.search(Path(executable).name):
            raise ValueError(self.not_python())
        return None

    def _forbids_code(self) -> bool:
        variables = self._read("environ").split(b"\0")
        words = self._read("cmdline").split(b"\0")
        name = b"PYTHON_DISABLE_REMOTE_DEBUG="
        by_variable = any(one.startswith(name) and one != name for one in variables)
        return by_variable or any(b"disable-remote-debug" in word for word in words[1:4])


def read_status(folder: Path, name: str) -> str:
    """Returns a field of the status of a process."""
    for line in (folder / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise KeyError(name)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
