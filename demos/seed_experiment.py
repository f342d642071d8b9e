"""Options, tables and folders that the demos of the posts' other systems share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def parse_options(description: str, seeds: int, **folders: str) -> argparse.Namespace:
    """Returns the options of a demo: ``seeds``, how many; ``out``, an existing folder.

    Args:
        description: What the demo does.
        seeds: How many, by default.
        **folders: Help for options that are more folders, by name; None if not given.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds, help="how many (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the files")
    for name, meaning in folders.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=meaning)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be 1 or more, got {options.seeds}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out must be a folder: {error}")
    torch.set_num_threads(1)  # the networks are small: threads would wait for each other
    return options


def print_table(columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Prints a Markdown table: a name, then three significant digits of each number."""
    print("| | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, numbers in rows.items():
        print(f"| {name} | " + " | ".join(f"{number:.3g}" for number in numbers) + " |")
