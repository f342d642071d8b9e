"""What to read of another tool's log, where its names do not say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_MEANINGS = {"norms": "norms", "step": "steps", "logging_steps": "steps"}


@dataclass(frozen=True, slots=True)
class LogChoice:
    """What the user chose of another tool's log.

    Attributes:
        norms: Globs over names, which select the norms. None finds them by their names.
        step: The name of the column or key that has the step. None finds it by its name.
        logging_steps: Steps from one entry of a console to the next, where entries have no
            step. None is 1.
    """

    norms: tuple[str, ...] | None = None
    step: str | None = None
    logging_steps: int | None = None

    def refuse(self, source: str) -> None:
        """Refuses choices for a run file, whose header and steps say all themselves.

        Args:
            source: The name of the run file in the message.

        Raises:
            ValueError: If the user chose something.
        """
        for option, meaning in _MEANINGS.items():
            if getattr(self, option) is not None:
                raise ValueError(
                    f"{source}: a run file says itself what its {meaning} are; leave out "
                    f"{option}"
                )


NO_CHOICE = LogChoice()


def make_choice(
    norms: str | Iterable[str] | None = None,
    step: str | None = None,
    logging_steps: int | None = None,
) -> LogChoice:
    """Returns a choice; arguments are as of `gradsound.read_run`.

    Raises:
        ValueError: If ``logging_steps`` is below 1.
    """
    if logging_steps is not None and logging_steps < 1:
        raise ValueError(f"logging_steps must be 1 or more, got {logging_steps}")
    if norms is not None:
        norms = (norms,) if isinstance(norms, str) else tuple(norms)
    return LogChoice(norms, step, logging_steps)
