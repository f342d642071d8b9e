"""What a process imports, of which packages, for whom and for how long, as Python prints.

Python prints a line for each module after those that it imports: own microseconds,
microseconds with them, and the name, indented by who imports it (``-X importtime``).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

_LINE = re.compile(r"^import time: +(\d+) \| +\d+ \|( +)(\S+)$", re.MULTILINE)
_OURS = "gradsound"


@dataclass(frozen=True)
class Module:
    """A module that a process imported.

    Attributes:
        name: Its name.
        ms: Milliseconds without the modules that it imported.
        importer: The module of ours that imported it first, itself or by others; empty if
            none did.
    """

    name: str
    ms: float
    importer: str


def parse(text: str) -> list[Module]:
    """Returns the modules of an output of Python, in the order of its lines."""
    modules: list[Module] = []
    path: list[str] = []  # of the modules that wait for the line, from the outermost
    for own, indent, name in reversed(_LINE.findall(text)):
        del path[len(indent) // 2 :]
        ours = [one for one in path if one.partition(".")[0] == _OURS]
        modules.append(Module(name, int(own) / 1e3, ours[-1] if ours else ""))
        path.append(name)
    return modules[::-1]


def describe(modules: list[Module], known: set[str], rows: int) -> list[str]:
    """Returns lines: the number of modules, then the packages that take longest.

    Args:
        modules: Those of a process.
        known: Names that Python imports itself, or that the process had before.
        rows: How many packages.
    """
    new = [one for one in modules if one.name not in known]
    packages: dict[str, list[Module]] = {}
    for one in new:
        packages.setdefault(one.name.partition(".")[0], []).append(one)
    ours, standard = packages.get(_OURS, []), sys.stdlib_module_names
    others = [one for one in new if one.name.partition(".")[0] not in {_OURS, *standard}]
    lines = [
        f"{len(new)} modules, {sum(one.ms for one in new):.0f} ms: {len(ours)} of "
        f"gradsound, {len(others)} of packages, the others of Python"
    ]
    ranked = sorted(packages.items(), key=lambda item: -sum(one.ms for one in item[1]))
    for name, group in ranked[:rows]:
        first = next((one for one in group if one.name == name), group[0])
        by = f"  {first.importer}" if first.importer and name != _OURS else ""
        lines.append(f"  {name:20} {len(group):4} {sum(one.ms for one in group):6.1f}{by}")
    return lines
