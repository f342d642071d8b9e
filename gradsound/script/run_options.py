"""Where the runs of a script go, and what else `gradsound.attach` needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gradsound.workers.sinks import DeviceSink, PageSink


@dataclass(frozen=True)
class RunOptions:
    """The options of ``gradsound run``, checked as far as it goes without a model.

    Attributes:
        log: The run file; an absolute path, because a script may change its folder.
        wav: The sound file, likewise; None for none.
        make_sink: Returns where to play live; None to play nowhere.
        attach: Other options of `gradsound.attach`.
    """

    log: Path
    wav: Path | None
    make_sink: Callable[[], DeviceSink | PageSink] | None
    attach: dict[str, Any]

    def file_of(self, index: int | None) -> Path:
        """Returns the run file of an optimizer; of the only one if there is no index."""
        return _numbered(self.log, index)

    def of_run(self, index: int | None, *, live: bool, resume: bool) -> dict[str, Any]:
        """Returns the options of one run for `gradsound.attach`.

        Args:
            index: Index among optimizers that train at the same time; None for one alone.
            live: Whether to play this run live.
            resume: Whether the file may go on from a training before.
        """
        options = self.attach | {"log": self.file_of(index)}
        if self.wav is not None:
            options["wav"] = _numbered(self.wav, index)
        if live and self.make_sink is not None:
            options["live"] = self.make_sink()
        if not resume:
            options |= {"resume": False, "start_step": None}
        return options


def _numbered(path: Path, index: int | None) -> Path:
    if index is None:
        return path
    return path.with_name(f"{path.stem}.optimizer{index}{path.suffix}")
