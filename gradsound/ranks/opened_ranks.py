"""The run of all ranks of a training: its layers are the ranks, or those of a pipeline."""

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
from gradsound.runs.rank_file_names import split_rank
from gradsound.runs.rank_layers import RANK_MIN, rank_name
from gradsound.runs.run_file import read_run_file
from gradsound.runs.step import NO_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradsound.runs.step_stream import StepSource

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

    If the ranks have layers of their own, as in a pipeline, the run has the layers of all,
    in the order of the stages. Else its layers are the ranks.

    Args:
        paths: The files, which `gradsound.attach` wrote for each rank, in any order:
            run.rank0.jsonl, run.rank1.jsonl and so on.

    Raises:
        OSError: If a file cannot be read.
        RunFormatError: If a file is no run file.
        ValueError: If they are not the files of several ranks of one training.
    """
    files = _by_rank([Path(path) for path in paths])
    headers = {path: _read_header(path) for path in files.values()}
    pipelined = _have_own_layers([*headers.values()])
    _check_trainings(headers, same_layers=not pipelined)
    first, *_ = headers.values()
    ordered = tuple(files.values())
    steps: StepSource
    signals: Mapping[str, str] = NO_SIGNALS
    if pipelined:
        from gradsound.ranks.joined_stages import JoinedStages  # few runs have ranks

        layers, parameters, order = _join_layers(headers)
        steps = JoinedStages(headers, order)
        for one in headers.values():
            signals = {**one.signals, **signals}
    else:
        from gradsound.ranks.combined_ranks import AlignedRanks

        _warn_missing("rank", [*files], "ranks")
        layers = tuple(map(rank_name, files))
        parameters = (sum(first.parameters),) * len(files)
        steps = AlignedRanks(ordered, first)
    header = Header(
        layers=layers,
        parameters=parameters,
        start=min(one.start for one in headers.values()),
        comment=first.comment,
        first_step=min(one.first_step for one in headers.values()),
        training=first.training,
        signals=signals,
    )
    name = str(ordered[0].with_name(f"{_stem(ordered[0])}.rank*{RUN_SUFFIX}"))
    return Run(header, steps, name)


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


def _have_own_layers(headers: Sequence[Header]) -> bool:
    """Returns whether ranks have layers of their own, as the stages of a pipeline."""
    names = [name for header in headers for name in header.layers]
    return all(header.stages for header in headers) or len({*names}) == len(names)


def _join_layers(
    headers: Mapping[Path, Header],
) -> tuple[tuple[str, ...], tuple[int, ...], list[int]]:
    """Returns the names and sizes of all layers in the order of the stages.

    If stages have equal names, each name begins with its stage.

    Args:
        headers: The headers by their files. Without stages, the ranks are in their place.

    Returns:
        Names and sizes; and the index of each layer among those of all files.

    Raises:
        ValueError: If two files have the same layer of the same stage.
    """
    layers = [
        (stage, name, size, path)
        for rank, (path, one) in enumerate(headers.items())
        for stage, name, size in zip(
            one.stages or (rank,) * len(one.layers), one.layers, one.parameters
        )
    ]
    owners: dict[tuple[int, str], Path] = {}
    for stage, name, _, path in layers:
        if (owner := owners.setdefault((stage, name), path)) != path:
            raise ValueError(
                f"{path} and {owner} both have layer {name!r} of stage {stage}: give the "
                "files of one pipeline"
            )
    if any(header.stages for header in headers.values()):
        _warn_missing("stage", [stage for stage, *_ in layers], "stages")
    order = sorted(range(len(layers)), key=lambda index: layers[index][0])
    is_unique = len({name for _, name, *_ in layers}) == len(layers)
    ordered = [layers[index] for index in order]
    names = [name if is_unique else f"stage{stage}.{name}" for stage, name, *_ in ordered]
    return tuple(names), tuple(size for _, _, size, _ in ordered), order


def _check_trainings(headers: Mapping[Path, Header], *, same_layers: bool) -> None:
    """Refuses files that are certainly of different trainings; warns if they may be."""
    (path, header), *others = headers.items()
    for other, its in others:
        if its.training and header.training and its.training != header.training:
            raise ValueError(
                f"{other} and {path} are of different trainings: give the files of one"
            )
        if same_layers and its.layers != header.layers:
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


def _warn_missing(kind: str, given: Iterable[int], kinds: str) -> None:
    """Warns of numbers that are missing below the highest one."""
    numbers = {*given}
    missing = [f"{kind} {one}" for one in range(max(numbers)) if one not in numbers]
    if missing:
        named = list_some(missing, _NAMED_MAX)
        warn(f"no file of {named} is given; the other {len(numbers):,} {kinds} follow")
