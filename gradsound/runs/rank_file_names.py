"""Run files that the ranks of one training write: run.rank0.jsonl and so on.

The header of each file names its training, because files of several trainings may have
names of one series: ranks of two trainings start in any order.
"""

from __future__ import annotations

import re
from contextlib import suppress
from glob import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEAD_BYTES = 512  # bytes; the header names its training before the layers
_RANK = re.compile(r"(.*)(\.rank[0-9]+)", re.DOTALL)  # the stem of a rank's own file
_TRAINING = re.compile(rb'"training": "([^"\\]+)"')


def rank_path(path: Path, rank: int) -> Path:
    """Returns the path of a rank's own file: run.jsonl becomes run.rank1.jsonl."""
    return path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def split_rank(stem: str) -> tuple[str, str]:
    """Returns a stem without its rank, and the rank: "run" and ".rank1"; or "" for none."""
    match = _RANK.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, "")


def training_of(path: Path) -> str:
    """Returns the training that the header of a rank's file names; empty for none."""
    match = None
    if split_rank(path.stem)[1]:
        with suppress(OSError), path.open("rb", buffering=0) as file:
            match = _TRAINING.search(file.read(_HEAD_BYTES))
    return match[1].decode(errors="replace") if match else ""


def files_of_ranks(log: Path, new_training: str) -> list[Path]:
    """Returns the files of all ranks of the training that wrote a run file.

    So they get one number, also if the new training has fewer ranks, or more.

    Args:
        log: The run file.
        new_training: The training that takes its name.
    """
    stem, _ = split_rank(log.stem)
    training = training_of(log)
    if training in ("", new_training):
        return [log]
    others = log.parent.glob(f"{escape(stem)}.rank*{escape(log.suffix)}")
    return [
        path
        for path in others
        if split_rank(path.stem)[0] == stem and training_of(path) == training
    ]


def has_others(path: Path, training: str) -> bool:
    """Returns whether ranks of another training have files of a stem.

    Args:
        path: The path without a rank: run.1.jsonl for run.1.rank0.jsonl.
        training: The training whose files do not count.
    """
    ranks = path.parent.glob(f"{escape(path.stem)}.rank*{escape(path.suffix)}")
    return any(training_of(one) not in ("", training) for one in ranks)
