"""Parses an Event of TensorBoard: a protocol buffer, of which a run needs the scalars.

The messages are those of tensorflow/core/util/event.proto, and of summary.proto and
tensor.proto in tensorflow/core/framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradsound.logs.protobuf import Field, find_fields, read_varint

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

# Field numbers.
_WALL_TIME, _STEP, _SUMMARY, _SESSION = 1, 2, 5, 7  # of Event
_STATUS = 1  # of SessionLog
_VALUE = 1  # of Summary
_TAG, _SIMPLE, _TENSOR = 1, 2, 8  # of Summary.Value
_DTYPE, _SHAPE, _CONTENT = 1, 2, 4  # of TensorProto
_FLOATS, _DOUBLES, _INTS, _INT64S, _HALVES, _UINT32S, _UINT64S = 5, 6, 7, 10, 13, 16, 17
_DIMENSION, _SIZE = 2, 1  # of TensorShapeProto, and of its Dim

_START = 1  # of the statuses of a session
# By the number of a type, the type and the field with its numbers.
_BFLOAT16, _HALF = 14, 19
_TYPES: dict[int, tuple[str, int]] = {
    1: ("<f4", _FLOATS),
    2: ("<f8", _DOUBLES),
    3: ("<i4", _INTS),
    4: ("u1", _INTS),
    5: ("<i2", _INTS),
    6: ("i1", _INTS),
    9: ("<i8", _INT64S),
    17: ("<u2", _INTS),
    _BFLOAT16: ("<u2", _HALVES),
    _HALF: ("<f2", _HALVES),
    22: ("<u4", _UINT32S),
    23: ("<u8", _UINT64S),
}


class Scalar(NamedTuple):
    """A number with a name.

    Attributes:
        tag: Where the bytes of the name begin and end.
        value: The number.
        number: Where the bytes of the number begin, and their type; None if it is not in
            one piece, or not in a form that numpy knows.
    """

    tag: tuple[int, int]
    value: float
    number: tuple[int, str] | None


class Event(NamedTuple):
    """The contents of an event.

    Attributes:
        time: Seconds since 1970; NaN if unknown.
        step: The step.
        scalars: The numbers.
        starts: Whether it says that a training starts again at the step, and that what was
            logged before at later steps does not count.
        time_at: Where the bytes of the time begin; None if it has no time.
        step_at: Where the bytes of the step begin and end; None if it has none.
    """

    time: float
    step: int
    scalars: list[Scalar]
    starts: bool
    time_at: int | None
    step_at: tuple[int, int] | None


def parse_event(data: bytes) -> Event:
    """Returns the contents of an event.

    Raises:
        ValueError: If the bytes are no event.
    """
    time, step, starts = float("nan"), 0, False
    scalars: list[Scalar] = []
    time_at = step_at = None
    for field in find_fields(data, 0, len(data)):
        if field.number == _SUMMARY:
            for value in find_fields(data, *_span(field)):
                if value.number == _VALUE:
                    scalar = _parse_value(data, value)
                    if scalar is not None:
                        scalars.append(scalar)
        elif field.number == _STEP and field.value is not None:
            step, step_at = field.value, (field.begin, field.end)
        elif field.number == _WALL_TIME:
            time, time_at = _unpack(data, field, "<f8"), field.begin
        elif field.number == _SESSION:
            for status in find_fields(data, *_span(field)):
                starts |= status.number == _STATUS and status.value == _START
    return Event(time, step, scalars, starts, time_at, step_at)


def _span(field: Field) -> tuple[int, int]:
    if field.value is not None:
        raise ValueError("no message: a number where bytes are expected")
    return field.begin, field.end


def _unpack(data: bytes, field: Field, dtype: DTypeLike) -> float:
    """Returns the number that is all the bytes of a field."""
    numbers = np.frombuffer(data[slice(*_span(field))], dtype)
    if len(numbers) != 1:
        raise ValueError("no message: a number of another size")
    return float(numbers[0])


def _parse_value(data: bytes, value: Field) -> Scalar | None:
    """Returns tag and number of a Summary.Value; None for another kind of value."""
    tag = 0, 0
    number: tuple[float, tuple[int, str] | None] | None = None
    for field in find_fields(data, *_span(value)):
        if field.number == _TAG:
            tag = _span(field)
        elif field.number == _SIMPLE:
            number = _unpack(data, field, "<f4"), (field.begin, "<f4")
        elif field.number == _TENSOR:
            number = _parse_tensor(data, field)
    return None if number is None else Scalar(tag, *number)


def _parse_tensor(
    data: bytes, tensor: Field
) -> tuple[float, tuple[int, str] | None] | None:
    """Returns the number of a tensor and where it is; None if it has more than one."""
    kind, fields = 0, list[Field]()
    for field in find_fields(data, *_span(tensor)):
        if field.number == _DTYPE and field.value is not None:
            kind = field.value
        elif field.number != _SHAPE:
            fields.append(field)
        elif _count_numbers(data, field) != 1:
            return None
    if kind not in _TYPES:
        return None
    dtype, numbers_field = _TYPES[kind]
    size = np.dtype(dtype).itemsize
    found: list[tuple[bytes, tuple[int, str] | None]] = []  # of numbers, their bytes
    for field in fields:
        if field.number == _CONTENT or field.number == numbers_field in (_FLOATS, _DOUBLES):
            begin, end = _span(field)
            if end > begin:
                found.append((data[begin:end], (begin, dtype)))
        elif field.number == numbers_field:
            numbers = _read_varints(data, field)
            found += [(number.to_bytes(10, "little")[:size], None) for number in numbers]
    if len(found) != 1 or len(found[0][0]) != size:
        return None
    ((number, place),) = found
    if kind == _BFLOAT16:  # the upper half of a float32
        return float(np.frombuffer(b"\0\0" + number, "<f4")[0]), None
    return float(np.frombuffer(number, dtype)[0]), place


def _read_varints(data: bytes, field: Field) -> list[int]:
    """Returns the first one or two numbers of a field of varints, which may be packed."""
    if field.value is not None:
        return [field.value]
    numbers, at = list[int](), field.begin
    while at < field.end and len(numbers) < 2:
        number, at = read_varint(data, at, field.end)
        numbers.append(number)
    return numbers


def _count_numbers(data: bytes, shape: Field) -> int:
    """Returns how many numbers a tensor of a shape has; a shape of rank 0 has one."""
    count = 1
    for dimension in find_fields(data, *_span(shape)):
        if dimension.number == _DIMENSION:
            sizes = [
                field.value or 0
                for field in find_fields(data, *_span(dimension))
                if field.number == _SIZE
            ]
            count *= sizes[-1] if sizes else 0
    return count
