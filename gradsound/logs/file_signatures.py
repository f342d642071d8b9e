"""Tells databases and zip files by their first bytes."""

from __future__ import annotations

_SQLITE, _ZIP = b"SQLite format 3\0", b"PK\x03\x04"


def is_sqlite(head: bytes) -> bool:
    """Returns whether a file with this beginning is an SQLite database."""
    return head.startswith(_SQLITE)


def is_zip(head: bytes) -> bool:
    """Returns whether a file with this beginning is a zip file."""
    return head.startswith(_ZIP)
