"""A table with one value a row, whose name is in a column, as MLflow's page exports it.

Shapes: R rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import RunFormatError
from gradsound.logs.scalars import Scalars
from gradsound.name_matching import list_some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.logs.tables.table_rows import TableRows

_LISTED_MAX = 8  # runs that an error message lists; more are hard to read
_NAME_WIDTH = 80  # characters of each of them


def name_values(rows: TableRows, names: Sequence[str]) -> Scalars:
    """Returns the scalars of rows with one value each, under their own names.

    Args:
        rows: The rows, K = 1.
        names: The name of each row, length R.
    """
    indices: dict[str, int] = {}
    places = [indices.setdefault(name.strip(), len(indices)) for name in names]
    known = rows.present[:, 0] & rows.has_step
    return Scalars(
        [*indices],
        np.array(places, np.intp)[known],
        rows.steps[known],
        rows.times[known],
        rows.values[known, 0],
    )


def check_runs(known: dict[str, None], runs: Sequence[str]) -> None:
    """Adds the runs of some rows to the known ones.

    Raises:
        RunFormatError: If these are of several runs.
    """
    known |= dict.fromkeys(runs)
    if len(known) > 1:
        listed = list_some([repr(run[:_NAME_WIDTH]) for run in known], _LISTED_MAX)
        raise RunFormatError(f"has rows of several runs ({listed}); keep those of one run")
