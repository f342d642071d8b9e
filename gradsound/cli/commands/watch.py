"""gradsound watch: prints the alarms of a run, without sound; or of one that grows."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import KINDS
from gradsound.cli.alarm_stream import find_alarms, watch
from gradsound.cli.opened_runs import find_kind, get_choice, get_paths, open_run_of
from gradsound.cli.output import print_error
from gradsound.cli.progress import Progress
from gradsound.name_matching import describe_unknown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from gradsound.alarms.thresholds import Alarm

_FOUND_STATUS = 3  # an alarm of --until came


def run(options: argparse.Namespace) -> None:
    """Prints the alarms of a run; exits with 3 if one of --until is among them."""
    until = get_kinds(options.until or ())
    if find_kind(options) == "runs":
        raise ValueError(
            f"watch takes one run, got {len(options.runs)}; info takes several"
        )
    with ExitStack() as stack:
        command = None
        if options.exec is not None:
            from gradsound.cli.alarm_command import AlarmCommand  # starts processes

            command = stack.enter_context(AlarmCommand(options.exec))
        name, alarms = (_follow if options.follow else _read)(options, stack)
        found = watch(
            name,
            alarms,
            as_json=options.json,
            command=command,
            until=until,
            at_once=options.follow,
        )
    if found:
        sys.exit(_FOUND_STATUS)


def get_kinds(texts: Sequence[str]) -> frozenset[str]:
    """Returns the kinds of alarms that --until names, one or several with commas.

    Raises:
        ValueError: If one is no kind of an alarm, or the end, which is none.
    """
    kinds = [kind.strip() for text in texts for kind in text.split(",")]
    known = [kind for kind in KINDS if kind != "end"]
    for kind in kinds:
        if kind not in known:
            raise ValueError(describe_unknown("alarm", kind, known))
    return frozenset(kinds)


def _read(options: argparse.Namespace, _: ExitStack) -> tuple[str, Iterable[Alarm | None]]:
    """Returns the name and the alarms of a run up to its present end."""
    with Progress() as progress, open_run_of(options, progress) as run:
        return run.name, [*find_alarms(run, run.blocks())]


def _follow(
    options: argparse.Namespace, stack: ExitStack
) -> tuple[str, Iterable[Alarm | None]]:
    """Returns the name and the alarms of a run as it grows, once it has begun."""
    from gradsound.live.read_ahead import read_ahead  # a finished run needs no thread
    from gradsound.live.run_source import RunSource
    from gradsound.live.training_end import TrainingEnd

    [[path, *_]] = get_paths(options)
    source = stack.enter_context(RunSource(path, get_choice(options), print_error))
    run = source.run(growing=not source.is_stdin)
    run = run if options.layers is None else run.select(options.layers)
    if not source.is_stdin:
        source.on_idle = TrainingEnd(source).check
    blocks = stack.enter_context(closing(read_ahead(run.blocks())))
    return run.name, find_alarms(run, blocks)
