"""Makes an unexpected warning fail a test, though it cannot leave a hook."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from gradsound import errors


class _Warnings:
    """Keeps what gradsound prints where warnings are errors, and prints it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stderr = self

    def write(self, line: str) -> None:
        """Keeps a line."""
        self.lines.append(line)
        sys.stderr.write(line)


@pytest.fixture(autouse=True)
def _no_unexpected_warning(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    printed = _Warnings()
    monkeypatch.setattr(errors, "sys", printed)
    yield
    if "capsys" not in request.fixturenames:  # else the test looks at them
        assert not printed.lines
