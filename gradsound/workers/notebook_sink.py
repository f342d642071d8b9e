"""The destination of live sound in a notebook: a widget that plays the run."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from gradsound.errors import MissingExtraError
from gradsound.music.preset_json import to_data
from gradsound.runs.file_names import find_renamed
from gradsound.workers.cell_output import CellOutput
from gradsound.workers.message_pipe import read_batches
from gradsound.workers.notebook_kernel import has_widgets
from gradsound.workers.process import WorkerProcess
from gradsound.workers.sinks import Player

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.music.presets import Preset

_FAILED = (
    "The process that played this training has ended, so its sound has, too. The "
    "attachment, in the last line of a cell, shows the run so far."
)
_THREAD_SECONDS = 1.0  # for the last messages of a process that has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookSink:
    """Plays a run live in the notebook whose kernel trains.

    Raises:
        MissingExtraError: If anywidget is not installed.
    """

    def __post_init__(self) -> None:
        if not has_widgets():
            raise MissingExtraError("anywidget")

    def start(
        self, run: Path, run_descriptor: int, preset: Preset, first_step: int = 0
    ) -> NotebookPlayer:
        """Starts the process and shows the widget in the cell that runs.

        Arguments and errors are those of `DeviceSink.start`.
        """
        output = CellOutput()
        reading, writing = os.pipe()
        pipe = open(reading, "rb")  # noqa: PTH123, SIM115 (a descriptor; a thread closes it)
        inode = os.fstat(run_descriptor).st_ino
        job = {
            "run": str(run),
            "preset": to_data(preset),
            "first_step": first_step,
            "pipe": writing,
        }
        try:
            process = WorkerProcess("serve_notebook", job, run_descriptor, writing)
        except OSError:
            pipe.close()
            raise
        finally:
            os.close(writing)
        return NotebookPlayer(process, pipe, output, (run, inode))


class NotebookPlayer(Player):
    """Controls the process, and passes its messages on to the widget.

    Args:
        process: The worker process.
        pipe: What the process writes to; a thread reads it and closes it.
        output: What the notebook shows.
        log_file: The run file and its inode.
    """

    def __init__(
        self,
        process: WorkerProcess,
        pipe: BinaryIO,
        output: CellOutput,
        log_file: tuple[Path, int],
    ) -> None:
        super().__init__(process)
        self._output, self._log_file, self.is_page = output, log_file, True
        self.widget = output.widget
        output.on_request = self._request_history
        self._thread = threading.Thread(
            target=_pass_on, args=(pipe, output), name="gradsound notebook", daemon=True
        )
        self._thread.start()
        output.show()

    def show(self) -> bool:
        """Shows the widget in the cell that runs, too; returns True."""
        self._output.show()
        return True

    def _request_history(self, identifier: str) -> None:
        """Asks the process for the past, for a page; once it has ended, for nothing."""
        with suppress(ValueError):
            self._process.send(f"history {identifier}")

    def close(self) -> str:
        """Ends the process, and shows the player of the run in place of the widget."""
        failed = self.ended  # in the middle of a training, which must not wait for a player
        errors = super().close()
        self._output.on_request = lambda _: None  # a widget lives as long as its kernel
        self._thread.join(_THREAD_SECONDS)
        if failed:
            self._output.replace(f"<p>{_FAILED}</p>", _FAILED)
        elif (place := self._find_run()) is not None:
            errors = errors or self._show_run(place)
        return errors

    def _find_run(self) -> tuple[Path, int] | None:
        """Returns the run file and its inode; None if there is none any more."""
        path, inode = self._log_file
        if find_renamed(path, inode) is not None:
            return path, inode
        with suppress(OSError):  # somebody removed it, and the trainer has restored it
            return path, path.stat().st_ino
        return None

    def _show_run(self, place: tuple[Path, int]) -> str:
        """Shows the run in place of the widget; returns why it cannot."""
        from gradsound.rendering.notebook import attachment_html  # slow, and for the end

        try:
            self._output.replace(attachment_html(None, place) or "")
        except Exception as error:  # noqa: BLE001 (closing an attachment never raises)
            return str(error)
        return ""


def _pass_on(pipe: BinaryIO, output: CellOutput) -> None:
    """Passes messages on until the process ends; no training waits for it."""
    with pipe:
        for facts, buffers in read_batches(pipe):
            # Whatever the kernel raises, at its end for example: the pages know that they
            # miss messages, and ask for them.
            with suppress(Exception):
                output.pass_on(facts, buffers)
