"""Encodes and decodes the first line of a run file, its header, as JSON.

docs/run-format.md describes the format.
"""

from __future__ import annotations

from typing import Any

from gradsound.errors import RunFormatError
from gradsound.runs.model import Header
from gradsound.runs.step import NO_SIGNALS
from gradsound.runs.step_line import STEP_MAX
from gradsound.runs.strict_json import (
    decode_object,
    encode_json,
    excerpt,
    is_number,
    list_of,
)

FORMAT = "gradsound-run"
VERSION = (1, 4)  # major, minor; a decoder refuses a newer major one, ignores unknown keys


def encode_header(header: Header) -> bytes:
    """Returns the first line of a run file, with its newline."""
    fields: dict[str, object] = {
        "format": FORMAT,
        "version": ".".join(map(str, VERSION)),
        "start": header.start,
        **({"training": header.training} if header.training else {}),
        "note": header.comment,
        "layers": header.layers,
        "parameters": header.parameters,
    }
    if header.budget is not None:
        fields["budget"] = header.budget
    if header.first_step:
        fields["first_step"] = header.first_step
    if header.stages:
        fields["stages"] = header.stages
    if header.signals:
        fields["signals"] = {**header.signals}
    # UTF-8 cannot encode a lone surrogate, so it becomes its JSON escape.
    return encode_json(fields).encode("utf-8", "backslashreplace") + b"\n"


def decode_header(line: bytes) -> Header:
    """Decodes the first line of a run file.

    Raises:
        RunFormatError: If the line is no header, or has a newer major version.
    """
    fields = _decode_format(line)
    _check_version(fields.get("version"))
    layers = list_of(str, fields.get("layers"))
    if not layers or len({*layers}) != len(layers):
        raise RunFormatError('expected "layers": a list of different names')
    parameters = list_of(int, fields.get("parameters"))
    if len(parameters) != len(layers):
        raise RunFormatError(f'expected "parameters": a list of {len(layers)} counts')
    budget: Any = fields.get("budget")
    if not (budget is None or (is_number(budget) and 0 < budget < 1)):
        raise RunFormatError(f'expected "budget": between 0 and 1, got {budget!r}')
    first_step = fields.get("first_step", 0)
    if not (type(first_step) is int and 0 <= first_step <= STEP_MAX):
        raise RunFormatError(f'expected "first_step": 0 or more, got {first_step!r}')
    start, comment = fields.get("start", ""), fields.get("note", "")
    if not (isinstance(start, str) and isinstance(comment, str)):
        raise RunFormatError('expected "start" and "note" to be texts')
    training = fields.get("training", "")
    if not isinstance(training, str):
        raise RunFormatError(f'expected "training" to be a text, got {training!r}')
    stages = list_of(int, fields.get("stages"))
    if fields.get("stages") is not None and len(stages) != len(layers):
        raise RunFormatError(f'expected "stages": a list of {len(layers)} numbers')
    signals = fields.get("signals", {})
    if not (isinstance(signals, dict) and all(type(t) is str for t in signals.values())):
        raise RunFormatError(f'expected "signals": texts by name, got {signals!r}')
    return Header(
        layers=tuple(layers),
        parameters=tuple(parameters),
        start=start,
        comment=comment,
        budget=None if budget is None else float(budget),
        first_step=first_step,
        training=training,
        stages=tuple(stages),
        signals=signals or NO_SIGNALS,
    )


def _decode_format(line: bytes) -> dict[str, Any]:
    """Returns the fields of a header that has the right ``format``."""
    got = f'expected a run, which begins {{"format": "{FORMAT}", ...}}, got {excerpt(line)}'
    try:
        fields = decode_object(line)
    except RunFormatError as error:
        raise RunFormatError(got) from error
    if fields.get("format") != FORMAT:
        raise RunFormatError(got)
    return fields


def _check_version(version: object) -> None:
    major = version.partition(".")[0] if isinstance(version, str) else ""
    if not major.isdecimal():
        raise RunFormatError(f'expected "version" such as "1.0", got {version!r}')
    if int(major) > VERSION[0]:
        raise RunFormatError(
            f"written in run format {version}; this gradsound reads up to "
            f"{VERSION[0]}.x: install a newer one"
        )
