"""What hooks of optimizers have in common.

They are kept out of torch.compile: a compiled step calls them, but is not compiled any
differently for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.compiler import disable

if TYPE_CHECKING:
    from collections.abc import Callable


def has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments of ``step(self, closure)`` have a closure."""
    return (args[1] if len(args) > 1 else kwargs.get("closure")) is not None


def uncompiled(hook: Callable[..., None]) -> Callable[..., None]:
    """The hook, left alone by torch.compile."""
    return disable(hook)  # type: ignore[no-untyped-call, no-any-return]
