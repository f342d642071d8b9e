"""Orders to another process, which runs our code, and its messages."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.remote import injected_code
from gradsound.remote.permission import explain_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from gradsound.remote.target_process import TargetProcess

_OURS = Path(__file__).parents[2]
_AGAIN_SECONDS = 0.3  # before the next try, once a process was not ready
# Python loses a request that comes while it sets a flag of its own, or inside the
# constructor of a named tuple, whose code has no __import__ (seen with 3.14).
_LOST_SECONDS = 0.5
_END_SECONDS = 1.0  # longest wait for the process at the end
_SOON_SECONDS = 0.01  # before the next try, once it was in a hook


class Injection:
    """An order to one process, within a ``with`` block.

    A private folder has the code, the order and the messages of the process, until the end
    of the block. If the process may run the code still after that, as when it is in a long
    call, the code removes the folder.

    Args:
        process: The process.
        order: The order, fit for JSON.

    Attributes:
        process: The process.
        reason: Why the process could not do it yet, if it has answered so.
        answered: Whether a message has come that is no such reason.

    Raises:
        ValueError, OSError: If the process cannot run our code.
    """

    def __init__(self, process: TargetProcess, order: Mapping[str, Any]) -> None:
        self.process, self.reason, self.answered = process, "", False
        self._order = json.dumps(order)
        self._folder = Path(tempfile.mkdtemp(prefix="gradsound"))  # private: mode 0700
        self._code = self._folder / "code.py"
        self._read = 0  # bytes of the report
        self._next_try: float | None = None
        self._may_run = False  # whether Python may run the code once more than it has
        try:
            text = Path(injected_code.__file__).read_text()
            call = f"answer({str(self._folder)!r}, {str(_OURS)!r})"
            self._code.write_text(f"{text}\n\n{call}\n")
            self._give_to_owner()
            process.check_file(self._code)
            self._send()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _give_to_owner(self) -> None:
        """Lets the user of the process use the folder, if that is another one."""
        owner = Path(f"/proc/{self.process.pid}").stat()
        if owner.st_uid != os.geteuid():
            for path in (self._code, self._folder):
                os.chown(path, owner.st_uid, owner.st_gid)

    def _send(self) -> None:
        self._next_try = None
        with open(self._folder / "order", "w", opener=_open_new) as file:
            file.write(self._order)
        self._request()

    def _request(self) -> None:
        """Has the process run the code."""
        self._requested = time.monotonic()
        try:
            sys.remote_exec(self.process.pid, str(self._code))  # type: ignore[attr-defined]
        except PermissionError as error:
            raise PermissionError(explain_refusal(self.process.pid)) from error
        except RuntimeError as error:
            if not self.process.alive:
                raise ValueError(f"process {self.process.pid} has ended") from error
            if "not enabled" in str(error):
                raise ValueError(self.process.forbidden()) from error
            if "PyRuntime" in str(error):
                raise ValueError(self.process.no_runtime()) from error
            raise ValueError(f"process {self.process.pid}: {error}") from error

    @property
    def taken(self) -> bool:
        """Whether the process has begun to do the last order."""
        return not (self._folder / "order").exists()

    def poll(self) -> list[tuple[str, str]]:
        """Returns the new messages, each with its kind; orders again when it is time.

        Raises:
            ValueError: If the process has ended, or cannot do it.
            OSError: If the process cannot run our code any more.
        """
        alive = self.process.alive
        messages = []
        for kind, text in self._new_messages():
            if kind == "wait":
                self.reason = text
                pause = _SOON_SECONDS if text == "hook" else _AGAIN_SECONDS
                self._next_try = time.monotonic() + pause
                continue
            self.answered = True
            if kind == "other":
                place, _, python = text.partition("\n")
                raise ValueError(
                    f"process {self.process.pid} has another gradsound, in {place}: attach "
                    f"by that one, {python} -m gradsound attach {self.process.pid}"
                )
            messages.append((kind, text))
        if not alive and not messages:
            raise ValueError(f"process {self.process.pid} has ended")
        now = time.monotonic()
        if self._next_try is not None and now >= self._next_try:
            self._send()
        elif not self.taken and now >= self._requested + _LOST_SECONDS:
            self._may_run = True
            self._request()
        return messages

    def _new_messages(self) -> list[tuple[str, str]]:
        try:  # the process of another user could replace the file by a link
            descriptor = os.open(self._folder / "report", os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return []
        with os.fdopen(descriptor, "rb") as file:
            file.seek(self._read)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        found = []
        for line in text.decode(errors="replace").splitlines():
            kind, _, value = line.partition(" ")
            found.append((kind, str(ast.literal_eval(value))))
        return found

    def withdraw(self) -> bool:
        """Takes the last order back; returns whether the process had not begun it."""
        try:
            (self._folder / "order").unlink()
        except FileNotFoundError:
            return False
        self._may_run = True
        return True

    def __enter__(self) -> Injection:
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        __: BaseException | None,
        ___: TracebackType | None,
    ) -> None:
        self.withdraw()
        if self._may_run and self.process.alive:
            # Without the code, Python would print an error there.
            (self._folder / "ended").touch()
            with suppress(OSError, ValueError):
                self._request()
            end = time.monotonic() + _END_SECONDS
            while self._folder.exists() and time.monotonic() < end:
                time.sleep(_AGAIN_SECONDS / 10)
        else:
            shutil.rmtree(self._folder, ignore_errors=True)


def _open_new(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o644)
