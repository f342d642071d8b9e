"""The run of all ranks of a training, whose layers are the ranks."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError, warn
from gradsound.name_matching import list_some
from gradsound.runs.compressed_file import without_compression
from gradsound.runs.file_names import RUN_SUFFIX
from gradsound.runs.layer_differences import describe_difference
from gradsound.runs.model import Header, Run, find_begin
from gradsound.runs.rank_files import split_rank
from gradsound.runs.rank_layers import RANK_MIN, rank_name
from gradsound.runs.reader import read_run_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SURELY_APART = timedelta(hours=1)  # between the starts of ranks; queues keep some waiting
_NAMED_MAX = 4  # ranks that a warning names


def are_rank_files(paths: Sequence[Path]) -> bool:
    """Returns whether paths are named as files of several ranks: run.rank0.jsonl and so on.

    Files of one rank, such as a.rank0.jsonl and b.rank0.jsonl, are runs to compare.
    """
    ranks = {_rank_of(path) for path in paths}
    return len(ranks) >= RANK_MIN and None not in ranks


def open_ranks(paths: Iterable[str | Path]) -> Run:
    """Opens the run files of the ranks of one training as one run.

    Args:
        paths: The files, which `gradsound.attach` wrote with ``ranks="each"``, in any
            order: run.rank0.jsonl, run.rank1.jsonl and so on.

    Raises:
        OSError: If a file cannot be read.
        RunFormatError: If a file is no run file.
        ValueError: If they are not the files of several ranks of one training.
    """
    files = _by_rank([Path(path) for path in paths])
    headers = {path: _read_header(path) for path in files.values()}
    _check_trainings(headers)
    _warn_missing([*files])
    from gradsound.ranks.combined_ranks import AlignedRanks  # few runs have ranks

    first, *_ = headers.values()
    ordered = tuple(files.values())
    header = Header(
        layers=tuple(map(rank_name, files)),
        parameters=(sum(first.parameters),) * len(files),
        start=min(one.start for one in headers.values()),
        comment=first.comment,
        first_step=min(one.first_step for one in headers.values()),
        training=first.training,
    )
    name = str(ordered[0].with_name(f"{_stem(ordered[0])}.rank*{RUN_SUFFIX}"))
    return Run(header, AlignedRanks(ordered, first), name)


def _rank_of(path: Path) -> int | None:
    """Returns the rank in the name of a file; None if there is none."""
    path = without_compression(path)
    _, rank = split_rank(path.stem)
    is_rank = rank and path.suffix == RUN_SUFFIX
    return int(rank.removeprefix(".rank")) if is_rank else None


def _stem(path: Path) -> str:
    """Returns the stem that all ranks of a training share."""
    return split_rank(without_compression(path).stem)[0]


def _by_rank(paths: Sequence[Path]) -> dict[int, Path]:
    """Returns the files by their ranks, in the order of the ranks."""
    files: dict[int, Path] = {}
    for path in paths:
        rank = _rank_of(path)
        if rank is None:
            raise ValueError(
                f"{path}: is not the file of a rank; those are named run.rank0.jsonl, "
                "run.rank1.jsonl and so on"
            )
        if rank in files:
            raise ValueError(
                f"{path} and {files[rank]} are both rank {rank}: give the files of one "
                "training, each once"
            )
        files[rank] = path
    if len(files) < RANK_MIN:
        raise ValueError(f"got {len(files)} rank: {RANK_MIN} or more can be compared")
    for one, other in pairwise(files.values()):
        if _stem(one) != _stem(other):
            raise ValueError(
                f"{one} and {other} have other names than ranks of one training: give its "
                f"files alone, such as {_stem(one)}.rank*{RUN_SUFFIX}"
            )
    return dict(sorted(files.items()))


def _read_header(path: Path) -> Header:
    try:
        return read_run_file(path, str(path)).header
    except RunFormatError as error:
        if path.stat().st_size:
            raise
        raise RunFormatError(
            f"{path}: is empty, because the rank has written no step yet or was killed "
            "before; leave it out"
        ) from error


def _check_trainings(headers: Mapping[Path, Header]) -> None:
    """Refuses files that are certainly of different trainings; warns if they may be."""
    (path, header), *others = headers.items()
    for other, its in others:
        if its.training and header.training and its.training != header.training:
            raise ValueError(
                f"{other} and {path} are of different trainings: give the files of one"
            )
        if its.layers != header.layers:
            raise ValueError(
                f"{other} and {path} have different layers "
                f"({describe_difference(header.layers, its.layers)}): give the files of "
                "one training"
            )
    if header.training:
        return
    starts = {path: start for path, one in headers.items() if (start := find_begin(one))}
    if len(starts) > 1:
        first = min(starts, key=starts.__getitem__)
        last = max(starts, key=starts.__getitem__)
        if starts[last] - starts[first] > _SURELY_APART:
            warn(
                f"{last} began at {headers[last].start}, long after {first} "
                f"({headers[first].start}): they may be of different trainings"
            )


def _warn_missing(ranks: Sequence[int]) -> None:
    missing = [rank_name(rank) for rank in range(max(ranks)) if rank not in ranks]
    if missing:
        named = list_some(missing, _NAMED_MAX)
        warn(f"no file of {named} is given; the other {len(ranks):,} ranks follow")
