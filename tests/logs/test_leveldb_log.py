"""Logs in the format of LevelDB: records come back, also while they are written."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import pytest
from helpers.records import leveldb_file

from gradsound.logs.leveldb_log import read_records

if TYPE_CHECKING:
    from pathlib import Path

HEADER = b"7 bytes"
BLOCK = 1 << 15
# Around the end of a block: no room for a head, room for a head alone, and for one byte.
SIZES = [0, 1, 100, BLOCK - 14, BLOCK - 15, BLOCK - 21, BLOCK - 22, BLOCK - 7, 70_000, 5]


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def make_records(seed: int) -> list[bytes]:
    """Returns 100 records of random sizes."""
    chance = random.Random(seed)  # noqa: S311 (reproducible)
    return [chance.randbytes(chance.choice(SIZES)) for _ in range(100)]


@pytest.mark.parametrize("seed", range(5))
def test_records_of_any_size_come_back(seed: int) -> None:
    """A reader yields the records that were written, and then None."""
    records = make_records(seed)
    *found, end = read_records(io.BytesIO(leveldb_file(HEADER, records)), refuse)
    assert [record for at, record in found] == records
    assert end is None


@pytest.mark.parametrize("seed", range(5))
def test_records_come_back_while_the_file_grows(tmp_path: Path, seed: int) -> None:
    """Whatever pieces the writer's buffer has, each record comes once, without damage."""
    chance = random.Random(seed)  # noqa: S311 (reproducible)
    records = make_records(seed)
    data = leveldb_file(HEADER, records)
    path, at = tmp_path / "log", 0
    path.write_bytes(b"")

    def append() -> bool:
        nonlocal at
        size = chance.choice((1, 6, 7, 8, 8192, 40_000))
        with path.open("ab") as file:
            file.write(data[at : at + size])
        at += size
        return at - size < len(data)

    with path.open("rb") as file:
        found = [found for found in read_records(file, refuse, append) if found]
    assert [record for at, record in found] == records


def test_damage_costs_the_rest_of_its_block() -> None:
    """After a wrong checksum the records of the next block are read."""
    records = [bytes([k]) * 8000 for k in range(12)]
    data = bytearray(leveldb_file(HEADER, records))
    data[9000] ^= 1
    reports: list[str] = []
    found = [found[1] for found in read_records(io.BytesIO(data), reports.append) if found]
    assert reports == ["ends or is damaged at byte 8,014"]
    # The fifth record begins in the damaged block.
    assert found == [records[0], *records[5:]]


@pytest.mark.parametrize("cut", [3, 8, 5000])
def test_a_torn_end_is_reported_with_its_place(cut: int) -> None:
    """A log that ends within a head or a record says where this record begins."""
    data = leveldb_file(HEADER, [b"a" * 100, b"b" * 10_000])[: 7 + 107 + cut]
    reports: list[str] = []
    found = [found for found in read_records(io.BytesIO(data), reports.append) if found]
    assert found == [(7, b"a" * 100)]
    assert reports == ["ends or is damaged at byte 114"]


def test_a_record_without_its_last_piece_is_torn() -> None:
    """A log that ends with a block, within a record, says where the record begins."""
    data = leveldb_file(HEADER, [b"a" * 100, b"b" * 70_000])[: 2 * BLOCK]
    reports: list[str] = []
    assert [*read_records(io.BytesIO(data), reports.append)] == [(7, b"a" * 100), None]
    assert reports == ["ends or is damaged at byte 114"]


def test_records_above_4_mib_are_left_out() -> None:
    """A picture in a log costs no memory, and the records around it are read."""
    data = leveldb_file(HEADER, [b"a", bytes((1 << 22) + 1), b"b", bytes(1 << 22)])
    found = [found[1] for found in read_records(io.BytesIO(data), refuse) if found]
    assert found == [b"a", b"b", bytes(1 << 22)]
