"""Parses one record of a W&B history, item by item (wandb_internal.proto)."""

from __future__ import annotations

from math import nan

from gradsound.logs.json_value import decode_json
from gradsound.logs.protobuf import read_fields, to_bytes, to_text
from gradsound.logs.row import parse_number

HISTORY = 2  # field number of Record
ITEM, STEP = 1, 2  # of HistoryRecord
KEY, NESTED, JSON = 1, 2, 16  # of HistoryItem
_NUM = 1  # of HistoryStep


def parse_record(record: bytes) -> tuple[dict[str, float], float] | None:
    """Returns the numbers in the history of a record by name, and the field for its step.

    Returns:
        None if the bytes are no message, or a text is no JSON.
    """
    try:
        return _parse_record(record)
    except ValueError:
        return None


def _parse_record(record: bytes) -> tuple[dict[str, float], float]:
    numbers, step = {}, nan
    for record_field, history in read_fields(record):
        if record_field != HISTORY:
            continue
        for field, value in read_fields(to_bytes(history)):
            if field == ITEM:
                name, number = _parse_item(to_bytes(value))
                if number is not None:
                    numbers[name] = number
            elif field == STEP:
                fields = read_fields(to_bytes(value))
                found = next((number for inner, number in fields if inner == _NUM), 0)
                step = float(found) if isinstance(found, int) else nan
    return numbers, step


def _parse_item(message: bytes) -> tuple[str, float | None]:
    """Returns name and number of an item; None for a histogram, a table or a text."""
    names, number = [], None
    for field, value in read_fields(message):
        if field in (KEY, NESTED):
            names.append(to_text(value))
        elif field == JSON and to_bytes(value)[:1] not in (b"{", b"["):
            number = parse_number(decode_json(to_text(value)))
    return ".".join(names), number
