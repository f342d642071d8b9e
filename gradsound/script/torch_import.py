"""Notices that a script imports torch, which nothing of ours does before."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class TorchImport:
    """The first finder of modules: it calls a function once torch is whole.

    Args:
        on_import: Called once; it may not raise.
    """

    def __init__(self, on_import: Callable[[], None]) -> None:
        self._on_import = on_import
        self._searches = False
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Returns what the other finders find for torch, with a loader that notices."""
        if name != "torch" or self._searches:
            return None
        self._searches = True
        try:
            spec = find_spec(name)
        finally:
            self._searches = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _NoticingLoader(spec.loader, self)  # type: ignore[assignment]
        return spec

    def end(self) -> None:
        """Tells that torch is imported."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._on_import()


class _NoticingLoader:
    """Loads a module by its own loader, then tells.

    Args:
        loader: The module's own loader.
        torch_import: Is told.
    """

    def __init__(self, loader: Any, torch_import: TorchImport) -> None:
        self._loader, self._torch_import = loader, torch_import

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Loads the module, which has its own loader from now on."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._torch_import.end()
