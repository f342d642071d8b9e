"""Finds the alarms of the runs in a folder, one run after the other, for their list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gradsound.listed_alarms import find_alarms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gradsound.listed_alarms import ListedAlarms
    from gradsound.runs.listed_run import ListedRun
    from gradsound.runs.log_choice import LogChoice

_RUN_BYTES_MAX = 1 << 26  # of a run that is searched; a minute for 1 GB
_GROWTH = 1.5  # of a run since its alarms were found, after which they are found again


class AlarmSearch:
    """Keeps the alarms of runs that it has searched.

    Args:
        choice: What to read of other tools' logs.
    """

    def __init__(self, choice: LogChoice) -> None:
        self._choice = choice
        self._found: dict[str, tuple[int, ListedAlarms | str]] = {}  # size of the run

    def found(self, identifier: str) -> ListedAlarms | str | None:
        """Returns the alarms of a run, or why it cannot be read; None before its search."""
        return self._found[identifier][1] if identifier in self._found else None

    async def search(
        self, runs: Mapping[str, ListedRun], may_go_on: Callable[[], Awaitable[bool]]
    ) -> None:
        """Finds the alarms of runs that have changed much, the newest first.

        Args:
            runs: The runs by their identifiers, the newest first.
            may_go_on: Awaited before each run; the search ends if it returns False.
        """
        for identifier, run in [*runs.items()]:
            if not await may_go_on():
                return
            size, _ = self._found.get(identifier, (0, None))
            grown = run.size > (_GROWTH * size if run.state == "growing" else size)
            if not grown or run.size > _RUN_BYTES_MAX:
                continue
            try:
                alarms: ListedAlarms | str = await asyncio.to_thread(
                    find_alarms, run, self._choice
                )
            except (OSError, ValueError) as error:
                alarms = str(error)
            self._found[identifier] = run.size, alarms
