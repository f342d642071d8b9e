"""Where the runs of a script go, and what else `gradsound.attach` needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradsound.workers.sinks import DeviceSink, PageSink


@dataclass(frozen=True)
class RunOptions:
    """The options of ``gradsound run``, checked as far as it goes without a model.

    Attributes:
        log: The run file; an absolute path, because a script may change its folder.
        wav: The sound file, likewise; None for none.
        live: Where to play live; None to play nowhere.
        live_options: Keywords of `PageSink` or `DeviceSink`.
        attach: Other options of `gradsound.attach`.
    """

    log: Path
    wav: Path | None = None
    live: Literal["page", "device"] | None = None
    live_options: Mapping[str, Any] = field(default_factory=dict)
    attach: Mapping[str, Any] = field(default_factory=dict)

    def file_of(self, index: int | None) -> Path:
        """Returns the run file of an optimizer; of the only one if there is no index."""
        return _numbered(self.log, index)

    def of_run(
        self, index: int | None, tell: Callable[[str], None], *, live: bool, resume: bool
    ) -> dict[str, Any]:
        """Returns the options of one run for `gradsound.attach`.

        Args:
            index: Index among optimizers that train at the same time; None for one alone.
            tell: Gets the address of the page, if one plays the run.
            live: Whether to play this run live.
            resume: Whether the file may go on from a training before.
        """
        options = {**self.attach, "log": self.file_of(index)}
        if self.wav is not None:
            options["wav"] = _numbered(self.wav, index)
        if live and self.live is not None:
            options["live"] = self._make_sink(tell)
        if not resume:
            options |= {"resume": False, "start_step": None}
        return options

    def _make_sink(self, tell: Callable[[str], None]) -> DeviceSink | PageSink:
        from gradsound.workers.sinks import DeviceSink, PageSink

        if self.live == "page":
            return PageSink(**self.live_options, tell=tell)
        return DeviceSink(**self.live_options)

    def to_data(self) -> dict[str, Any]:
        """Returns the options as data for JSON; `from_data` reads it."""
        from gradsound.music.preset_json import to_data
        from gradsound.music.presets import find_preset

        attach = dict(self.attach)
        if "preset" in attach:
            attach["preset"] = to_data(find_preset(attach["preset"], None))
        return {
            "log": str(self.log),
            "wav": None if self.wav is None else str(self.wav),
            "live": self.live,
            "live_options": dict(self.live_options),
            "attach": attach,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RunOptions:
        """Returns the options that `to_data` wrote."""
        from gradsound.music.preset_json import from_data

        options = cls(**data)
        attach = dict(options.attach)
        if "preset" in attach:
            attach["preset"] = from_data(attach["preset"])
        wav = None if options.wav is None else Path(options.wav)
        return replace(options, log=Path(options.log), wav=wav, attach=attach)


def _numbered(path: Path, index: int | None) -> Path:
    if index is None:
        return path
    return path.with_name(f"{path.stem}.optimizer{index}{path.suffix}")
