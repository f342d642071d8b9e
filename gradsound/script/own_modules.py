"""Keeps our imports and those of a script apart, such as its own ``queue.py``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec

# Python imports these before a script too, so they are never the script's own.
_KEPT = (
    {"gradsound", "__main__", "abc", "codecs", "encodings", "genericpath", "io", "ntpath"}
    | {"os", "posixpath", "site", "sitecustomize", "stat", "usercustomize", "zipimport"}
    | {"_collections_abc", "_sitebuiltins", *sys.builtin_module_names}
)


def free_names(folder: str, modules: Iterable[str] | None = None) -> None:
    """Forgets modules that we imported and whose names the folder of a script has too.

    Then the script imports its own. Our functions keep the modules that they have.

    Args:
        folder: The first entry of ``sys.path``; empty for the working directory.
        modules: The names of the modules that we imported; all so far if None.
    """
    names: set[str] = set()
    with suppress(OSError):  # a zip file, or a folder that is gone
        names = {name.partition(".")[0] for name in os.listdir(folder or ".")}  # noqa: PTH208
    for module in [*sys.modules] if modules is None else modules:
        package = module.partition(".")[0]
        if package in names and package not in _KEPT:
            sys.modules.pop(module, None)


@contextmanager
def import_ours() -> Iterator[None]:
    """Imports modules of ours in the middle of a script, whose own modules are in the way.

    What we import from the standard library is never a file of the script. Afterwards, the
    script imports its own.
    """
    known = {*sys.modules}
    finder = _StandardFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        free_names(sys.path[0] if sys.path else "", {*sys.modules} - known)


class _StandardFinder:
    """The first finder of modules: it finds those of the standard library there alone."""

    def __init__(self) -> None:
        library = os.path.dirname(os.__file__)  # noqa: PTH120 (an entry of sys.path)
        self._places = [library, f"{library}/lib-dynload"]

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Returns a module of the standard library that is a file."""
        if name not in sys.stdlib_module_names:  # no name of a submodule is
            return None
        return PathFinder.find_spec(name, self._places)
