"""gradsound info --json: the summary of a run as an object of JSON."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from gradsound.cli.alarm_output import to_object
from gradsound.summary.description import unjudged_kinds

if TYPE_CHECKING:
    from gradsound.runs.model import Run
    from gradsound.summary.norm_statistics import NormRange
    from gradsound.summary.run_summary import Summary
    from gradsound.summary.signal_statistics import SignalRange
    from gradsound.summary.value_statistics import ValueRange

_VERSION = 2  # of the keys; a removed key or a changed meaning makes it 3


def to_data(run: Run, summary: Summary) -> dict[str, Any]:
    """Returns the object that ``--json`` prints; docs/command-line.md lists its keys.

    None stands for an unknown number, and for one that is not finite.
    """
    header, logged, clipped = run.header, summary.logged, summary.clipped
    return {
        "version": _VERSION,
        "run": run.name,
        "note": header.comment or None,
        "start": header.start or None,
        "steps": summary.steps,
        "first_step": logged.first,
        "last_step": logged.last,
        "every": logged.every,
        "total_steps": logged.total,
        "seconds": summary.seconds or None,
        "too_short": [*unjudged_kinds(summary)],
        "budget": header.budget,
        "left_out": summary.left_out,
        "skipped": _steps(summary.skipped),
        "discarded": _steps(summary.discarded),
        "clipped": clipped and dict(zip(("smaller", "steps", "times_at_most"), clipped)),
        "first_nonfinite": summary.first_nonfinite,
        "alarms": [to_object(alarm) for alarm in summary.alarms],
        "ranks": summary.ranks and asdict(summary.ranks),
        "observations": [to_object(alarm) for alarm in summary.observations],
        "pitch": summary.pitch,
        "values": [_value(value) for value in summary.values.values()],
        "signals": dict(header.signals),
        "norm": _norm(summary.total),
        "bands": [{"name": band.name, **_norm(band)} for band in summary.bands],
        "layers": [
            {
                "name": layer.name,
                "parameters": parameters or None,
                **_norm(layer),
                "signals": {n: _signal(own[k]) for n, own in summary.signals.items()},
            }
            for k, (layer, parameters) in enumerate(zip(summary.layers, header.parameters))
        ],
    }


def _steps(steps: tuple[int, int, int] | None) -> dict[str, int] | None:
    return steps and dict(zip(("first", "last", "steps"), steps))


def _value(value: ValueRange) -> dict[str, Any]:
    return {
        "name": value.name,
        "steps": value.count,
        "not_finite": value.nonfinite,
        "first": _known(value.first),
        "last": _known(value.last),
        "lowest": _known(value.lowest),
        "lowest_step": value.lowest_step,
        "highest": _known(value.highest),
        "highest_step": value.highest_step,
    }


def _norm(norm: NormRange) -> dict[str, Any]:
    return {
        "lowest": _known(norm.lowest),
        "lowest_step": norm.lowest_step,
        "typical": _known(norm.typical),
        "highest": _known(norm.highest),
        "highest_step": norm.highest_step,
        "zero": norm.zeros,
        "not_finite": norm.nonfinite,
        "no_gradient": norm.absent,
    }


def _signal(signal: SignalRange) -> dict[str, Any]:
    return {
        "steps": signal.count,
        "zero": signal.zeros,
        "lowest": _known(signal.lowest),
        "typical": _known(signal.typical),
        "highest": _known(signal.highest),
        "last": _known(signal.last),
    }


def _known(number: float) -> float | None:
    return number if isfinite(number) else None
