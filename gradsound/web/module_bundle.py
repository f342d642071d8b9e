"""Joins the page's modules to one script, for a page that no server sends.

A browser loads no module from a file. So each module becomes a function that returns what
the module exports, and the functions follow one another.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_IMPORT = re.compile(
    r'^import (?:(\{[^}]*\}|\* as \w+) from )?"\./([\w.]+)";\n', re.MULTILINE
)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(import|export)\b.*$", re.MULTILINE)
_OPEN = re.compile(
    r"^[^`\n]*`(?:[^`\n]*`[^`\n]*`)*[^`\n]*$", re.MULTILINE
)  # a text of two lines
_NO_ASCII = re.compile(r"[^\x00-\x7f]+")
_SPARE = re.compile(r"^\s*//.*\n|^\s+", re.MULTILINE)


def bundle(entry: str, folders: Sequence[Path]) -> str:
    """Returns one script with a module and all modules that it imports.

    Indents, and lines that are only a comment, are left out.

    Args:
        entry: File name of the module.
        folders: Where modules are; a module in an earlier folder replaces one of the same
            name.

    Raises:
        ValueError: If a module imports or exports in another way than the page's modules
            do: names by ``import { a, b } from "./file.js"`` or ``import * as a from
            "./file.js"``; functions, classes and constants by ``export`` before them.
        OSError: If no folder has a module.
    """
    scripts: dict[str, str] = {}
    _add(entry, folders, scripts, ())
    return "".join(scripts.values())


def _add(
    name: str, folders: Sequence[Path], scripts: dict[str, str], around: tuple[str, ...]
) -> None:
    """Adds the modules that a module imports, then the module."""
    if name in scripts:
        return
    if name in around:
        raise ValueError(f"{' imports '.join([*around, name])}: modules import in a circle")
    source = read_module(name, folders)
    for _, other in _IMPORT.findall(source):
        _add(other, folders, scripts, (*around, name))
    exported = ", ".join(_EXPORT.findall(source))
    body = compact(_EXPORT.sub("", _IMPORT.sub(_assignment, source)))
    if odd := _LEFT.search(body) or _OPEN.search(body):
        raise ValueError(f"{name}: cannot join {odd[0]!r} to the other modules")
    scripts[name] = (
        f"const {_variable(name)} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"
    )


def compact(script: str) -> str:
    """Returns a script without indents and without lines that are only a comment.

    Other characters than those of ASCII are escaped. So a script in a page keeps its bytes,
    whatever encoding a program takes for that of the page.
    """
    spared = _SPARE.sub("", script)
    return _NO_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], spared)


def read_module(name: str, folders: Sequence[Path]) -> str:
    """Returns the text of a file in the first folder that has it.

    Raises:
        OSError: If no folder has it.
    """
    found = (folder / name for folder in folders if (folder / name).is_file())
    return next(found, folders[-1] / name).read_text(encoding="utf-8")


def _assignment(statement: re.Match[str]) -> str:
    """Returns the constants that an import statement defines."""
    names, file = statement.groups()
    if not names:
        return ""
    return f"const {names.removeprefix('* as ')} = {_variable(file)};\n"


def _variable(file: str) -> str:
    return file.replace(".", "_")
