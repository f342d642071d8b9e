"""States of Hugging Face's Trainer: pieces, steps, and states that are written anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.growing import list_entries, read_growing
from helpers.logs import PUBLISHED
from hypothesis import given
from hypothesis import strategies as st

from gradsound.errors import RunFormatError
from gradsound.logs import json_decoder
from gradsound.logs.encoding import TextDecoder
from gradsound.logs.huggingface import trainer_state
from gradsound.logs.huggingface.json_scanner import JsonScanner


def read_all(path: Path, **options: object) -> list[tuple[str, float | None, float]]:
    """Returns all entries of a state."""
    parts = trainer_state.read(path, pytest.fail, **options)
    return [entry for part in parts if part is not None for entry in list_entries(part)]


def test_the_size_of_chunks_makes_no_difference(tmp_path: Path) -> None:
    """JSON that is read in chunks of any size decodes to the same entries."""
    (tmp_path / "x").write_text(PUBLISHED)
    whole = read_all(tmp_path / "x")

    assert len(whole) == 21
    for chunk in range(1, 60):
        np.testing.assert_equal(read_all(tmp_path / "x", chunk=chunk), whole)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text('"},{[]\\a', max_size=4),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "step", "},"]), values, max_size=3)
    ),
    max_leaves=12,
)


@given(
    items=st.lists(JSON, max_size=20),
    indent=st.sampled_from([None, 0, 2]),
    chunk=st.integers(1, 300),
    with_orjson=st.booleans(),
)
def test_a_list_is_read_as_python_reads_it(
    items: list[object], indent: int | None, chunk: int, with_orjson: bool
) -> None:
    """Items that are decoded in groups are those that one call decodes."""
    text = json.dumps(items, indent=indent).encode()
    place = 0

    def read(size: int) -> bytes:
        nonlocal place
        place += size
        return text[place - size : place]

    with pytest.MonkeyPatch.context() as patch:
        if not with_orjson:
            patch.setattr(json_decoder, "orjson", None)
        scanner = JsonScanner(TextDecoder(read), chunk)
        found = [item for group in scanner.read_items() for item in group]
    np.testing.assert_equal(json.dumps(found), json.dumps(_as_floats(items, found)))
    assert scanner.position == len(text)


def _as_floats(items: object, found: object) -> object:
    """Returns items with floats where one of the decoders reads a whole number so."""
    if isinstance(items, list) and isinstance(found, list):
        return [_as_floats(*pair) for pair in zip(items, found, strict=True)]
    if isinstance(items, dict) and isinstance(found, dict):
        assert [*items] == [*found]
        return {name: _as_floats(items[name], found[name]) for name in items}
    if type(items) is int and isinstance(found, float):
        return float(items)
    return items


def write_state(path: Path, entries: Sequence[Mapping[str, object]]) -> None:
    """Writes a state with these entries."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"global_step": 1, "log_history": entries}, indent=2))


def entries_to(step: int, factor: float = 1.0) -> list[dict[str, object]]:
    """Returns entries with a norm, up to a step."""
    return [{"step": k, "grad_norm": factor * k / 7} for k in range(1, step + 1)]


def test_a_new_checkpoint_has_new_entries(tmp_path: Path) -> None:
    """A training writes a state for each checkpoint; the reader goes on in the last."""

    def save(step: int) -> None:
        write_state(
            tmp_path / f"checkpoint-{step}" / "trainer_state.json", entries_to(step)
        )

    save(5)
    read = partial(
        trainer_state.read, tmp_path / "checkpoint-5" / "trainer_state.json", pytest.fail
    )
    seen = read_growing(read, lambda: save(10), lambda: None, lambda: save(100))

    assert [[step for _, step, _ in part] for part in seen] == [
        [*range(1, 6)],
        [*range(6, 11)],
        [],
        [*range(11, 101)],
    ]


def test_a_state_that_is_written_anew(tmp_path: Path) -> None:
    """Entries come once; half a state is no damage; another history comes as a whole."""
    path = tmp_path / "run" / "trainer_state.json"
    write_state(path, entries_to(3))
    half = json.dumps({"log_history": entries_to(5)})[:-30]
    reports: list[str] = []
    seen = read_growing(
        lambda wait: trainer_state.read(path, reports.append, wait),
        path.unlink,
        lambda: path.write_text(half),
        lambda: write_state(path, entries_to(6)),
        lambda: write_state(path, entries_to(4, 2.0)),
        lambda: write_state(path, entries_to(5, 3.0)),
    )

    assert [[step for _, step, _ in part] for part in seen] == [
        [1, 2, 3],
        [],
        [4],
        [5, 6],
        [1, 2, 3, 4],
        [1, 2, 3, 4, 5],
    ]
    assert reports == []


def test_entries_with_nested_objects(tmp_path: Path) -> None:
    """Names of a list of another tool are joined by slashes."""
    (tmp_path / "x").write_text(
        '[{"iter": 1, "a": {"grad_norm": 2}, "x": [1]}, {"iter": 2}]'
    )

    assert read_all(tmp_path / "x") == [("a/grad_norm", 1, 2)]


def test_json_lines_with_a_history_at_the_end_are_no_state() -> None:
    """ms-swift ends its JSON lines with a summary, which has the history."""
    line = b'{"loss": 1, "grad_norm": 2}\r\n'

    assert not trainer_state.is_trainer_state(line + b'{"log_history": [{"loss": 1}]}\n')
    assert trainer_state.is_trainer_state(b'{"log_history": [{"loss": 1}]}\n')
    assert trainer_state.is_trainer_state(b'{"epoch": {},\n"log_history": []}\n')


def test_a_norm_that_is_null_is_reported(tmp_path: Path) -> None:
    """Trainer writes NaN as NaN, so null says nothing about the norm."""
    entries = [{"step": 1, "grad_norm": None, "loss": 1.0}, {"step": 2, "grad_norm": 1.0}]
    (tmp_path / "x").write_text(json.dumps(entries))
    reports: list[str] = []
    parts = trainer_state.read(tmp_path / "x", reports.append)
    read = [entry for part in parts if part is not None for entry in list_entries(part)]

    assert read == [("loss", 1, 1), ("grad_norm", 2, 1)]
    assert reports == ["'grad_norm' is null at step 1, left out"]


def test_figures_that_are_texts(tmp_path: Path) -> None:
    """A text that is a number as a whole is a number, the step too."""
    (tmp_path / "x").write_text('[{"step": "7", "grad_norm": "0.5", "time": "1 s"}]')

    assert read_all(tmp_path / "x") == [("grad_norm", 7, 0.5)]


def test_a_list_of_another_kind(tmp_path: Path) -> None:
    """The step may have another usual name, or the one that a user gives."""
    path = tmp_path / "x.json"
    path.write_text('[{"global_step": 3, "game": 5, "grad_norm": 0.5}]')
    assert read_all(path) == [("game", 3, 5), ("grad_norm", 3, 0.5)]
    assert read_all(path, step="game") == [("global_step", 5, 3), ("grad_norm", 5, 0.5)]
    path.write_text('[{"name": "Ada", "age": 36}, {"name": "Max", "si\\nze": 2}]')
    for step, missing in ((None, "a step"), ("game", "'game' for --step")):
        message = (
            f"JSON objects without {missing}; their keys are: name, age, 'si\\\\nze'; name"
        )
        with pytest.raises(RunFormatError, match=message):
            read_all(path, step=step)
