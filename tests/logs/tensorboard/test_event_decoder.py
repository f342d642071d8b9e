"""Events that are decoded together are what the plain parser says of each."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from helpers.event_files import event, event_file, restart, simple, tfrecord
from helpers.records import field, varint

from gradsound.logs.tensorboard import event_decoder, event_files, event_layouts
from gradsound.logs.tensorboard.crc32c import (
    crc32c,
    masked_crc32c,
    masked_crc32c_of_changes,
)
from gradsound.logs.tensorboard.event_parser import parse_event

TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 17: "<u2"}
TYPES |= {19: "<f2", 22: "<u4", 23: "<u8"}


def tensor(kind: int, content: bytes, dims: list[int] | None = None) -> bytes:
    """Returns a tensor with the bytes of its numbers, and the sizes of its dimensions."""
    shape = b"".join(field(2, field(1, size)) for size in dims or [])
    return field(1, kind) + field(2, shape) + field(4, content)


def random_event(chance: random.Random, step: int) -> bytes:
    """Returns an event of any of the forms that logs have, or nearly have."""
    step = chance.choice((step, step, step, chance.randrange(2**60), 2**64 - 1, 0))
    tag = chance.choice(("a", "bb", "b", "grad_norm/layer.1", "grad_norm/layer.2", "größe"))
    number = chance.choice((chance.random(), float("nan"), float("inf"), -1.0, 0.0))
    form = chance.randrange(16)
    metadata = field(9, field(1, field(1, "scalars")))
    if form < 6:
        return event(step, [simple(tag, number)], time=1.7e9 + chance.random())
    if form == 6:
        return event(step, [simple(tag, number), simple(tag * 2, 2.0)])
    if form == 7:
        kind = chance.choice([*TYPES])
        content = np.array([3]).astype(TYPES[kind]).tobytes()
        return event(step, [field(1, tag) + field(8, tensor(kind, content)) + metadata])
    if form == 8:
        return event(step, [field(1, tag) + field(8, tensor(2, struct.pack("<d", number)))])
    if form == 9:
        return event(
            step, [field(1, tag) + field(5, chance.randbytes(chance.choice((9, 40))))]
        )
    if form == 10:  # another order of fields
        value = varint(2 << 3 | 5) + struct.pack("<f", number) + field(1, tag)
        return field(5, field(1, value)) + field(2, step) + field(1, 1.7e9)
    if form == 11:  # no time
        return field(2, step) + field(5, field(1, simple(tag, number)))
    if form == 12:
        return restart(step % 50) if chance.random() < 0.2 else event(step)
    if form == 13:  # a field that comes twice
        return event(step, [simple(tag, number)]) + field(2, step // 2)
    if form == 14:
        return event(step, [simple("", number), field(1, tag)])
    return chance.randbytes(chance.choice((20, 40, 44)))


def read(path: Path) -> tuple[list[object], list[str]]:
    """Returns what the reader yields, and the damage that it reports."""
    reports: list[str] = []
    entries: list[object] = []
    for scalars in event_files.read(path, reports.append):
        if scalars is not None:
            if scalars.discards:
                entries.append(dict(scalars.discards))
            names = [scalars.names[place] for place in scalars.places]
            columns = (scalars.steps, scalars.times, scalars.values)
            entries += zip(names, *(map(repr, column.tolist()) for column in columns))
    return entries, reports


@pytest.mark.parametrize("seed", range(60))
def test_events_of_any_form_are_read_as_by_the_plain_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Also where some are damaged."""
    chance = random.Random(seed)  # noqa: S311 (reproducible)
    forms = [random_event(chance, 300 + k) for k in range(300)]
    content = bytearray(event_file(forms))
    if seed % 2:
        for _ in range(chance.choice((1, 3, 30))):
            content[chance.randrange(len(content) // 2, len(content))] ^= 1
    if seed % 4 == 3:  # damage of data only, which does not end the file
        content = bytearray(event_file([]))
        for form in forms:
            record = bytearray(tfrecord(form))
            if chance.random() < 0.1:
                record[chance.randrange(12, len(record))] ^= 1 << chance.randrange(8)
            content += record
    (tmp_path / "x.tfevents").write_bytes(content)
    together = read(tmp_path)
    monkeypatch.setattr(event_decoder, "_GROUP_MIN", 10**9)
    plain = read(tmp_path)

    assert together == plain
    assert together[0]


def test_records_of_one_size_may_differ_in_their_fields(tmp_path: Path) -> None:
    """A step of three bytes, and a step of one byte before another field of two."""
    summary = field(5, field(1, simple("a", 1.0)))
    long = [field(1, 1.7e9) + field(2, 40_000 + k) + summary for k in range(20)]
    short = [field(1, 1.7e9) + field(2, k) + field(15, 1) + summary for k in range(20)]
    assert {*map(len, long)} == {*map(len, short)}
    for events in (long + short, short + long):
        (tmp_path / "x.tfevents").write_bytes(event_file(events))
        steps = [float(step) for _, step, _, _ in read(tmp_path)[0]]
        assert steps == [parse_event(one).step for one in events]


def test_names_with_the_same_hash_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash only finds candidates; the bytes of the names decide."""

    def hash_alike(words: np.ndarray) -> np.ndarray:
        return np.zeros(len(words), np.uint64)

    monkeypatch.setattr(event_layouts, "_hash", hash_alike)
    events = [event(k, [simple(f"n{k % 5}", 1.0)]) for k in range(100)]
    (tmp_path / "x.tfevents").write_bytes(event_file(events))

    assert [entry[0] for entry in read(tmp_path)[0]] == [f"n{k % 5}" for k in range(100)]


def test_most_events_need_no_plain_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20,000 events of 20 names, it parses some dozens; it is 30 times as slow."""
    parsed: list[bytes] = []

    def parse(data: bytes) -> object:
        parsed.append(data)
        return parse_event(data)

    monkeypatch.setattr(event_decoder, "parse_event", parse)
    events = (
        event(step, [simple(f"grad_norm/{name}", 1.0)], time=1.7e9 + step / 7)
        for step in range(1000)
        for name in range(20)
    )
    (tmp_path / "x.tfevents").write_bytes(event_file(events))
    entries, _ = read(tmp_path)

    assert len(entries) == 20_000
    assert len(parsed) < 100


def test_checksums_of_changes_are_those_of_the_whole() -> None:
    """The checksum of a message follows from another's, and from the bytes that differ."""
    chance = np.random.default_rng(0)
    for size in (1, 5, 300):
        base = chance.integers(0, 256, size, np.uint8)
        places = np.sort(chance.permutation(size)[:17])
        messages = np.repeat(base[np.newaxis], 40, axis=0)
        messages[:, places] = chance.integers(0, 256, (40, len(places)), np.uint8)
        checksums = masked_crc32c_of_changes(
            np.full(40, crc32c(base.tobytes()), np.uint32),
            (messages ^ base)[:, places].T,
            (size - 1 - places).tolist(),
        )
        assert checksums.tolist() == [masked_crc32c(row.tobytes()) for row in messages]


@pytest.mark.parametrize("kind", TYPES)
def test_tensors_of_one_number_are_scalars(kind: int) -> None:
    """Of any type of number, in any form that TensorFlow writes."""
    number = np.array([-3 if np.dtype(TYPES[kind]).kind != "u" else 3]).astype(TYPES[kind])
    forms = [tensor(kind, number.tobytes()), tensor(kind, number.tobytes(), [1, 1])]
    with_field = {1: 5, 2: 6, 9: 10, 19: 13, 22: 16, 23: 17}.get(kind, 7)
    if kind in (1, 2):
        packed = field(with_field, number.tobytes())
        single = varint(with_field << 3 | (5 if kind == 1 else 1)) + number.tobytes()
    else:
        bits = number.view("<u2") if kind == 19 else number
        coded = varint(int(bits[0]) % 2**64)
        packed, single = field(with_field, coded), varint(with_field << 3) + coded
    forms += [field(1, kind) + field(2, b"") + part for part in (packed, single)]
    for form in forms:
        parsed = parse_event(event(1, [field(1, "x") + field(8, form)]))
        assert [scalar.value for scalar in parsed.scalars] == [float(number[0])]


def test_bfloat16_is_the_upper_half_of_a_float() -> None:
    """As TensorFlow writes it: 1.5 is 0x3FC0."""
    for part in (field(4, b"\xc0\x3f"), field(13, varint(0x3FC0))):
        parsed = parse_event(event(1, [field(1, "x") + field(8, field(1, 14) + part)]))
        assert [scalar.value for scalar in parsed.scalars] == [1.5]


@pytest.mark.parametrize(
    "form",
    [
        tensor(1, struct.pack("<f", 1.0), [2, 3]),  # one number for all six
        tensor(1, struct.pack("<2f", 1.0, 2.0), [2]),
        tensor(1, b""),
        tensor(1, b"abc"),
        tensor(7, b"text"),
        tensor(10, b"\1"),
        field(1, 3) + field(7, varint(1) + varint(2)),
        field(4, struct.pack("<f", 1.0)),
    ],
)
def test_other_tensors_are_no_scalars(form: bytes) -> None:
    """Several numbers, none, half of one, texts and truth values are left out."""
    assert parse_event(event(1, [field(1, "x") + field(8, form)])).scalars == []
