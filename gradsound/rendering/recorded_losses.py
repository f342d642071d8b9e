"""The losses of a sound's runs for the page that plays them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.packed_arrays import differences, round_floats
from gradsound.runs.value_roles import find_role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gradsound.runs.step_block import LoggedValue

_CURVES_MAX = 8  # more are not distinguishable
_ROLES = ("loss", "evaluation")


class RecordedLosses:
    """The losses among the values of the columns of a picture.

    Args:
        values: The values of the columns by name, which begins with that of the run if
            there are several runs.
        names: The name without the run of each of them.
    """

    def __init__(self, values: Mapping[str, LoggedValue], names: Mapping[str, str]) -> None:
        roles = {key: find_role(names[key]) for key in values}
        losses = [key for key, role in roles.items() if role in _ROLES]
        # The loss of each training first.
        losses.sort(key=lambda key: (_ROLES.index(str(roles[key])), names[key] != "loss"))
        self._chosen = {key: values[key] for key in losses[:_CURVES_MAX]}
        self._roles = roles

    def facts(self) -> list[dict[str, Any]]:
        """Returns the curves as data for the page."""
        return [
            {
                "name": name,
                "evaluation": self._roles[name] == "evaluation",
                "count": len(value.rows),
            }
            for name, value in self._chosen.items()
        ]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays of a recording, by name."""
        rows = [value.rows for value in self._chosen.values()]
        numbers = [value.numbers for value in self._chosen.values()]
        joined = np.concatenate([np.zeros(0), *numbers])
        with np.errstate(over="ignore"):
            numbers32 = joined.astype(np.float32)
        return {
            "loss_columns": differences(np.concatenate([np.zeros(0, np.int64), *rows])),
            "loss_numbers": round_floats(numbers32),
        }
