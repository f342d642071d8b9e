"""Emits measured steps when a cell of IPython ends: no step may follow for a long time."""

from __future__ import annotations

import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradsound.measure.hooks.emitting_monitor import EmittingMonitor


class CellEnd:
    """Has a monitor emit its steps at the end of each cell, if IPython runs this code.

    It keeps no monitor alive.

    Args:
        monitor: Measures the steps.
    """

    def __init__(self, monitor: EmittingMonitor) -> None:
        self._monitor = weakref.ref(monitor)
        ipython = sys.modules.get("IPython")
        self._shell: Any = None if ipython is None else ipython.get_ipython()
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._after_cell)

    def _after_cell(self, _: object) -> None:
        if (monitor := self._monitor()) is not None:
            monitor.emit_ready()

    def remove(self) -> None:
        """Ends that. A second call does nothing."""
        shell, self._shell = self._shell, None
        if shell is not None:
            with suppress(ValueError):  # other code has removed all of them
                shell.events.unregister("post_run_cell", self._after_cell)
