"""Reads `trainer_state.json` of Hugging Face's Trainer, or its list of entries alone.

The file is one JSON object. Only its list "log_history" may be long. The reader decodes the
list while it reads, in pieces, so that its memory stays bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gradsound.errors import RunFormatError
from gradsound.logs.encoding import TextDecoder
from gradsound.logs.huggingface.entry_scalars import convert_entries
from gradsound.logs.huggingface.json_scanner import JsonScanner
from gradsound.logs.names.step_names import find_step_name
from gradsound.logs.nested_values import flatten
from gradsound.logs.numbers import parse_number
from gradsound.logs.texts.named_entries import find_key, name_value
from gradsound.name_matching import list_some
from gradsound.runs.file_names import names_format

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "Hugging Face"
FILE_NAME = "trainer_state.json"

_HISTORY = "log_history"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_CHUNK = 1 << 18  # bytes per read; their entries have up to 65,536 numbers, rarely more
_LISTED_MAX = 20  # keys that an error message lists; more are hard to read
_KEY_WIDTH = 80  # characters of each of them


def find_state(folder: Path) -> Path | None:
    """Returns the state of a folder, or of its last `checkpoint-STEP`; None without both.

    The state of a checkpoint contains the history of all checkpoints before it.
    """
    if (own := folder / FILE_NAME).is_file():
        return own
    states = [
        (_checkpoint_step(path), path) for path in folder.glob(f"checkpoint-*/{FILE_NAME}")
    ]
    last, state = max(states, default=(-1, None))
    return state if last >= 0 else None


def is_trainer_state(head: bytes) -> bool:
    """Returns whether a file with this beginning is a state, or its history alone."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    first = text.split(b"\n", 1)[0]
    if names_format(first):  # a run file may have any layer names
        return False
    # JSON lines may end with the history: those of ms-swift.
    if first.rstrip().endswith(b"}") and _HISTORY.encode() not in first:
        return False
    if text[:1] == b"[":
        return text[1:].lstrip()[:1] == b"{"
    return text[:1] == b"{" and b'"log_history"' in head


def read(
    path: Path,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
    step: str | None = None,
    chunk: int = _CHUNK,
) -> Iterator[Scalars | None]:
    """Yields the scalars of a history; `scalars` says how.

    A training writes its state anew with each checkpoint, into a folder of its own. The
    reader goes on with the state of the last checkpoint, and yields its new entries.

    Args:
        path: The state.
        on_damage: Called where the file ends early or is damaged.
        wait_for_more: Called at the end of what is there. It returns whether to read on.
        step: The key of the step. None finds it by its usual names.
        chunk: How many bytes to read at once.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If no entry has a step.
    """
    history = _History(on_damage, step)
    stamp = None
    while True:
        new_stamp = _stamp(path)
        if stamp is None or new_stamp not in (None, stamp):
            stamp = new_stamp
            yield from history.read(path, chunk)
        yield None
        if not wait_for_more():
            break
        path = _last_checkpoint(path)
    history.finish()


def _stamp(path: Path) -> tuple[object, ...] | None:
    """Returns what changes when a file is written anew; None while there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return path, status.st_ino, status.st_size, status.st_mtime_ns


def _checkpoint_step(state: Path) -> int:
    """Returns the step of the checkpoint that has a state; -1 if it is in none."""
    match = _CHECKPOINT.fullmatch(state.parent.name)
    return int(match[1]) if match else -1


def _last_checkpoint(state: Path) -> Path:
    """Returns the state of the last checkpoint of the same training."""
    if _checkpoint_step(state) < 0:
        return state
    states = state.parent.parent.glob(f"checkpoint-*/{FILE_NAME}")
    return max([state, *states], key=_checkpoint_step)


class _History:
    """The entries of a history, which each new state has again.

    Args:
        on_damage: Called where a state ends early or is damaged.
        step: The key of the step, if a user named it.
    """

    def __init__(self, on_damage: OnDamage, step: str | None) -> None:
        self._on_damage, self._wanted = on_damage, step
        self._step: str | None = None  # as found in the entries
        # Whether entries have nested objects, or a name and a value; Trainer's do not.
        self._is_nested = self._is_long = False
        self._count, self._damage = 0, ""  # entries of the state in progress
        self._known, self._last = 0, ""  # entries that were yielded, and the last of them
        self._keys = dict[str, None]()  # of entries, while none has a step

    def read(self, path: Path, chunk: int) -> Iterator[Scalars]:
        """Yields the entries of a state that are new.

        A state begins with the entries of the state before, unless the training went back
        to an earlier checkpoint. Then all of its entries are new.
        """
        known = self._known
        with path.open("rb") as file:
            for items in self._decode(JsonScanner(TextDecoder(file.read), chunk)):
                begin = self._count - len(items)
                if begin < known <= self._count:
                    is_same = _mark(items[known - begin - 1]) == self._last
                    known = known if is_same else -1
                if known < 0:
                    break
                if new := items[max(known - begin, 0) :]:
                    self._known, self._last = self._count, _mark(new[-1])
                    yield self._convert([item for item in new if isinstance(item, dict)])
        if known < 0 or (self._count < known and not self._damage):
            self._known = 0
            yield from self.read(path, chunk)

    def finish(self) -> None:
        """Reports how the last state ended.

        Raises:
            RunFormatError: If no entry had a step.
        """
        if self._damage:
            self._on_damage(self._damage)
        if self._keys:
            listed = list_some([*map(_printable, self._keys)], _LISTED_MAX)
            wanted = "a step" if self._wanted is None else f"{self._wanted!r} for --step"
            raise RunFormatError(
                f"is a list of JSON objects without {wanted}; their keys are: {listed}; "
                "name the one that counts steps with --step KEY"
            )

    def _decode(self, scanner: JsonScanner) -> Iterator[list[Any]]:
        """Yields the items of a history in groups, up to damage, and counts them."""
        self._count, self._damage = 0, ""
        try:
            for items in _read_history(scanner):
                self._count += len(items)
                yield items
        except (ValueError, RecursionError):
            after = f" after entry {self._count:,} of {_HISTORY}" if self._count else ""
            self._damage = f"ends or is damaged{after}, at character {scanner.position:,}"

    def _convert(self, entries: list[dict[str, Any]]) -> Scalars:
        if self._step is None:
            self._is_nested |= any(dict in map(type, entry.values()) for entry in entries)
            self._is_long |= any(map(find_key, entries))
        if self._is_nested:
            entries = [flatten(entry) for entry in entries]
        if self._is_long:
            entries = [name_value(entry) for entry in entries]
        if self._step is None:
            keys = dict.fromkeys(key for entry in entries for key in entry)
            if self._wanted is not None:
                self._step = self._wanted if self._wanted in keys else None
            else:
                self._step = "step" if "step" in keys else find_step_name(keys)
            self._keys = self._keys | keys if self._step is None else {}
        return convert_entries(entries, self._step or "step", self._on_damage)


def _printable(key: str) -> str:
    """Returns a key, shortened, and quoted if it has control characters."""
    key = key[:_KEY_WIDTH]
    return key if key.isprintable() else repr(key)


def _mark(item: object) -> str:
    """Returns a text of the numbers of an entry, the same for each way of decoding it."""
    if not isinstance(item, dict):
        return ""
    return repr({name: parse_number(value) for name, value in item.items()})


def _read_history(scanner: JsonScanner) -> Iterator[list[Any]]:
    if scanner.peek() == "[":
        yield from scanner.read_items()
        return
    scanner.expect("{")
    while scanner.peek() != "}":
        key = scanner.read_value()
        scanner.expect(":")
        if key == _HISTORY and scanner.peek() == "[":
            yield from scanner.read_items()
        else:
            scanner.read_value()
        if scanner.peek() != "}":
            scanner.expect(",")
