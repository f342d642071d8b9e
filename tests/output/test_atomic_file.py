"""A file gets its name when it is complete, and nothing is left of one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradsound.output.atomic_file import atomic_file


def test_a_complete_file_replaces_an_existing_one(tmp_path: Path) -> None:
    """Until then the name has the old file."""
    path = tmp_path / "x"
    path.write_text("old")
    with atomic_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_an_end_on_the_way_leaves_the_old_file(tmp_path: Path, error: type) -> None:
    """Whatever ends the writing, no part of the new file is left."""
    path = tmp_path / "x"
    path.write_text("old")

    def write() -> None:
        with atomic_file(path) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(error):
        write()

    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_errors_name_the_file_that_they_are_of(tmp_path: Path) -> None:
    """An error of the part, or without a name, names the file; others keep their name."""
    path, other = tmp_path / "no folder" / "x", tmp_path / "other"
    with pytest.raises(FileNotFoundError) as missing, atomic_file(path) as part:
        part.write_text("new")
    with pytest.raises(OSError, match="No space") as full, atomic_file(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(FileNotFoundError) as of_other, atomic_file(path):
        other.read_text()

    names = [missing.value.filename, full.value.filename, of_other.value.filename]
    assert names == [str(path), str(path), str(other)]
