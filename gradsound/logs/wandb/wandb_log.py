"""Reads the history in run files of W&B, `run-ID.wandb`.

A file is a header and a log in the format of LevelDB, whose records are protocol buffers
(wandb_internal.proto).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.leveldb_log import read_records
from gradsound.logs.names.step_names import TRAINER_STEPS
from gradsound.logs.names.unread_norms import report_unread
from gradsound.logs.scalars import Scalars
from gradsound.logs.wandb.wandb_history import HistoryDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import WaitForMore
    from gradsound.logs.wandb.wandb_history import History

TOOL = "W&B"
FILE_PATTERN = "*.wandb"

_MAGIC = b":W&B\xe1\xbe"  # then one byte, the version
_BATCH = 1 << 18  # bytes of records that are decoded at once; the cache holds them


def is_wandb(head: bytes) -> bool:
    """Returns whether a file with this beginning is a run file of W&B."""
    return head.startswith(_MAGIC)


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the scalars of a run; `scalars` says how.

    Raises:
        OSError: If the file cannot be read.
    """
    decoder, entries = HistoryDecoder(), _Entries(on_damage)
    waiting, places, size = list[bytes](), list[int](), 0
    with path.open("rb") as file:
        for record in read_records(file, on_damage, wait_for_more):
            if record is not None:
                places.append(record[0])
                waiting.append(record[1])
                size += len(record[1])
            if waiting and (record is None or size >= _BATCH):
                history = decoder.decode(waiting)
                for row in history.damaged:
                    on_damage(f"has a damaged record at byte {places[row]:,}, left out")
                yield entries.to_scalars(history)
                waiting, places, size = [], [], 0
            if record is None:
                yield None


class _Entries:
    """Gives the entries of a history their steps and times.

    Args:
        on_damage: Called for norms that are no numbers.
    """

    def __init__(self, on_damage: OnDamage) -> None:
        self._on_damage = on_damage
        self._last = np.nan  # step of the trainer, for entries that lack it

    def to_scalars(self, history: History) -> Scalars:
        """Returns the values of the next records, each of which is an entry or none."""
        plain = [name.replace(".", "/") for name in history.names]
        own_steps = history.steps.copy()
        _put(own_steps, history, plain, "_step")
        times = np.full(len(own_steps), np.nan)
        _put(times, history, plain, "_timestamp")
        trainer_steps = np.full(len(own_steps), np.nan)
        for name in reversed(TRAINER_STEPS):
            _put(trainer_steps, history, plain, name)
        steps = self._carry(trainer_steps, own_steps)
        for row, name, value in history.others:
            report_unread(self._on_damage, name, value, float(steps[row]))
        no_values = {"_step", "_timestamp", "_runtime", *TRAINER_STEPS}
        # W&B writes the names in any order, so sorting loses nothing.
        used = np.bincount(history.places, minlength=len(plain)).tolist()
        kept = [k for k, name in enumerate(plain) if used[k] and name not in no_values]
        kept.sort(key=history.names.__getitem__)
        places = np.full(len(plain), -1)
        places[kept] = np.arange(len(kept))
        new_places = places[history.places]
        chosen = new_places >= 0
        rows = history.rows[chosen]
        return Scalars(
            [history.names[k] for k in kept],
            new_places[chosen],
            steps[rows],
            times[rows],
            history.values[chosen],
        )

    def _carry(
        self, trainer_steps: NDArray[np.float64], own_steps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns the steps of the trainer, carried on; W&B's own before the first."""
        rows = np.arange(1, len(trainer_steps) + 1)
        rows = np.maximum.accumulate(np.where(np.isnan(trainer_steps), 0, rows))
        carried = np.concatenate([[self._last], trainer_steps])[rows]
        self._last = float(carried[-1]) if len(carried) else self._last
        return np.where(np.isnan(carried), own_steps, carried)


def _put(
    numbers: NDArray[np.float64], history: History, plain: list[str], wanted: str
) -> None:
    """Puts the values of a name into an array with a number of each entry."""
    for place, name in enumerate(plain):
        if name == wanted:
            chosen = history.places == place
            numbers[history.rows[chosen]] = history.values[chosen]
