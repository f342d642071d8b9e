"""Files of what a demo plays: run files (docs/run-format.md), and presets as JSON."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import gradsound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_run(run: gradsound.Run, path: Path) -> None:
    """Writes the norms and values of a run to a run file, compressed by gzip."""
    lines = "".join(f"{json.dumps(line)}\n" for line in _lines(run))
    # Without a time in it, the file has the same bytes whenever it is written.
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def _lines(run: gradsound.Run) -> Iterator[dict[str, Any]]:
    header = run.header
    yield {
        "format": "gradsound-run",
        "version": "1.4",
        "layers": header.layers,
        "parameters": header.parameters,
    }
    for step in run.steps:
        pairs = zip(step.norms.tolist(), step.absent.tolist())
        norms = [None if absent else _encode_norm(norm) for norm, absent in pairs]
        line = {"step": step.number, "time": round(step.time, 6), "norms": norms}
        yield {**line, "values": {**step.values}} if step.values else line


def _encode_norm(norm: float) -> float | str:
    """Returns nine digits, which keep a float32; JSON has neither NaN nor infinity."""
    if math.isfinite(norm):
        return float(f"{norm:.9g}")
    return "NaN" if math.isnan(norm) else "Infinity"


def encode_preset(preset: gradsound.Preset) -> dict[str, Any]:
    """Returns a preset as JSON data: each object has the name of its class."""
    return json.loads(json.dumps(preset, default=_to_data))


def decode_preset(data: dict[str, Any]) -> gradsound.Preset:
    """Returns the preset that `encode_preset` made to data."""
    return json.loads(json.dumps(data), object_hook=_from_data)


def _to_data(value: Any) -> dict[str, Any]:
    names = (field.name for field in fields(value))
    return {"class": type(value).__name__} | {name: getattr(value, name) for name in names}


def _from_data(data: dict[str, Any]) -> Any:
    values = {name: _freeze(value) for name, value in data.items() if name != "class"}
    return getattr(gradsound, data["class"])(**values) if "class" in data else values


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
