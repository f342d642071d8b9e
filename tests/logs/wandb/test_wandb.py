"""Run files of W&B: many records at once as each alone, nested names, and growth."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from helpers.growing import list_entries, read_growing
from helpers.logs import wandb_entry, wandb_file
from helpers.records import field, varint
from hypothesis import given
from hypothesis import strategies as st

from gradsound import read_run
from gradsound.logs import json_decoder
from gradsound.logs.numbers import parse_number
from gradsound.logs.wandb import wandb_history, wandb_log
from gradsound.logs.wandb.wandb_entry import parse_record
from gradsound.logs.wandb.wandb_history import HistoryDecoder

NAMES = ("lr", "loss", "grad_norm/layers.0.weight", "grad_norm/" + "x" * 120, "é", "_step")
TEXTS = st.one_of(
    *(st.floats(0, 1).map(repr), st.floats(0, 1).map(repr), st.integers().map(str)),
    st.sampled_from(
        ['"NaN"', '"0.5"', '"text"', "true", "null", "NaN", "1e999", "9" * 5000]
    ),
    st.sampled_from(
        ['{"a":1,"b":2}', '{"a"', "[1,2]", "[1", "2]", "1,2", "", "-", '"a,b"']
    ),
    st.integers(125, 300).map(lambda size: '"' + "x" * size + '"'),
)


@st.composite
def records(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """Draws a record: nearly always a history, with parts that are unusual or missing."""
    items = []
    for name in draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]:
        keys = [name, *draw(st.lists(st.sampled_from("ab"), max_size=1))]
        number = draw(st.sampled_from([2, 2, 2, 1]))
        key = b"".join(field(number, part.encode()) for part in keys)
        text = field(16, draw(texts).encode())
        items.append(field(1, draw(st.sampled_from([key + text] * 9 + [text + key, key]))))
    steps = [b"", field(2, b""), field(2, b"\x08" + varint(draw(st.integers(0, 2**40))))]
    odd = [
        field(2, b"\x10\x05"),
        field(2, b"\x08\x01\x08\x02"),
        b"\x12\x05\x08",
        b"\x82\x01",
    ]
    end = draw(st.sampled_from([*steps * 4, *odd]))
    record = field(draw(st.sampled_from([2] * 9 + [3])), b"".join(items) + end)
    begin = draw(st.sampled_from([b"", b"\x08" + varint(draw(st.integers(0, 2**36)))]))
    after = draw(st.sampled_from([b""] * 9 + [b"\x00", field(26, b"x")]))
    whole = bytearray(begin + record + after)
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(whole) - 1))
        whole[place] = draw(st.sampled_from([whole[place] ^ 1, 0x7F, 0x82, 0x12]))
    return bytes(whole)


def decode_each(record: bytes) -> tuple[object, ...] | None:
    """Returns what the parser of one record says: numbers, other values, the step."""
    parsed = parse_record(record)
    if parsed is None:
        return None
    named, step = parsed
    numbers = {name: n for name, x in named if (n := parse_number(x)) is not None}
    others = [(name, x) for name, x in named if parse_number(x) is None]
    return {name: numbers[name] for name in sorted(numbers)}, others, step


def decode_all(decoder: HistoryDecoder, batch: Sequence[bytes]) -> list[object]:
    """Returns the same from the decoder of many records."""
    history = decoder.decode(batch)
    numbers: list[dict[str, float]] = [{} for _ in batch]
    items = zip(history.rows.tolist(), history.places.tolist(), history.values.tolist())
    for row, place, value in items:
        numbers[row][history.names[place]] = value
    others: list[list[tuple[str, object]]] = [[] for _ in batch]
    for row, name, other in history.others:
        others[row].append((name, other))
    return [
        None
        if row in history.damaged
        else ({k: numbers[row][k] for k in sorted(numbers[row])}, others[row], step)
        for row, step in enumerate(history.steps.tolist())
    ]


@given(
    batches=st.one_of(
        st.lists(st.lists(records(texts), min_size=1, max_size=12), min_size=1, max_size=3)
        for texts in (TEXTS, st.floats(0, 1).map(repr))
    ),
    with_orjson=st.booleans(),
)
def test_many_records_at_once_are_read_as_each_alone(
    batches: list[list[bytes]], with_orjson: bool
) -> None:
    """Whatever a record contains, the decoder of many gives what the parser of one does."""
    with pytest.MonkeyPatch.context() as patch:
        if not with_orjson:
            patch.setattr(json_decoder, "orjson", None)
        decoder = HistoryDecoder()
        for batch in batches:
            expected = [decode_each(record) for record in batch]
            np.testing.assert_equal(decode_all(decoder, batch), expected)


@pytest.mark.parametrize(
    "texts", [("[1", "2]"), ("1,2", "[3", "4]"), ("1", "2,3"), ("", "1"), ('"a', '"')]
)
def test_texts_do_not_complete_each_other(texts: tuple[str, ...]) -> None:
    """A text that is no JSON is none beside another one."""
    items = dict(zip("abc", texts, strict=False))
    batch = [wandb_entry({"x": "1"}, 0), wandb_entry(items, 1), wandb_entry({"y": "2"}, 2)]

    expected = [decode_each(record) for record in batch]
    np.testing.assert_equal(decode_all(HistoryDecoder(), batch), expected)


@pytest.mark.parametrize(
    "history",
    [
        # The text is shorter, and a nested name after it looks like the step.
        field(1, field(2, b"loss") + field(16, b"12") + b"\x12\x02\x08\x05"),
        field(1, field(2, b"loss") + field(16, b"123456"))[:-3],  # the item is cut
    ],
)
def test_a_known_head_is_no_usual_item_alone(history: bytes) -> None:
    """An item that begins as a known one may go on in another way."""
    batch = [wandb_entry({"loss": "123456"}, 0), field(2, history)]

    expected = [decode_each(record) for record in batch]
    np.testing.assert_equal(decode_all(HistoryDecoder(), batch), expected)


def test_usual_records_are_split_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser of one record sees none of the usual form."""
    monkeypatch.setattr(wandb_history, "parse_record", None)
    batch = [
        wandb_entry({"loss": repr(k / 7), "x": str(k), "text": '"a"'}, step=k)
        for k in range(128)
    ]
    history = HistoryDecoder().decode(batch)

    assert {*history.names} == {"loss", "x", "text"}
    assert history.steps.tolist() == [*range(128)]
    assert history.values[::2].tolist() == [k / 7 for k in range(128)]


def nested_entry(items: dict[str, str]) -> bytes:
    """Returns a record whose names are nested where they have a point."""
    encoded = b"".join(
        field(
            1,
            b"".join(field(2, part.encode()) for part in name.split("."))
            + field(16, text.encode()),
        )
        for name, text in items.items()
    )
    return field(2, encoded)


def test_nested_names(tmp_path: Path) -> None:
    """A point is like a slash: step and loss are found in nested objects."""
    entries = [
        nested_entry(
            {
                "train.global_step": str(10 * k),
                "train.loss": str(k / 7),
                "train.grad_norm": str(k / 3),
                "_step": str(k),
            }
        )
        for k in range(1, 4)
    ]
    (tmp_path / "x.wandb").write_bytes(wandb_file(entries))
    run = read_run(tmp_path / "x.wandb")

    assert run.header.layers == ("train.grad_norm",)
    assert [(s.number, dict(s.values)) for s in run.steps] == [
        (10 * k, {"loss": k / 7}) for k in range(1, 4)
    ]


def test_a_run_that_grows(tmp_path: Path) -> None:
    """Records come once they are whole; the step of the trainer is carried on."""
    path = tmp_path / "x.wandb"
    entries = [
        wandb_entry({"grad_norm": str(k), **({"global_step": "50"} if k == 1 else {})}, k)
        for k in range(4)
    ]
    whole = wandb_file(entries)
    sizes = [len(wandb_file(entries[:count])) for count in range(5)]
    path.write_bytes(whole[: sizes[1] + 9])
    edits = [
        partial(path.write_bytes, whole[:size])
        for size in (sizes[2], sizes[3] + 1, sizes[4])
    ]
    seen = read_growing(lambda wait: wandb_log.read(path, pytest.fail, wait), *edits)

    assert seen == [
        [("grad_norm", 0, 0)],
        [("grad_norm", 50, 1)],
        [("grad_norm", 50, 2)],
        [("grad_norm", 50, 3)],
    ]


LIVE = """
import sys
import wandb

settings = wandb.Settings(console="off", silent=True)
with wandb.init(mode="offline", dir=sys.argv[1], settings=settings) as run:
    for step in range(40):
        run.log({"train": {"grad_norm": step / 7, "deep": {"x": step}}, "loss": step / 3})
"""


def test_nested_objects_as_wandb_writes_them(tmp_path: Path) -> None:
    """W&B writes the names in another order in each record, and nested ones in parts."""
    pytest.importorskip("wandb")
    subprocess.run([sys.executable, "-c", LIVE, str(tmp_path)], check=True)
    (path,) = tmp_path.rglob("*.wandb")
    parts = [part for part in wandb_log.read(path, pytest.fail) if part is not None]

    entries = sorted(entry for part in parts for entry in list_entries(part))
    assert entries == sorted(
        entry
        for k in range(40)
        for entry in (
            ("loss", k, k / 3),
            ("train.deep.x", k, k),
            ("train.grad_norm", k, k / 7),
        )
    )
    assert not any(isnan(time) for part in parts for time in part.times.tolist())
