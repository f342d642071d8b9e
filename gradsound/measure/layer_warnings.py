"""Warnings about layers that a training replaces, removes, adds, shards or thaws."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.name_matching import format_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MESSAGES = {
    "removed": "no longer in the model, and no longer measured",
    "orphaned": "replaced in the model, but the optimizer has the old parameters: they are "
    "not trained, nor measured; make the optimizer after replacing them",
    "not given": "thawed, but the optimizer does not have its parameters: they are not "
    "trained, nor measured; give them to the optimizer by add_param_group()",
    "not held": "thawed, but no optimizer that made a step has its parameters: they are "
    "not trained; give them to an optimizer by add_param_group()",
    "sharded": "sharded now, and not measured: attach after fully_shard(), or after "
    "deepspeed.initialize()",
    "added": "trained now, but not when attach() was called, so not measured: close this "
    "attachment and attach again",
}


class LayerWarnings:
    """Warns once for each layer.

    Attributes:
        warned: Names of the layers with a warning.
    """

    def __init__(self) -> None:
        self.warned: set[str] = set()

    def warn(self, layers: Mapping[str, Sequence[str]]) -> None:
        """Warns about layers, by the kind of their change."""
        for kind, message in _MESSAGES.items():
            names = [name for name in layers.get(kind, ()) if name not in self.warned]
            if names:
                self.warned.update(names)
                quoted = [repr(name) for name in names]
                hint = ""
                if kind == "orphaned" and "deepspeed" in sys.modules:
                    hint = "; with DeepSpeed, attach after deepspeed.initialize()"
                warn(f"layer {format_names(quoted)}: {message}{hint}")
