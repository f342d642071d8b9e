"""Parses one record of a W&B history, item by item (wandb_internal.proto)."""

from __future__ import annotations

from math import nan
from typing import Any

from gradsound.logs.json_decoder import decode_json
from gradsound.logs.protobuf import read_fields, to_bytes, to_text

HISTORY = 2  # field number of Record
ITEM, STEP = 1, 2  # of HistoryRecord
KEY, NESTED, JSON = 1, 2, 16  # of HistoryItem
_NUM = 1  # of HistoryStep


def parse_record(record: bytes) -> tuple[list[tuple[str, Any]], float] | None:
    """Returns the named values in the history of a record, and the field for its step.

    Histograms, tables and other objects are left out.

    Returns:
        None if the bytes are no message, or a text is no JSON.
    """
    try:
        return _parse_record(record)
    except ValueError:
        return None


def _parse_record(record: bytes) -> tuple[list[tuple[str, Any]], float]:
    values, step = list[tuple[str, Any]](), nan
    for record_field, history in read_fields(record):
        if record_field != HISTORY:
            continue
        for field, value in read_fields(to_bytes(history)):
            if field == ITEM:
                values += _parse_item(to_bytes(value))
            elif field == STEP:
                fields = read_fields(to_bytes(value))
                found = next((number for inner, number in fields if inner == _NUM), 0)
                step = float(found) if isinstance(found, int) else nan
    return values, step


def _parse_item(message: bytes) -> list[tuple[str, Any]]:
    """Returns name and value of an item; nothing for an object."""
    names, values = [], list[Any]()
    for field, value in read_fields(message):
        if field in (KEY, NESTED):
            names.append(to_text(value))
        elif field == JSON and to_bytes(value)[:1] not in (b"{", b"["):
            values.append(decode_json(to_text(value)))
    return [(".".join(names), value) for value in values[-1:]]
