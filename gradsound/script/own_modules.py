"""Frees the names of modules that a script may have too, such as its own ``queue.py``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

# Python imports these before a script too, so they are never the script's own.
_KEPT = (
    {"gradsound", "__main__", "abc", "codecs", "encodings", "genericpath", "io", "ntpath"}
    | {"os", "posixpath", "site", "sitecustomize", "stat", "usercustomize", "zipimport"}
    | {"_collections_abc", "_sitebuiltins", *sys.builtin_module_names}
)


def free_names(folder: str) -> None:
    """Forgets modules that we imported and whose names the folder of a script has too.

    Then the script imports its own. Our functions keep the modules that they have.

    Args:
        folder: The first entry of ``sys.path``; empty for the working directory.
    """
    names: set[str] = set()
    with suppress(OSError):  # a zip file, or a folder that is gone
        names = {name.partition(".")[0] for name in os.listdir(folder or ".")}  # noqa: PTH208
    for module in [*sys.modules]:
        package = module.partition(".")[0]
        if package in names and package not in _KEPT:
            del sys.modules[module]
